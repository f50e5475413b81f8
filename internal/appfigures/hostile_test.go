package appfigures_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// The servers of these tests do what no server should. Each is met by one token, the victim, while another, its
// neighbor, is probed over the same session and is treated well.
const (
	victimToken   = sentinel
	neighborToken = "pat_neighbor0123456789abcdef"
	proxyPassword = "pr0xyPassw0rd"
)

const (
	// shortTimeout is the time of a probe that is to end because its time is over.
	shortTimeout = 200 * time.Millisecond
	// longTimeout is the time of all others: none of them may need it, however busy the machine is.
	longTimeout = 20 * time.Second
	// grace is how long something may take that happens at once, on a machine that is busy.
	grace = 2 * time.Second
)

const validBody = `{"status":"200","user":{}}`

// validAnswer is what a neighbor gets.
const validAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n" + validBody

func TestMain(m *testing.M) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		os.Unsetenv(name)
		os.Unsetenv(strings.ToLower(name))
	}
	log.SetOutput(io.Discard) // as the program does; see Session
	resolveHere()
	_ = flag.Set("test.parallel", "32") // most tests only wait
	os.Exit(m.Run())
}

// hostileCase is a way to treat a victim.
type hostileCase struct {
	// answer treats each request of the victim. The connection is closed afterwards, unless the answer is valid.
	answer func(net.Conn, *http.Request)

	want   probe.Result
	status int // HTTP status that the probe reports
}

// timeout returns the time of a probe that is to end like this.
func (c hostileCase) timeout() time.Duration {
	switch {
	case c.want != probe.Timeout:
		return longTimeout
	case c.status != 0: // an answer must begin in time
		return grace
	}
	return shortTimeout
}

// hostileServer is a server on the loopback interface.
type hostileServer struct {
	hostileCase
	scheme   string
	listener net.Listener
	reached  chan struct{} // closed when the first request of the victim has come
	once     sync.Once
	requests atomic.Int64 // of the victim
	others   atomic.Int64 // of the neighbor
}

// serveHostile starts a server. The scheme is http or https.
func serveHostile(t *testing.T, scheme string, c hostileCase) *hostileServer {
	t.Helper()
	s := &hostileServer{hostileCase: c, scheme: scheme, reached: make(chan struct{})}
	s.listener = listen(t, func(conn net.Conn, _ int64) {
		if scheme == "https" {
			conn = tls.Server(conn, goodServer)
			defer conn.Close()
		}
		s.serve(conn)
	})
	return s
}

// config names the server as the API.
func (s *hostileServer) config(t *testing.T) *config.Config { return configOf(t, s.scheme, s.listener) }

// configOf names the listener as the API.
func configOf(t *testing.T, scheme string, listener net.Listener) *config.Config {
	return &config.Config{APIURL: urlOf(t, scheme, listener), TLS: trusting, Timeout: longTimeout, MaxConcurrency: 4}
}

