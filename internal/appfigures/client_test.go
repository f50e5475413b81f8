package appfigures

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

const (
	ample         = time.Minute // no probe of these tests needs it, however busy the machine is
	proxyPassword = "pr0xyPassw0rd"

	ok200       = "HTTP/1.1 200 OK\r\n"
	validBody   = `{"status":"200","user":{}}`
	validAnswer = ok200 + "Content-Length: 26\r\n\r\n" + validBody
	rejection   = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
)

// server counts what it gets. It is on the loopback interface and ends with the test.
type server struct {
	net.Listener
	connections, requests atomic.Int64
}

// serve starts a server that handles each connection. The test does not end if the client leaves one open.
func serve(t testing.TB, handle func(*server, net.Conn)) *server {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: listener}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.connections.Add(1)
			serving.Go(func() {
				defer conn.Close()
				handle(s, conn)
				_ = conn.(*net.TCPConn).CloseWrite()
				awaitClose(conn) // to close what was not read would reset the connection
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
	})
	return s
}

// answering returns a function that answers a request, over TLS if there is a configuration, and counts any after it.
func answering(secure *tls.Config, answer func(net.Conn)) func(*server, net.Conn) {
	return func(s *server, conn net.Conn) {
		if secure != nil {
			conn = tls.Server(conn, secure)
			defer conn.Close()
		}
		reader := bufio.NewReader(conn)
		for {
			if _, err := http.ReadRequest(reader); err != nil {
				return
			}
			s.requests.Add(1)
			answer(conn)
			_ = conn.(interface{ CloseWrite() error }).CloseWrite() // and see whether the client has more to say
		}
	}
}

// config names the server as the API.
func (s *server) config(scheme string) *config.Config {
	root := &url.URL{Scheme: scheme, Host: s.Addr().String(), Path: "/v2/"}
	return &config.Config{APIURL: root, TLS: trusting, Timeout: ample}
}

