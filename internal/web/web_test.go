package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestEndpoints(t *testing.T) {
	const tokens, process = "appfigures_token_info{", "go_info 0"
	metricsAt := func(path string) func(*Options) { return func(o *Options) { o.TelemetryPath = path } }
	noTokens := func(o *Options) { o.TokensOnMetrics = false }
	stopping := func(o *Options) { o.Ready = func() bool { return false } }
	pprof := func(o *Options) { o.EnablePprof = true }
	stuck := func(o *Options) { o.Healthy = func() error { return errors.New("stuck for 9s") } }
	badConfig := func(o *Options) { o.Reload = func() error { return errors.New("config.yml:3: tokens: none") } }
	for _, test := range []struct {
		name    string
		options func(*Options)
		method  string
		target  string
		status  int
		has     []string // in the body
		lacks   []string
		scrapes int32
	}{
		{name: "page", target: "/", status: 200, has: []string{"<h1", "5 of 20 tokens are denied"}},
		{name: "page, metrics elsewhere", options: metricsAt("/telemetry"), target: "/", status: 200,
			has: []string{`href="./telemetry"`}},
		{name: "page by POST", method: "POST", target: "/", status: 405},
		{name: "unknown", target: "/nowhere", status: 404},

		{name: "metrics", target: "/metrics", status: 200, scrapes: 1,
			has: []string{tokens, process, "promhttp_metric_handler_requests_total",
				"promhttp_metric_handler_errors_total", "promhttp_metric_handler_requests_in_flight 1"}},
		{name: "metrics by name", target: "/metrics?name[]=go_info", status: 200, scrapes: 1,
			has: []string{process}, lacks: []string{tokens}},
		{name: "metrics by HEAD", method: "HEAD", target: "/metrics", status: 200},
		{name: "metrics by POST", method: "POST", target: "/metrics", status: 405},
		{name: "metrics elsewhere", options: metricsAt("/telemetry"), target: "/telemetry", status: 200, scrapes: 1,
			has: []string{tokens}},
		{name: "metrics at the root", options: metricsAt("/"), target: "/", status: 200, scrapes: 1,
			has: []string{tokens}, lacks: []string{"<h1"}},
		{name: "metrics without tokens", options: noTokens, target: "/metrics", status: 200,
			has: []string{process, "appfigures_exporter_build_info"}, lacks: []string{tokens}},

		{name: "probe", target: "/probe?target=mobile-old", status: 200, scrapes: 1,
			has: []string{`appfigures_token_info{account="acme",team="mobile",token="mobile-old"} 1`}, lacks: []string{"go_info", "promhttp_", "appfigures_exporter", "reporting"}},
		{name: "probe with other parameters", target: "/probe?module=x&target=mobile-old", status: 200, scrapes: 1},
		{name: "probe by HEAD", method: "HEAD", target: "/probe?target=mobile-old", status: 200},
		{name: "probe of a strange name", target: "/probe?target=" + url.QueryEscape(`<script>alert("x")</script>`),
			status: 200, scrapes: 1},
		{name: "probe of nothing", target: "/probe", status: 400, has: []string{"/probe?target=NAME"}},
		{name: "probe of an empty name", target: "/probe?target=", status: 400},
		{name: "probe of two", target: "/probe?target=mobile-old&target=etl", status: 400},
		{name: "probe of an unknown name", target: "/probe?target=pat_12345", status: 404,
			has: []string{"/sd"}, lacks: []string{"pat_12345"}},
		{name: "probe of a URL", target: "/probe?target=http://127.0.0.1/", status: 404, lacks: []string{"127.0.0.1"}},
		{name: "probe with a broken query", target: "/probe?target=mobile-old;x=%zz", status: 400, lacks: []string{"%zz"}},

		{name: "discovery", target: "/sd", status: 200, has: []string{
			`{"targets":["mobile-old"],"labels":{"__meta_appfigures_account":"acme","__meta_appfigures_label_team":"mobile"}}`,
		}},

		{name: "status", target: "/api/v1/status", status: 200, has: []string{`"state":"denied"`, `"name":"mobile-old"`}},

		{name: "healthy", target: "/-/healthy", status: 200, has: []string{"healthy"}},
		{name: "not healthy", options: stuck, target: "/-/healthy", status: 503,
			has: []string{"not healthy: stuck for 9s"}},
		{name: "healthy while shutting down", options: stopping, target: "/-/healthy", status: 200},
		{name: "ready", target: "/-/ready", status: 200, has: []string{"ready"}},
		{name: "not ready", options: stopping, target: "/-/ready", status: 503, has: []string{"not ready"}},

		{name: "reload", method: "POST", target: "/-/reload", status: 200, has: []string{"reloaded"}},
		{name: "reload by PUT", method: "PUT", target: "/-/reload", status: 200, has: []string{"reloaded"}},
		{name: "reload by GET", target: "/-/reload", status: 405},
		{name: "reload that fails", options: badConfig, method: "POST", target: "/-/reload", status: 500,
			has: []string{"failed; keeping the old one", "config.yml:3: tokens: none"}},

		{name: "no profiles unasked", target: "/debug/pprof/", status: 404},
		{name: "profiles", options: pprof, target: "/debug/pprof/", status: 200, has: []string{"goroutine"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			scraper := &fakeScraper{snapshot: everyState()}
			options := testOptions(scraper)
			if test.options != nil {
				test.options(&options)
			}
			method := test.method
			if method == "" {
				method = http.MethodGet
			}
			answer := ask(newHandler(t, options), method, test.target)
			if answer.Code != test.status {
				t.Errorf("status %d, want %d: %s", answer.Code, test.status, answer.Body)
			}
			if allow := answer.Header().Get("Allow"); (answer.Code == 405) != (allow != "") {
				t.Errorf("status %d with Allow %q", answer.Code, allow)
			}
			for _, want := range test.has {
				if !strings.Contains(answer.Body.String(), want) {
					t.Errorf("the body lacks %q:\n%s", want, answer.Body)
				}
			}
			for _, bad := range append(test.lacks, sentinel) {
				if strings.Contains(answer.Body.String(), bad) {
					t.Errorf("the body has %q:\n%s", bad, answer.Body)
				}
			}
			if got := scraper.scrapes.Load(); got != test.scrapes {
				t.Errorf("%d scrapes, want %d", got, test.scrapes)
			}
		})
	}
}

