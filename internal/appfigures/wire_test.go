package appfigures_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
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
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"

	"github.com/appfigures-exporter/appfigures_exporter/collector"
	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

var update = flag.Bool("update", false, "write testdata/wire/*/want.prom anew")

// sentinel is the token of all tests: no output may hold it.
const sentinel = "pat_5entinel0123456789abcdef"

// TestWire answers one probe with each response.http and compares the result, and the whole exposition, with what
// stands beside it. want.result was written by hand; -update writes only want.prom.
func TestWire(t *testing.T) {
	cases, err := filepath.Glob("testdata/wire/*/response.http")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range cases {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			api := serveRaw(t, respond(wireFormat(t, path)))
			checkWire(t, dir, probeOnce(t, &config.Config{APIURL: api.url, Timeout: 10 * time.Second}))
			if n := api.requests.Load(); n != 1 {
				t.Errorf("the server got %d requests, want 1", n)
			}
		})
	}
}

// TestWireBehaviours is TestWire for what no file can hold.
func TestWireBehaviours(t *testing.T) {
	for name, serve := range map[string]func(net.Conn, *http.Request){
		"closes_without_a_byte": func(net.Conn, *http.Request) {},
		"resets_before_a_byte":  func(c net.Conn, _ *http.Request) { reset(c) },
		"resets_after_headers": func(c net.Conn, _ *http.Request) {
			write(c, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\n")
			reset(c)
		},
		"closes_in_headers": func(c net.Conn, _ *http.Request) { write(c, "HTTP/1.1 401 Unauthorized\r\nContent-") },
		"hangs":             func(c net.Conn, _ *http.Request) { awaitClose(c) },
		"hangs_after_headers": func(c net.Conn, _ *http.Request) {
			write(c, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\n")
			awaitClose(c)
		},
		"headers_that_never_end": func(c net.Conn, _ *http.Request) {
			write(c, "HTTP/1.1 200 OK\r\n")
			writeForever(c, "X-More: more\r\n")
		},
		"body_that_never_ends": func(c net.Conn, _ *http.Request) { write(c, "HTTP/1.1 200 OK\r\n\r\n"); writeForever(c, "{}") },
		"body_of_1_mib":        func(c net.Conn, _ *http.Request) { write(c, paddedTo(1<<20)) },
		"body_of_1_mib_and_1":  func(c net.Conn, _ *http.Request) { write(c, paddedTo(1<<20+1)) },
		"gzip_bomb":            func(c net.Conn, _ *http.Request) { write(c, gzipped(strings.Repeat(" ", 2<<20)+`{"user":{}}`)) },
		"gzip":                 func(c net.Conn, _ *http.Request) { write(c, gzipped(`{"status":"200","user":{}}`)) },
		"gzip_garbage": func(c net.Conn, _ *http.Request) {
			write(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello")
		},
		"echoes_the_header":     echo,
		"echoes_as_status_line": func(c net.Conn, r *http.Request) { write(c, r.Header.Get("Authorization")+"\r\n\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			timeout := 10 * time.Second
			if strings.HasPrefix(name, "hangs") {
				timeout = 200 * time.Millisecond
			}
			api := serveRaw(t, serve)
			checkWire(t, filepath.Join("testdata/behaviour", name), probeOnce(t, &config.Config{APIURL: api.url, Timeout: timeout}))
			if n := api.requests.Load(); n != 1 {
				t.Errorf("the server got %d requests, want 1", n)
			}
		})
	}
}

// TestTimeoutSaysWhere holds that the message of a timeout names what the probe was waiting for.
func TestTimeoutSaysWhere(t *testing.T) {
	for want, serve := range map[string]func(net.Conn, *http.Request){
		"gave up after 200ms, waiting for the answer": func(c net.Conn, _ *http.Request) { awaitClose(c) },
		"gave up after 200ms, reading the answer":     func(c net.Conn, _ *http.Request) { write(c, "HTTP/1.1 200 OK\r\n\r\n"); awaitClose(c) },
	} {
		got := probeOnce(t, &config.Config{APIURL: serveRaw(t, serve).url, Timeout: 200 * time.Millisecond})
		if !regexp.MustCompile(strings.Replace(want, "200ms", "[2-9]00ms", 1)).MatchString(got.logs) {
			t.Errorf("the log does not say %q:\n%s", want, got.logs)
		}
	}
}

// TestUnreached probes what cannot be reached at all.
func TestUnreached(t *testing.T) {
	trusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	trusted.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	trusted.StartTLS()
	t.Cleanup(trusted.Close)
	refused := refusedURL(t)
	for name, cfg := range map[string]*config.Config{
		"tls_not_trusted":   {APIURL: parseURL(t, trusted.URL+"/v2/")},
		"refused":           {APIURL: refused},
		"unknown_host":      {APIURL: parseURL(t, "http://name.invalid/v2/")},
		"proxy_refused":     {APIURL: parseURL(t, "https://api.example.com/v2/"), ProxyURL: refused},
		"plain_http_spoken": {APIURL: parseURL(t, strings.Replace(serveRaw(t, respond([]byte("HTTP/1.1 401 Unauthorized\r\n\r\n"))).url.String(), "http:", "https:", 1))},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Timeout = 10 * time.Second
			got := probeOnce(t, cfg)
			checkWire(t, filepath.Join("testdata/unreached", name), got)
		})
	}
}

// TestNoToken has no wire at all: the source holds nothing.
func TestNoToken(t *testing.T) {
	api := serveRaw(t, respond([]byte("HTTP/1.1 401 Unauthorized\r\n\r\n")))
	cfg := &config.Config{APIURL: api.url, Timeout: time.Second, Tokens: []config.Token{{Name: "t", Account: "a", Source: config.FileSource(filepath.Join(t.TempDir(), "missing"))}}}
	checkWire(t, "testdata/unreached/no_token", probeOnce(t, cfg))
	if n := api.requests.Load(); n != 0 {
		t.Errorf("the server got %d requests, want none", n)
	}
}

// TestEveryResultIsReached holds that the cases above leave no member of the set out.
func TestEveryResultIsReached(t *testing.T) {
	reached := make(map[string]bool)
	for _, pattern := range []string{"testdata/wire/*/want.result", "testdata/behaviour/*/want.result", "testdata/unreached/*/want.result"} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			reached[strings.TrimSpace(readFile(t, path))] = true
		}
	}
	for _, result := range probe.Results() {
		if !reached[result.String()] {
			t.Errorf("no case ends as %s", result)
		}
		delete(reached, result.String())
	}
	for name := range reached {
		t.Errorf("%s is not a result", name)
	}
}