// listen starts a server that ends with the test. Each connection is closed after serve, which also gets its number,
// counted from 1. At the test's end clients must have closed the connections that serve still holds.
func listen(t *testing.T, serve func(net.Conn, int64)) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	var open sync.Map // of net.Conn
	serving.Go(func() {
		for number := int64(1); ; number++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open.Store(conn, nil)
			serving.Go(func() {
				defer open.Delete(conn)
				defer conn.Close()
				serve(conn, number)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		ended := make(chan struct{})
		go func() { serving.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(grace):
			t.Error("the client has not closed all of its connections")
			open.Range(func(conn, _ any) bool { conn.(net.Conn).Close(); return true })
			<-ended
		}
	})
	return listener
}

func urlOf(t *testing.T, scheme string, listener net.Listener) *url.URL {
	return parseURL(t, scheme+"://"+listener.Addr().String()+"/v2/")
}

// serve serves one connection.
func (s *hostileServer) serve(conn net.Conn) {
	reader := bufio.NewReader(conn)
	for {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		if request.Header.Get("Authorization") != "Bearer "+victimToken {
			s.others.Add(1)
			write(conn, validAnswer)
			continue
		}
		s.requests.Add(1)
		s.once.Do(func() { close(s.reached) })
		if s.answer == nil {
			write(conn, validAnswer)
			continue
		}
		s.answer(conn, request)
		if s.want != probe.Valid {
			return
		}
	}
}

// newSession opens a session that ends with the test.
func newSession(t *testing.T, cfg *config.Config) *appfigures.Session {
	t.Helper()
	session := appfigures.NewSession(cfg, "test")
	t.Cleanup(session.Close)
	return session
}

// attack probes the victim and, as soon as the server has its request, the neighbor.
func attack(t *testing.T, s *hostileServer) {
	t.Helper()
	session := newSession(t, s.config(t))
	var outcome probe.Outcome
	done := make(chan struct{})
	go func() {
		defer close(done)
		outcome = probeFor(t, session, victimToken, s.timeout())
	}()
	select {
	case <-s.reached:
	case <-done:
	}
	neighbor := probeWithin(t, session, neighborToken, probe.Valid)
	<-done

	if neighbor.Result != probe.Valid || s.others.Load() != 1 {
		t.Errorf("the neighbor is %s (%s) after %d requests, want it valid after one",
			neighbor.Result, neighbor.Message, s.others.Load())
	}
	checkOutcome(t, outcome, s.want, s.status)
	if n := s.requests.Load(); n > 1 || n < 1 && s.want != probe.Timeout {
		t.Errorf("the server got %d requests, want 1", n)
	}
}

func checkOutcome(t *testing.T, outcome probe.Outcome, want probe.Result, status int) {
	t.Helper()
	if outcome.Result != want || outcome.HTTPStatus != status {
		t.Errorf("result %s, status %d (%s); want %s, %d",
			outcome.Result, outcome.HTTPStatus, outcome.Message, want, status)
	}
	checkMessage(t, outcome.Message)
}

// probeWithin makes one probe. One that is to time out has little time for it.
func probeWithin(t *testing.T, session *appfigures.Session, token string, want probe.Result) probe.Outcome {
	return probeFor(t, session, token, hostileCase{want: want}.timeout())
}

// probeFor makes one probe, which must end soon after the timeout.
func probeFor(t *testing.T, session *appfigures.Session, token string, timeout time.Duration) probe.Outcome {
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	within := timeout + grace
	start := time.Now()
	outcome, err := session.Probe(ctx, config.NewSecret(token))
	if err != nil {
		t.Errorf("the probe has no result: %v", err)
	}
	if took := time.Since(start); took > within || outcome.Duration > within {
		t.Errorf("the probe took %s, want at most %s", took, within)
	}
	return outcome
}

// checkMessage checks that a message is short and tells nothing of a token or a proxy's password.
func checkMessage(t *testing.T, message string) {
	t.Helper()
	if n := len([]rune(message)); n > 200 || strings.ContainsAny(message, "\r\n\x00\x1b") {
		t.Errorf("the message has %d characters or control characters: %q", n, message)
	}
	for _, secret := range []string{victimToken[:8], victimToken[12:20], proxyPassword} {
		if strings.Contains(message, secret) {
			t.Errorf("the message quotes a secret: %q", message)
		}
	}
}

// leavesNothing runs tests and checks that, after the last of them, no goroutine and no file descriptor is left.
func leavesNothing(t *testing.T, run func(*testing.T)) {
	warm, err := net.Listen("tcp4", "127.0.0.1:0") // the first opens descriptors that stay: the runtime's poller
	if err != nil {
		t.Fatal(err)
	}
	warm.Close()
	goroutines, descriptors := runtime.NumGoroutine(), openDescriptors(t)
	t.Run("each", run)

	deadline := time.Now().Add(grace)
	for runtime.NumGoroutine() > goroutines || openDescriptors(t) > descriptors {
		if time.Now().After(deadline) {
			var stacks strings.Builder
			_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
			t.Fatalf("%d goroutines and %d descriptors, before it were %d and %d; goroutines:\n%s",
				runtime.NumGoroutine(), openDescriptors(t), goroutines, descriptors, stacks.String())
		}
		runtime.Gosched()
	}
}

// openDescriptors counts the files that this process has open; 0 where the system does not say.
func openDescriptors(t *testing.T) int {
	t.Helper()
	for _, dir := range []string{"/proc/self/fd", "/dev/fd"} {
		if entries, err := os.ReadDir(dir); err == nil {
			return len(entries)
		}
	}
	return 0
}

// dribble writes text over and over, a byte at a time.
func dribble(conn net.Conn, text string) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for i := 0; ; i++ {
		if _, err := conn.Write([]byte{text[i%len(text)]}); err != nil {
			return
		}
		<-ticker.C
	}
}

// then writes text and does what follows.
func then(text string, next func(net.Conn)) func(net.Conn, *http.Request) {
	return func(conn net.Conn, _ *http.Request) {
		write(conn, text)
		next(conn)
	}
}

// says writes text.
func says(text string) func(net.Conn, *http.Request) { return then(text, func(net.Conn) {}) }

// stalls writes text, and nothing more for as long as the client waits.
func stalls(text string) func(net.Conn, *http.Request) { return then(text, awaitClose) }

func floods(text, unit string) func(net.Conn, *http.Request) {
	unit = strings.Repeat(unit, max(1, 4096/len(unit)))
	return then(text, func(conn net.Conn) { writeForever(conn, unit) })
}

func drips(text, unit string) func(net.Conn, *http.Request) {
	return then(text, func(conn net.Conn) { dribble(conn, unit) })
}
