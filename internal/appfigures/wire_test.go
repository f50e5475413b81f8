package appfigures_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

var update = flag.Bool("update", false, "write testdata/wire/*/outcome again, except for the result")

// sentinel is the token of all tests: no output may contain it.
const sentinel = "pat_5entinel0123456789abcdef"

// TestWire answers one probe with each response.http and compares its outcome with the file beside it. Cases named
// box_* are what proxies, gateways and firewalls answer.
func TestWire(t *testing.T) {
	cases, err := filepath.Glob("testdata/wire/*/response.http")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	reached := make(map[string]bool)
	for _, path := range cases {
		dir := filepath.Dir(path)
		name := filepath.Base(dir)
		t.Run(name, func(t *testing.T) {
			outcome := probeRaw(t, longTimeout, answersWith(string(wireFormat(t, path))))
			checkGolden(t, filepath.Join(dir, "outcome"), describe(outcome))
			checkNothingSecret(t, outcome)
			if strings.HasPrefix(name, "box_") && outcome.Result != probe.Unexpected {
				t.Errorf("the answer of a box is %s", outcome.Result)
			}
			reached[outcome.Result.String()] = true
		})
	}
	for _, result := range probe.Results() {
		switch result {
		case probe.Timeout, probe.Unreachable, probe.NoToken: // without a response
		default:
			if !reached[result.String()] {
				t.Errorf("no response is %s", result)
			}
		}
	}
}

// TestServerBehavior is TestWire for what no file can express.
func TestServerBehavior(t *testing.T) {
	closes, hangs := func(net.Conn) {}, awaitClose
	for name, test := range map[string]struct {
		answer  string
		then    func(net.Conn)
		want    probe.Result
		status  int
		message string // part of it
	}{
		"closes without a byte": {"", closes, probe.Unreachable, 0, "closed without an answer"},
		"resets before a byte":  {"", reset, probe.Unreachable, 0, "reset"},
		"resets after headers":  {cut401, reset, probe.Unreachable, 401, "reset"},
		"closes in headers":     {"HTTP/1.1 401 Unauthorized\r\nContent-", closes, probe.Unexpected, 0, "malformed"},
		"hangs":                 {"", hangs, probe.Timeout, 0, "gave up after 2s, waiting for the answer"},
		"hangs after headers":   {cut401, hangs, probe.Timeout, 401, "gave up after 2s, reading the answer"},
		"headers that never end": {
			ok200, func(c net.Conn) { writeForever(c, "X-More: more\r\n") }, probe.Unexpected, 0, "exceeded",
		},
		"body that never ends": {
			ok200 + "\r\n", func(c net.Conn) { writeForever(c, strings.Repeat("{}", 2048)) }, probe.Unexpected, 200,
			"more than 1048576 bytes",
		},
		"body of 1 MiB":       {paddedTo(1 << 20), closes, probe.Valid, 200, ""},
		"body of 1 MiB and 1": {paddedTo(1<<20 + 1), closes, probe.Unexpected, 200, "more than 1048576 bytes"},
		"gzip":                {gzipped(validBody), closes, probe.Valid, 200, ""},
		"gzip bomb": {
			gzipped(strings.Repeat(" ", 2<<20) + validBody), closes, probe.Unexpected, 200, "more than",
		},
		"gzip garbage": {packed + "hello, this is text", closes, probe.Unexpected, 200, "unreadable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := longTimeout
			if test.want == probe.Timeout {
				timeout = grace
			}
			outcome := probeRaw(t, timeout, func(conn net.Conn) { write(conn, test.answer); test.then(conn) })
			checkOutcome(t, outcome, test.want, test.status)
			if !strings.Contains(outcome.Message, test.message) {
				t.Errorf("message %q, want %q in it", outcome.Message, test.message)
			}
			if !outcome.Sent {
				t.Error("the request is reported as not sent")
			}
		})
	}
}

const cut401 = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\n"