// found is what one scrape of a monitor with one token brought.
type found struct {
	result     probe.Result
	exposition string
	logs       string
}

// probeOnce scrapes a monitor of one token once.
func probeOnce(t *testing.T, cfg *config.Config) found {
	t.Helper()
	cfg.MaxConcurrency, cfg.Pacing.QuotaShare = 1, 0.25
	if cfg.Tokens == nil {
		cfg.Tokens = []config.Token{{
			Name: "t", Account: "a", Source: config.InlineSource(config.NewSecret(sentinel)),
			Labels: []config.Label{{Name: "team", Value: "growth"}, {Name: "zone", Value: "eu"}},
		}}
	}
	var logs bytes.Buffer
	m := monitor.New(cfg, func(cfg *config.Config) monitor.Open {
		client := appfigures.NewClient(cfg, "test")
		return func(ctx context.Context) monitor.Session { return client.NewSession(ctx) }
	}, slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer m.Stop()
	snapshot := m.Scrape(t.Context(), time.Now().Add(30*time.Second))
	return found{snapshot.Tokens[0].Last.Result, expose(t, snapshot), logs.String()}
}

// expose returns the snapshot's metrics in the text format, checked as a pedantic registry and promtool would.
func expose(t *testing.T, snapshot monitor.Snapshot) string {
	t.Helper()
	families, err := prometheus.Gatherers{collector.Snapshot(snapshot)}.Gather()
	if err != nil {
		t.Errorf("the metrics are not consistent: %v", err)
	}
	var text bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			t.Error(err)
		}
	}
	problems, err := promlint.New(bytes.NewReader(text.Bytes())).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
	return text.String()
}