func TestInvalidTelemetryPaths(t *testing.T) {
	for path, want := range map[string]string{
		"metrics":              "must begin with a slash",
		"/a{b}":                "must be a plain path",
		"/a%20b":               "must be a plain path",
		"//metrics":            "must be a plain path",
		"/metrics/":            "must be a plain path",
		"/a/../b":              "must be a plain path",
		"/probe":               "already used",
		"/-/reload":            "already used",
		"/debug/pprof/profile": "already used",
	} {
		options := testOptions(&fakeScraper{})
		options.TelemetryPath, options.EnablePprof = path, true
		_, err := New(options)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--web.telemetry-path") {
			t.Errorf("%q: error %v, want one that says %q", path, err, want)
		}
	}
}

func TestProbeOfTokenRemovedByReload(t *testing.T) {
	scraper := &fakeScraper{snapshot: everyState()}
	scraper.onScrape = func(context.Context, time.Time) { scraper.snapshot.Tokens = nil }
	if answer := ask(newHandler(t, testOptions(scraper)), "GET", "/probe?target=mobile-old"); answer.Code != 404 {
		t.Errorf("status %d, want 404", answer.Code)
	}
}

func TestReloadRejectsOtherSites(t *testing.T) {
	for _, test := range []struct {
		header []string
		status int
	}{
		{nil, 200}, // curl
		{[]string{"Sec-Fetch-Site", "same-origin"}, 200},
		{[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		{[]string{"Origin", "https://evil.example"}, 403},
	} {
		reloads := 0
		options := testOptions(&fakeScraper{})
		options.Reload = func() error { reloads++; return nil }
		answer := ask(newHandler(t, options), "POST", "/-/reload", test.header...)
		if answer.Code != test.status || (reloads == 1) != (test.status == 200) {
			t.Errorf("%q: status %d after %d reloads, want %d", test.header, answer.Code, reloads, test.status)
		}
	}
}

func TestScrapeDeadline(t *testing.T) {
	for header, want := range map[string]time.Duration{"2": 1500 * time.Millisecond, "": maxScrape} {
		for _, target := range []string{"/metrics", "/probe?target=mobile-old"} {
			scraper := &fakeScraper{snapshot: everyState()}
			scraper.onScrape = func(_ context.Context, deadline time.Time) {
				if got := time.Until(deadline); got != want { // time stands still in synctest
					t.Errorf("%s with header %q: deadline in %v, want %v", target, header, got, want)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				ask(newHandler(t, testOptions(scraper)), "GET", target, "X-Prometheus-Scrape-Timeout-Seconds", header)
			})
		}
	}
}

func TestSecurityHeaders(t *testing.T) {
	handler := newHandler(t, testOptions(&fakeScraper{snapshot: everyState()}))
	for _, target := range []string{"/", "/metrics", "/probe", "/sd", "/api/v1/status", "/nowhere", "/-/healthy"} {
		header := ask(handler, "GET", target).Header()
		policy := header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") ||
			strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") {
			t.Errorf("%s: Content-Security-Policy %q", target, policy)
		}
		for key, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		} {
			if got := header.Get(key); got != want {
				t.Errorf("%s: %s %q, want %q", target, key, got, want)
			}
		}
	}
	const configured = "default-src 'self'"
	recorder := httptest.NewRecorder()
	recorder.Header().Set("Content-Security-Policy", configured) // as exporter-toolkit does
	handler.ServeHTTP(recorder, httptest.NewRequest("GET", "/", nil))
	if got := recorder.Header().Get("Content-Security-Policy"); got != configured {
		t.Errorf("Content-Security-Policy %q, want the configured %q", got, configured)
	}
}