// TestRequest checks each byte of the request.
func TestRequest(t *testing.T) {
	requests := make(chan string, 1)
	listener := listen(t, func(conn net.Conn, _ int64) {
		request := make([]byte, 4096)
		n, _ := conn.Read(request)
		requests <- string(request[:n])
		write(conn, validAnswer)
	})
	cfg := &config.Config{APIURL: urlOf(t, "http", listener), Timeout: longTimeout, MaxConcurrency: 1}
	checkOutcome(t, probeOnce(t, newSession(t, cfg)), probe.Valid, 200)
	want := "GET /v2/ HTTP/1.1\r\nHost: " + listener.Addr().String() + "\r\nUser-Agent: appfigures_exporter/test\r\n" +
		"Accept: application/json\r\nAuthorization: Bearer " + sentinel + "\r\nAccept-Encoding: gzip\r\n\r\n"
	if got := <-requests; got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// TestCanceled checks that a probe that was canceled has no outcome.
func TestCanceled(t *testing.T) {
	s := serveHostile(t, "http", hostileCase{answer: stalls(ok200 + "\r\n{"), want: probe.Unexpected})
	session := newSession(t, s.config(t))
	ctx, cancel := context.WithCancelCause(t.Context())
	shutdown := errors.New("shutting down")
	go func() {
		<-s.reached
		cancel(shutdown)
	}()
	outcome, err := session.Probe(ctx, config.NewSecret(sentinel))
	if !errors.Is(err, shutdown) || outcome != (probe.Outcome{}) {
		t.Errorf("got %+v, %v", outcome, err)
	}
}

// TestEcho checks that nothing of a token is reported if the server echoes it.
func TestEcho(t *testing.T) {
	for name, answer := range map[string]string{
		"body": fmt.Sprintf("HTTP/1.1 403 Forbidden\r\n\r\n"+
			`{"status":403,"message":"You sent Bearer %s","additional":"unknown: %s"}`, sentinel, sentinel[:16]),
		"status line": "Bearer " + sentinel + "\r\n\r\n",
		"challenge": "HTTP/1.1 401 Unauthorized\r\nWww-Authenticate: Bearer error_description=\"bad: " + sentinel +
			"\"\r\n\r\n",
		"redirect": "HTTP/1.1 302 Found\r\nLocation: /" + sentinel + "\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			outcome := probeRaw(t, longTimeout, answersWith(answer))
			if checkNothingSecret(t, outcome); outcome.Message == "" {
				t.Error("no message")
			}
		})
	}
}

// TestUnreached probes what cannot be reached at all.
func TestUnreached(t *testing.T) {
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	plain := listen(t, func(conn net.Conn, _ int64) { write(conn, "HTTP/1.1 401 Unauthorized\r\n\r\n") })
	refused := refusedURL(t)
	for name, test := range map[string]struct {
		url     *url.URL
		proxy   *url.URL
		message string // part of it
	}{
		"TLS not trusted": {parseURL(t, untrusted.URL+"/v2/"), nil, "unknown authority"},
		"refused":         {refused, nil, "connection refused"},
		"unknown host":    {parseURL(t, "http://unknown.test./v2/"), nil, "no such host"},
		"proxy refused":   {parseURL(t, "https://api.example.com/v2/"), refused, "proxyconnect"},
		"speaks no TLS":   {urlOf(t, "https", plain), nil, "TLS handshake"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := &config.Config{APIURL: test.url, ProxyURL: test.proxy, Timeout: longTimeout, MaxConcurrency: 1}
			outcome := probeOnce(t, newSession(t, cfg))
			checkOutcome(t, outcome, probe.Unreachable, 0)
			if outcome.Sent || !strings.Contains(outcome.Message, test.message) {
				t.Errorf("sent %t, message %q, want %q in it", outcome.Sent, outcome.Message, test.message)
			}
		})
	}
}