func probeOnce(t testing.TB, client *Client) probe.Outcome {
	t.Helper()
	outcome, err := client.Probe(t.Context(), config.NewSecret(token))
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

// write ignores errors: the client may have gone.
func write(conn net.Conn, text string) { _, _ = io.WriteString(conn, text) }

// awaitClose returns when the client closes the connection.
func awaitClose(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

func reset(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

func says(text string) func(net.Conn) { return func(conn net.Conn) { write(conn, text) } }

// floods writes text and then unit over and over.
func floods(text, unit string) func(net.Conn) {
	unit = strings.Repeat(unit, max(1, 4096/len(unit)))
	return func(conn net.Conn) {
		write(conn, text)
		for err := error(nil); err == nil; {
			_, err = io.WriteString(conn, unit)
		}
	}
}

// gzipped returns an answer whose body is packed.
func gzipped(body string) string {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = io.WriteString(w, body)
	_ = w.Close()
	return fmt.Sprintf("%sContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", ok200, packed.Len(), packed.String())
}

func padded(bytes int) string { return strings.Repeat(" ", bytes-len(validBody)) + validBody }

// TestBrokenServers checks that each server gets one request, whatever it does, and that no answer that is broken or
// too large decides anything. TestPhases has servers that hang.
func TestBrokenServers(t *testing.T) {
	const chunked = ok200 + "Transfer-Encoding: chunked\r\n\r\n"
	const http2 = "\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x08\x07" // SETTINGS, and a GOAWAY that ends
	const upgrade = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
	const cut401 = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\n"
	for name, test := range map[string]struct {
		answer  func(net.Conn)
		want    probe.Result
		status  int
		message string // part of it
	}{
		"closes":              {says(""), probe.Unreachable, 0, "closed without an answer (waiting for the answer)"},
		"resets":              {reset, probe.Unreachable, 0, "reset"},
		"resets in body":      {func(c net.Conn) { write(c, cut401); reset(c) }, probe.Unreachable, 401, "reset"},
		"closes in body":      {says(cut401), probe.Unexpected, 401, "not whole: unexpected EOF"},
		"answer after hints":  {says("HTTP/1.1 103 Early Hints\r\n\r\n" + validAnswer), probe.Valid, 200, ""},
		"endless hints":       {floods("", "HTTP/1.1 103 Hints\r\n\r\n"), probe.Unexpected, 0, "exceeded"},
		"endless headers":     {floods(ok200, "X-More: more\r\n"), probe.Unexpected, 0, "exceeded 65536 bytes"},
		"headers of 60 KiB":   {says(ok200 + "X: " + padded(60<<10) + "\r\n\r\n" + validBody), probe.Valid, 200, ""},
		"endless chunks":      {floods(chunked, "1\r\n \r\n"), probe.Unexpected, 200, "not whole"},
		"endless trailers":    {floods(chunked+"0\r\n", "X-More: more\r\n"), probe.Unexpected, 200, "not whole"},
		"body of 1 MiB":       {says(ok200 + "\r\n" + padded(1<<20)), probe.Valid, 200, ""},
		"body of 1 MiB and 1": {floods(ok200+"\r\n"+padded(1<<20+1), " "), probe.Unexpected, 200, "more than 1048576"},
		"gzip":                {says(gzipped(validBody)), probe.Valid, 200, ""},
		"gzip bomb":           {says(gzipped(padded(2 << 20))), probe.Unexpected, 200, "more than 1048576 bytes"},
		"gzip cut":            {says(strings.TrimSuffix(gzipped(validBody), "\x00")), probe.Unexpected, 200, "EOF"},
		"HTTP/2":              {says(http2), probe.Unexpected, 0, "malformed"},
		"switches protocols":  {func(c net.Conn) { write(c, upgrade); awaitClose(c) }, probe.Unexpected, 101, ""},
	} {
		for _, scheme := range []string{"http", "https"} {
			if scheme == "https" && strings.HasPrefix(name, "resets") {
				continue // below TLS it is the same
			}
			t.Run(scheme+" "+name, func(t *testing.T) {
				t.Parallel()
				var server *tls.Config
				if scheme == "https" {
					server = &tls.Config{Certificates: secure.Certificates, NextProtos: []string{"h2", "http/1.1"}}
				}
				s := serve(t, answering(server, test.answer))
				outcome := probeOnce(t, NewClient(s.config(scheme), "test"))
				checkOutcome(t, outcome, test.want, test.status, test.message)
				if n := s.requests.Load(); n != 1 || !outcome.Sent {
					t.Errorf("%d requests, sent %t, want 1", n, outcome.Sent)
				}
			})
		}
	}
}

func checkOutcome(t *testing.T, outcome probe.Outcome, want probe.Result, status int, message string) {
	t.Helper()
	if outcome.Result != want || outcome.HTTPStatus != status || !strings.Contains(outcome.Message, message) {
		t.Errorf("result %s, status %d, message %q, want %s, %d, %q",
			outcome.Result, outcome.HTTPStatus, outcome.Message, want, status, message)
	}
	checkNothingSecret(t, outcome)
}

// TestUnasked checks that a connection which brings an answer before the request, or ends before it, is not repeated.
func TestUnasked(t *testing.T) {
	for _, treat := range []func(net.Conn){says(rejection), reset} {
		s := serve(t, func(_ *server, conn net.Conn) { treat(conn) })
		outcome := probeOnce(t, NewClient(s.config("http"), "test"))
		if n := s.connections.Load(); n != 1 {
			t.Errorf("%d connections, %+v", n, outcome)
		}
	}
}

// TestTrace checks that a request which could not be written was not sent, unless there is an answer, which can come
// before Write returns. TestConnecting has what is written before the request. Of a chain, what expires first counts.
func TestTrace(t *testing.T) {
	trace, _ := startTrace(t.Context())
	first, last := time.Unix(1, 0), time.Unix(2, 0)
	chain := []*x509.Certificate{{NotAfter: last}, {NotAfter: first}}
	trace.handshakeDone(tls.ConnectionState{PeerCertificates: chain}, nil)
	trace.first(&trace.connected)
	closed, _ := net.Pipe()
	closed.Close()
	write(tracedConn{closed, trace}, "GET")
	for _, want := range []bool{false, true} {
		var o probe.Outcome
		if trace.fill(&o, time.Now()); o.Sent != want || !o.CertificateExpiry.Equal(first) {
			t.Errorf("sent %t, expiry %s, want %t, %s", o.Sent, o.CertificateExpiry, want, first)
		}
		trace.first(&trace.firstByte)
	}
}

// TestConnections checks that probes at once have one connection and one request each and get their own answers, from a
// server that promises to keep connections and closes them, and that sends more than it was asked for.
func TestConnections(t *testing.T) {
	const probes = 40
	s := serve(t, func(s *server, conn net.Conn) {
		request, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		s.requests.Add(1)
		_, asked, _ := strings.Cut(request.Header.Get("Authorization"), "pat_")
		write(conn, "HTTP/1.1 401 No\r\nConnection: keep-alive\r\n"+
			fmt.Sprintf("Content-Length: %d\r\n\r\n%s%s", len(asked), asked, validAnswer))
	})
	client := NewClient(s.config("http"), "test")
	var probing sync.WaitGroup
	for i := range probes {
		probing.Go(func() {
			name := fmt.Sprint("token", i)
			outcome, err := client.Probe(t.Context(), config.NewSecret("pat_"+name+strings.Repeat("x", 20)))
			if err != nil || outcome.Result != probe.Rejected || outcome.Message != "<token>" {
				t.Errorf("%s: %s, %q, %v", name, outcome.Result, outcome.Message, err)
			}
		})
	}
	probing.Wait()
	if c, r := s.connections.Load(), s.requests.Load(); c != probes || r != probes {
		t.Errorf("%d connections and %d requests, want %d", c, r, probes)
	}
}

// TestRequest checks each byte of the request, and that it goes nowhere else.
func TestRequest(t *testing.T) {
	requests := make(chan string, 1)
	s := serve(t, func(_ *server, conn net.Conn) {
		request := make([]byte, 4096)
		n, _ := conn.Read(request)
		requests <- string(request[:n])
		write(conn, "HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/v2/\r\nContent-Length: 0\r\n\r\n")
	})
	outcome := probeOnce(t, NewClient(s.config("http"), "test"))
	checkOutcome(t, outcome, probe.Unexpected, 307, "a redirect to 127.0.0.1:1/v2/")
	want := "GET /v2/ HTTP/1.1\r\nHost: " + s.Addr().String() + "\r\nUser-Agent: appfigures_exporter/test\r\n" +
		"Accept: application/json\r\nAuthorization: Bearer " + token + "\r\n" +
		"Accept-Encoding: gzip\r\nConnection: close\r\n\r\n"
	if got := <-requests; got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// TestCanceled checks that a probe that was canceled tells only whether its request was sent.
func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	shutdown := errors.New("shutting down")
	s := serve(t, answering(nil, func(conn net.Conn) {
		write(conn, ok200+"\r\n{")
		cancel(shutdown)
		awaitClose(conn)
	}))
	outcome, err := NewClient(s.config("http"), "test").Probe(ctx, config.NewSecret(token))
	if !errors.Is(err, shutdown) || outcome != (probe.Outcome{Sent: true}) {
		t.Errorf("got %+v, %v", outcome, err)
	}
	outcome, err = NewClient(s.config("http"), "test").Probe(ctx, config.NewSecret(token))
	if !errors.Is(err, shutdown) || outcome != (probe.Outcome{}) {
		t.Errorf("canceled before it was sent: %+v, %v", outcome, err)
	}
}