// pipes is a listener whose connections are in memory, so that a server on it runs in virtual time.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	connection, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return connection, nil
}
func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// connect starts a server for the handler, which stops at the test's end, and opens a connection to it.
func connect(t *testing.T, handler http.Handler) net.Conn {
	listener := make(pipes)
	server := Server(handler, slog.New(slog.DiscardHandler))
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	client, conn := net.Pipe()
	listener <- conn
	return client
}

func TestSlowClientsAreCutOff(t *testing.T) {
	for _, test := range []struct {
		name string
		send string
		want time.Duration
	}{
		{"stops in the header", "GET / HTTP/1.1\r\nHost: x\r\n", 5 * time.Second},
		{"stops in the body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", 330 * time.Second},
		{"is answered and stays", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 6 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			readBody := func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
			connection := connect(t, http.HandlerFunc(readBody))
			start := time.Now()
			go func() { _, _ = io.WriteString(connection, test.send) }()
			_, _ = io.Copy(io.Discard, connection) // until the server closes it
			if got := time.Since(start); got != test.want {
				t.Errorf("%s: cut off after %v, want %v", test.name, got, test.want)
			}
		})
	}
}

// TestLongScrapesAreAnswered checks that no timeout of the server ends the context of a scrape that takes as long as
// one may, or keeps back its answer.
func TestLongScrapesAreAnswered(t *testing.T) {
	for _, target := range []string{"/metrics", "/probe?target=mobile-old"} {
		synctest.Test(t, func(t *testing.T) {
			scraper := &fakeScraper{snapshot: everyState()}
			scraper.onScrape = func(ctx context.Context, deadline time.Time) {
				select {
				case <-ctx.Done():
					t.Errorf("%s: the context ended: %v", target, ctx.Err())
				case <-time.After(time.Until(deadline)):
				}
			}
			connection := connect(t, newHandler(t, testOptions(scraper)))
			start := time.Now()
			go func() { _, _ = fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target) }()
			response, err := http.ReadResponse(bufio.NewReader(connection), nil)
			if err != nil || response.StatusCode != http.StatusOK {
				t.Fatalf("%s: %v, %v", target, response, err)
			}
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				t.Errorf("%s: reading the answer: %v", target, err)
			}
			if took := time.Since(start); took != 5*time.Minute {
				t.Errorf("%s: answered after %v, want at the deadline", target, took)
			}
			_ = connection.Close()
		})
	}
}