// probeRaw makes one probe of a server that answers so, and checks that it gets one request.
func probeRaw(t *testing.T, timeout time.Duration, answer func(net.Conn)) probe.Outcome {
	t.Helper()
	s := serveHostile(t, "http", hostileCase{
		answer: func(conn net.Conn, _ *http.Request) { answer(conn) },
		want:   probe.Unexpected, // so that the server closes the connection
	})
	cfg := s.config(t)
	cfg.Timeout = timeout
	outcome := probeOnce(t, newSession(t, cfg))
	if n := s.requests.Load(); n != 1 {
		t.Errorf("the server got %d requests, want 1", n)
	}
	return outcome
}

func probeOnce(t *testing.T, session *appfigures.Session) probe.Outcome {
	t.Helper()
	outcome, err := session.Probe(t.Context(), config.NewSecret(sentinel))
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

// describe returns what an outcome says of the answer, one fact per line.
func describe(o probe.Outcome) string {
	text := fmt.Sprintf("result: %s\nhttp_status: %d\nmessage: %s\n", o.Result, o.HTTPStatus, o.Message)
	if o.Quota.LimitOK {
		text += fmt.Sprintf("quota_limit: %d\n", o.Quota.Limit)
	}
	if o.Quota.UsedOK {
		text += fmt.Sprintf("quota_used: %d\n", o.Quota.Used)
	}
	if o.Throttle.Kind != probe.NotThrottled {
		text += "throttle: " + [...]string{probe.DailyLimit: "daily_limit", probe.SlowDown: "slow_down"}[o.Throttle.Kind]
		if o.Throttle.RetryAfterOK {
			text += " " + o.Throttle.RetryAfter.String()
		}
		text += "\n"
	}
	if o.User != 0 {
		text += "user: known\n"
	}
	return text
}

// checkGolden compares got with the file. -update writes the file, but not another first line: that is written by hand.
func checkGolden(t *testing.T, file, got string) {
	t.Helper()
	want := readFile(t, file)
	wantFirst, _, _ := strings.Cut(want, "\n")
	gotFirst, _, _ := strings.Cut(got, "\n")
	if *update && wantFirst == gotFirst {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// checkNothingSecret checks that an outcome contains nothing of the token and of the API's user.
func checkNothingSecret(t *testing.T, outcome probe.Outcome) {
	t.Helper()
	text := fmt.Sprintf("%+v", outcome)
	for _, secret := range []string{sentinel, sentinel[:8], sentinel[12:20], "Ada", "ada@", "Lovelace", "secret"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in the outcome: %s", secret, text)
		}
	}
}

// write ignores errors: a client may have gone by then.
func write(conn net.Conn, text string) { _, _ = io.WriteString(conn, text) }

func writeForever(conn net.Conn, text string) {
	for {
		if _, err := io.WriteString(conn, text); err != nil {
			return
		}
	}
}

// awaitClose returns when the client closes the connection.
func awaitClose(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

func reset(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// gzipped returns an answer with a packed body.
func gzipped(body string) string { return packed + gzipMember(body) }

// paddedTo returns a valid answer with a body of n bytes.
func paddedTo(n int) string {
	padding := strings.Repeat(" ", n-len(validBody))
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s%s", n, padding, validBody)
}

// wireFormat returns a response.http with the line ends, and the length, that HTTP wants.
func wireFormat(t *testing.T, path string) []byte {
	t.Helper()
	head, body, _ := strings.Cut(readFile(t, path), "\n\n")
	head = strings.ReplaceAll(head, "\n", "\r\n")
	if strings.HasPrefix(head, "HTTP/") && !regexp.MustCompile("(?i)content-length:|transfer-encoding:").MatchString(head) {
		head += fmt.Sprintf("\r\nContent-Length: %d", len(body))
	}
	return []byte(head + "\r\n\r\n" + body)
}

func refusedURL(t *testing.T) *url.URL {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return urlOf(t, "http", listener)
}

func parseURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