// measured matches the values that differ from run to run.
var measured = regexp.MustCompile(`(?m)^(appfigures_\w*(?:_timestamp|_duration)_seconds(?:\{.*\})?) [0-9.e+-]*[1-9][0-9.e+-]*$`)

// checkWire compares what was found with want.result and want.prom in dir. Nothing may hold the token or the user.
func checkWire(t *testing.T, dir string, got found) {
	t.Helper()
	if want := strings.TrimSpace(readFile(t, filepath.Join(dir, "want.result"))); got.result.String() != want {
		t.Errorf("result %s, want %s; log:\n%s", got.result, want, got.logs)
	}
	exposition := measured.ReplaceAllString(got.exposition, "$1 MEASURED")
	golden := filepath.Join(dir, "want.prom")
	if *update {
		if err := os.WriteFile(golden, []byte(exposition), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := readFile(t, golden); exposition != want {
		t.Errorf("exposition differs from %s:\n%s", golden, difference(want, exposition))
	}
	for _, secret := range []string{sentinel, sentinel[:8], sentinel[12:20], "Ada", "ada@", "Lovelace"} {
		if strings.Contains(got.exposition+got.logs, secret) {
			t.Errorf("%q shows up in:\n%s\n%s", secret, got.exposition, got.logs)
		}
	}
}

// difference returns the lines that only one of two texts has.
func difference(want, got string) string {
	wants, gots := strings.Split(want, "\n"), strings.Split(got, "\n")
	var lines []string
	for _, line := range wants {
		if !slices.Contains(gots, line) {
			lines = append(lines, "- "+line)
		}
	}
	for _, line := range gots {
		if !slices.Contains(wants, line) {
			lines = append(lines, "+ "+line)
		}
	}
	return strings.Join(lines, "\n")
}

// rawServer is a TCP server that reads HTTP requests and lets a function answer them.
type rawServer struct {
	url      *url.URL
	requests atomic.Int64
}

// serveRaw starts a raw server. answer is called once for each request of a connection; what it leaves open is closed
// after it.
func serveRaw(t *testing.T, answer func(net.Conn, *http.Request)) *rawServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	s := &rawServer{url: parseURL(t, "http://"+listener.Addr().String()+"/v2/")}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn, answer)
		}
	}()
	return s
}

func (s *rawServer) serve(conn net.Conn, answer func(net.Conn, *http.Request)) {
	defer conn.Close()
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	s.requests.Add(1)
	answer(conn, request)
}

// respond answers with the bytes given.
func respond(response []byte) func(net.Conn, *http.Request) {
	return func(conn net.Conn, _ *http.Request) { write(conn, string(response)) }
}

func echo(conn net.Conn, r *http.Request) {
	body := fmt.Sprintf(`{"status":403,"message":"You sent %s","additional":"token %s is unknown"}`,
		r.Header.Get("Authorization"), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")[:16])
	write(conn, fmt.Sprintf("HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
}

// write ignores errors: a client may well have gone by now.
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

func gzipped(body string) string {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = io.WriteString(w, body)
	_ = w.Close()
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", packed.Len(), packed.Bytes())
}

// paddedTo returns a valid answer with a body of n bytes.
func paddedTo(n int) string {
	body := `{"status":"200","user":{}}`
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s%s", n, strings.Repeat(" ", n-len(body)), body)
}

func wireFormat(t *testing.T, path string) []byte {
	t.Helper()
	head, body, _ := strings.Cut(readFile(t, path), "\n\n")
	head = strings.ReplaceAll(head, "\n", "\r\n")
	lower := strings.ToLower(head)
	if strings.HasPrefix(head, "HTTP/") && !strings.Contains(lower, "content-length:") && !strings.Contains(lower, "transfer-encoding:") {
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
	return parseURL(t, "http://"+listener.Addr().String()+"/v2/")
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
