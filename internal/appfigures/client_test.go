package appfigures

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
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

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // as the program does; see Client
	os.Exit(m.Run())
}

// server counts what it gets. It is on the loopback interface and ends with the test.
type server struct {
	net.Listener
	connections, requests atomic.Int64
}

// serveRaw starts a server. Nothing is written after serve. The test does not end if the client leaves one open.
func serveRaw(t testing.TB, serve func(*server, net.Conn)) *server {
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
				serve(s, conn)
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

// listen starts a server that reads one request before each answer, until answer closes the connection.
func listen(t testing.TB, answer func(net.Conn)) *server {
	t.Helper()
	return serveRaw(t, func(s *server, conn net.Conn) { s.serve(conn, answer) })
}

// serve reads requests and answers the first. The client must not send another.
func (s *server) serve(conn net.Conn, answer func(net.Conn)) {
	reader := bufio.NewReader(conn)
	for {
		if _, err := http.ReadRequest(reader); err != nil {
			return
		}
		if s.requests.Add(1); answer == nil {
			return
		}
		answer(conn)
		answer = nil
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.CloseWrite() // and see whether the client has more to say
		} else {
			return
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

// leavesNoGoroutine checks, when the test and its subtests have ended, that no goroutine is left.
func leavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		deadline := time.After(ample)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for runtime.NumGoroutine() > before {
			select {
			case <-tick.C:
			case <-deadline:
				stacks := make([]byte, 1<<20)
				t.Fatalf("goroutines are left:\n%s", stacks[:runtime.Stack(stacks, true)])
			}
		}
	})
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

// Frames of HTTP/2: no settings, the end of the connection before any stream, and a stream that was not processed.
const (
	settings      = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	goAway        = "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	refusedStream = "\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x07"
)

// TestBrokenServers checks that each server gets one request, whatever it does, and that no answer that is broken or
// too large decides anything. TestPhases has servers that hang.
func TestBrokenServers(t *testing.T) {
	leavesNoGoroutine(t)
	const chunked = ok200 + "Transfer-Encoding: chunked\r\n\r\n"
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
		"closes in headers":   {says("HTTP/1.1 401 Unauthorized\r\nContent-"), probe.Unexpected, 0, "malformed"},
		"closes in body":      {says(cut401), probe.Unexpected, 401, "not whole: unexpected EOF"},
		"surplus answers":     {says(validAnswer + rejection + rejection), probe.Valid, 200, ""},
		"answer after hints":  {says("HTTP/1.1 103 Early Hints\r\n\r\n" + validAnswer), probe.Valid, 200, ""},
		"endless hints":       {floods("", "HTTP/1.1 103 Hints\r\n\r\n"), probe.Unexpected, 0, "exceeded"},
		"endless headers":     {floods(ok200, "X-More: more\r\n"), probe.Unexpected, 0, "exceeded 65536 bytes"},
		"headers of 60 KiB":   {says(ok200 + "X: " + padded(60<<10) + "\r\n\r\n" + validBody), probe.Valid, 200, ""},
		"endless body":        {floods(ok200+"\r\n", " "), probe.Unexpected, 200, "more than 1048576 bytes"},
		"endless chunks":      {floods(chunked, "1\r\n \r\n"), probe.Unexpected, 200, "not whole"},
		"endless trailers":    {floods(chunked+"0\r\n", "X-More: more\r\n"), probe.Unexpected, 200, "not whole"},
		"body of 1 MiB":       {says(ok200 + "\r\n" + padded(1<<20)), probe.Valid, 200, ""},
		"body of 1 MiB and 1": {floods(ok200+"\r\n"+padded(1<<20+1), " "), probe.Unexpected, 200, "more than 1048576"},
		"gzip":                {says(gzipped(validBody)), probe.Valid, 200, ""},
		"gzip bomb":           {says(gzipped(padded(2 << 20))), probe.Unexpected, 200, "more than 1048576 bytes"},
		"gzip that is none":   {says(ok200 + "Content-Encoding: gzip\r\n\r\n" + validBody), probe.Unexpected, 200, "gzip"},
		"gzip cut":            {says(strings.TrimSuffix(gzipped(validBody), "\x00")), probe.Unexpected, 200, "EOF"},
		"HTTP/2: GOAWAY":      {says(settings + goAway), probe.Unexpected, 0, "malformed"},
		"HTTP/2: refused":     {says(settings + refusedStream), probe.Unexpected, 0, "malformed"},
		"switches protocols": {
			says("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), probe.Unexpected, 101, "",
		},
	} {
		for _, scheme := range []string{"http", "https"} {
			if scheme == "https" && strings.HasPrefix(name, "resets") {
				continue // below TLS it is the same
			}
			t.Run(scheme+" "+name, func(t *testing.T) {
				t.Parallel()
				s := serveRaw(t, func(s *server, conn net.Conn) {
					if scheme == "https" {
						conn = tls.Server(conn, &tls.Config{Certificates: goodServer, NextProtos: []string{"h2", "http/1.1"}})
						defer conn.Close()
					}
					s.serve(conn, test.answer)
				})
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

// TestUnasked checks that a connection which ends before the request, or brings an answer before it, is not repeated.
// The answer decides only if the request was sent by then.
func TestUnasked(t *testing.T) {
	leavesNoGoroutine(t)
	for name, treat := range map[string]func(net.Conn){"answers": says(rejection), "resets": reset} {
		t.Run(name, func(t *testing.T) {
			s := serveRaw(t, func(_ *server, conn net.Conn) { treat(conn); awaitClose(conn) })
			outcome := probeOnce(t, NewClient(s.config("http"), "test"))
			if n := s.connections.Load(); n != 1 {
				t.Errorf("%d connections, want 1", n)
			}
			if outcome.Result == probe.Rejected && !outcome.Sent {
				t.Error("the answer to a request that was not sent decides")
			}
		})
	}
}

// TestSent checks that neither what was written to open the connection is the request nor what could not be written.
func TestSent(t *testing.T) {
	trace, _ := startTrace(t.Context())
	sent := func() bool {
		var o probe.Outcome
		trace.fill(&o, time.Now())
		return o.Sent
	}
	near, far := net.Pipe()
	go awaitClose(far)
	conn := tracedConn{near, trace}
	if write(conn, "CONNECT"); sent() {
		t.Error("sent before the connection was open")
	}
	trace.first(&trace.connected)
	closed, _ := net.Pipe()
	closed.Close()
	if write(tracedConn{closed, trace}, "GET"); sent() {
		t.Error("sent, although nothing could be written")
	}
	trace.first(&trace.firstByte)
	if !sent() {
		t.Error("not sent, although the answer came before Write returned")
	}
	trace.firstByte = time.Time{}
	if write(conn, "GET"); !sent() {
		t.Error("not sent, although the request was written")
	}
	near.Close()
}

// TestConnections checks that probes at once have one connection and one request each and get their own answers, from a
// server that promises to keep connections and closes them, and that sends more than it was asked for.
func TestConnections(t *testing.T) {
	leavesNoGoroutine(t)
	const probes = 40
	s := serveRaw(t, func(s *server, conn net.Conn) {
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

// TestRequest checks each byte of the request, and that it goes to no other host.
func TestRequest(t *testing.T) {
	elsewhere := serveRaw(t, func(*server, net.Conn) {})
	requests := make(chan string, 1)
	s := serveRaw(t, func(_ *server, conn net.Conn) {
		request := make([]byte, 4096)
		n, _ := conn.Read(request)
		requests <- string(request[:n])
		write(conn, "HTTP/1.1 307 Go\r\nLocation: http://"+elsewhere.Addr().String()+"/v2/\r\nContent-Length: 0\r\n\r\n")
	})
	checkOutcome(t, probeOnce(t, NewClient(s.config("http"), "test")), probe.Unexpected, 307, "a redirect to 127.0.0.1")
	want := "GET /v2/ HTTP/1.1\r\nHost: " + s.Addr().String() + "\r\nUser-Agent: appfigures_exporter/test\r\n" +
		"Accept: application/json\r\nAuthorization: Bearer " + token + "\r\n" +
		"Accept-Encoding: gzip\r\nConnection: close\r\n\r\n"
	if got := <-requests; got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	if n := elsewhere.connections.Load(); n != 0 {
		t.Errorf("%d connections to another host", n)
	}
}

// TestCanceled checks that a probe that was canceled has no outcome.
func TestCanceled(t *testing.T) {
	leavesNoGoroutine(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	shutdown := errors.New("shutting down")
	s := listen(t, func(conn net.Conn) {
		write(conn, ok200+"\r\n{")
		cancel(shutdown)
		awaitClose(conn)
	})
	outcome, err := NewClient(s.config("http"), "test").Probe(ctx, config.NewSecret(token))
	if !errors.Is(err, shutdown) || outcome != (probe.Outcome{}) {
		t.Errorf("got %+v, %v", outcome, err)
	}
}

// BenchmarkProbe compares a probe with what net/http alone costs for a request on a connection of its own. The work of
// the server is in both.
func BenchmarkProbe(b *testing.B) {
	s := serveRaw(b, func(s *server, conn net.Conn) {
		secure := tls.Server(conn, &tls.Config{Certificates: goodServer})
		defer secure.Close()
		s.serve(secure, says(validAnswer))
	})
	cfg := s.config("https")
	b.Run("bare", func(b *testing.B) {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: cfg.TLS}}
		for b.Loop() {
			resp, err := client.Get(cfg.APIURL.String())
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	})
	b.Run("probe", func(b *testing.B) {
		client := NewClient(cfg, "test")
		for b.Loop() {
			if outcome := probeOnce(b, client); outcome.Result != probe.Valid {
				b.Fatal(outcome)
			}
		}
	})
}
