package web

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// exposeNames stands in for the collector: one series per token.
func exposeNames(snapshot monitor.Snapshot) iter.Seq[*dto.MetricFamily] {
	registry := prometheus.NewRegistry()
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "appfigures_token_info", Help: "Tokens."}, []string{"token"})
	registry.MustRegister(info)
	for _, token := range snapshot.Tokens {
		info.WithLabelValues(token.Name).Set(1)
	}
	families, err := registry.Gather()
	if err != nil {
		panic(err)
	}
	return slices.Values(families)
}

// testOptions are those of a healthy exporter; the process' own metrics are one gauge.
func testOptions(scraper Scraper) Options {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "go_info", Help: "Of the process."}))
	return Options{
		Scraper:         scraper,
		Exposition:      exposeNames,
		Registry:        registry,
		Exporter:        prometheus.NewRegistry(),
		TimeoutOffset:   500 * time.Millisecond,
		TokensOnMetrics: true,
		Healthy:         func() error { return nil },
		Ready:           func() bool { return true },
		Reload:          func() error { return nil },
		LastReload:      func() (time.Time, error) { return threeAtNight, nil },
		Version:         "1.2.3",
		Logger:          slog.New(slog.DiscardHandler),
	}
}

func newHandler(t testing.TB, options Options) http.Handler {
	t.Helper()
	handler, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// ask makes one request with alternating names and values of header fields.
func ask(handler http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, target, nil)
	for pair := range slices.Chunk(header, 2) {
		request.Header.Set(pair[0], pair[1])
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder
}

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
		{name: "page", target: "/", status: 200, has: []string{"<h1", "14 of 20 tokens need attention"}},
		{name: "page, metrics elsewhere", options: metricsAt("/telemetry"), target: "/", status: 200,
			has: []string{`href="./telemetry"`}},
		{name: "page by HEAD", method: "HEAD", target: "/", status: 200},
		{name: "page by POST", method: "POST", target: "/", status: 405},
		{name: "unknown", target: "/nowhere", status: 404},
		{name: "below the page", target: "/index.html", status: 404},
		{name: "below the metrics", target: "/metrics/x", status: 404},

		{name: "metrics", target: "/metrics", status: 200, scrapes: 1,
			has: []string{tokens, process, "promhttp_metric_handler_requests_total",
				"promhttp_metric_handler_errors_total", "promhttp_metric_handler_requests_in_flight 1"}},
		{name: "metrics by name", target: "/metrics?name[]=go_info", status: 200, scrapes: 1,
			has: []string{process}, lacks: []string{tokens}},
		{name: "metrics by HEAD", method: "HEAD", target: "/metrics", status: 200},
		{name: "metrics by POST", method: "POST", target: "/metrics", status: 405},
		{name: "metrics elsewhere", options: metricsAt("/telemetry"), target: "/telemetry", status: 200, scrapes: 1,
			has: []string{tokens}},
		{name: "metrics no more here", options: metricsAt("/telemetry"), target: "/metrics", status: 404},
		{name: "metrics below a directory", options: metricsAt("/a/"), target: "/a/", status: 200, scrapes: 1,
			has: []string{tokens}},
		{name: "metrics at the root", options: metricsAt("/"), target: "/", status: 200, scrapes: 1,
			has: []string{tokens}, lacks: []string{"<h1"}},
		{name: "metrics without tokens", options: noTokens, target: "/metrics", status: 200,
			has: []string{process}, lacks: []string{tokens}},

		{name: "probe", target: "/probe?target=mobile2", status: 200, scrapes: 1,
			has: []string{`appfigures_token_info{token="mobile2"}`}, lacks: []string{"go_info", "promhttp_", "reporting"}},
		{name: "probe with other parameters", target: "/probe?module=x&target=mobile2", status: 200, scrapes: 1},
		{name: "probe without tokens on /metrics", options: noTokens, target: "/probe?target=mobile2",
			status: 200, scrapes: 1},
		{name: "probe by HEAD", method: "HEAD", target: "/probe?target=mobile2", status: 200},
		{name: "probe by POST", method: "POST", target: "/probe?target=mobile2", status: 405},
		{name: "probe of a strange name", target: "/probe?target=" + url.QueryEscape(`<script>alert("x")</script>`),
			status: 200, scrapes: 1},
		{name: "probe of nothing", target: "/probe", status: 400, has: []string{"/probe?target=NAME"}},
		{name: "probe of an empty name", target: "/probe?target=", status: 400},
		{name: "probe of two", target: "/probe?target=mobile2&target=etl", status: 400},
		{name: "probe of the same twice", target: "/probe?target=mobile2&target=mobile2", status: 400},
		{name: "probe of an unknown name", target: "/probe?target=pat_12345", status: 404,
			has: []string{"/sd"}, lacks: []string{"pat_12345"}},
		{name: "probe of a URL", target: "/probe?target=http://127.0.0.1/", status: 404, lacks: []string{"127.0.0.1"}},
		{name: "probe with a broken query", target: "/probe?target=mobile2;x=%zz", status: 400, lacks: []string{"%zz"}},

		{name: "discovery", target: "/sd", status: 200, has: []string{`"targets":["mobile2"]`}},
		{name: "discovery by POST", method: "POST", target: "/sd", status: 405},

		{name: "status", target: "/api/v1/status", status: 200, has: []string{`"state":"denied"`, `"name":"mobile2"`}},
		{name: "status by HEAD", method: "HEAD", target: "/api/v1/status", status: 200},
		{name: "status by POST", method: "POST", target: "/api/v1/status", status: 405},
		{name: "other version of the status", target: "/api/v2/status", status: 404},

		{name: "healthy", target: "/-/healthy", status: 200, has: []string{"healthy"}},
		{name: "healthy by HEAD", method: "HEAD", target: "/-/healthy", status: 200},
		{name: "not healthy", options: stuck, target: "/-/healthy", status: 503,
			has: []string{"not healthy: stuck for 9s"}},
		{name: "healthy while shutting down", options: stopping, target: "/-/healthy", status: 200},
		{name: "ready", target: "/-/ready", status: 200, has: []string{"ready"}},
		{name: "not ready", options: stopping, target: "/-/ready", status: 503, has: []string{"not ready"}},

		{name: "reload", method: "POST", target: "/-/reload", status: 200, has: []string{"reloaded"}},
		{name: "reload by GET", target: "/-/reload", status: 405},
		{name: "reload that fails", options: badConfig, method: "POST", target: "/-/reload", status: 500,
			has: []string{"failed; keeping the old one", "config.yml:3: tokens: none"}},

		{name: "no profiles unasked", target: "/debug/pprof/", status: 404},
		{name: "no heap unasked", target: "/debug/pprof/heap", status: 404},
		{name: "profiles", options: pprof, target: "/debug/pprof/", status: 200, has: []string{"goroutine"}},
		{name: "heap", options: pprof, target: "/debug/pprof/heap", status: 200},
		{name: "command line", options: pprof, target: "/debug/pprof/cmdline", status: 200},
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
		"/a?b":                 "must be a plain path",
		"//metrics":            "must be a plain path",
		"/metrics//":           "must be a plain path",
		"/a/../b":              "must be a plain path",
		"/probe":               "already used",
		"/sd":                  "already used",
		"/api/v1/status":       "already used",
		"/-/healthy":           "already used",
		"/-/reload":            "already used",
		"/debug/pprof/":        "used for profiles",
		"/debug/pprof/profile": "used for profiles",
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
	if answer := ask(newHandler(t, testOptions(scraper)), "GET", "/probe?target=mobile2"); answer.Code != 404 {
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
	for header, want := range map[string]time.Duration{"2": 1500 * time.Millisecond, "": 0, "soon": 0} {
		for _, target := range []string{"/metrics", "/probe?target=mobile2"} {
			scraper := &fakeScraper{snapshot: everyState()}
			scraper.onScrape = func(_ context.Context, deadline time.Time) {
				got := time.Until(deadline)
				if deadline.IsZero() != (want == 0) || want != 0 && (got > want || got < want-time.Second) {
					t.Errorf("%s with header %q: deadline %v, in %v, want %v", target, header, deadline, got, want)
				}
			}
			ask(newHandler(t, testOptions(scraper)), "GET", target, timeoutHeader, header)
		}
	}
}

func TestSecurityHeaders(t *testing.T) {
	options := testOptions(&fakeScraper{snapshot: everyState()})
	options.EnablePprof = true
	handler := newHandler(t, options)
	for _, target := range []string{"/", "/metrics", "/probe?target=mobile2", "/probe", "/sd", "/api/v1/status", "/nowhere", "/-/healthy",
		"/debug/pprof/"} {
		header := ask(handler, "GET", target).Header()
		policy := header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: Content-Security-Policy %q lacks %s", target, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") {
			t.Errorf("%s: Content-Security-Policy %q permits too much", target, policy)
		}
		for key, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		} {
			if got := header.Get(key); got != want {
				t.Errorf("%s: %s %q, want %q", target, key, got, want)
			}
		}
	}
}

func TestConfiguredSecurityHeadersRemain(t *testing.T) {
	handler := newHandler(t, testOptions(&fakeScraper{snapshot: everyState()}))
	const configured = "default-src 'self'"
	for _, target := range []string{"/", "/-/healthy"} {
		recorder := httptest.NewRecorder()
		recorder.Header().Set("Content-Security-Policy", configured) // as exporter-toolkit does
		handler.ServeHTTP(recorder, httptest.NewRequest("GET", target, nil))
		if got := recorder.Header().Get("Content-Security-Policy"); got != configured {
			t.Errorf("%s: Content-Security-Policy %q, want the configured %q", target, got, configured)
		}
	}
}

// FuzzProbeTarget checks that only the name of a token makes a probe, and that no error quotes the query: a target may
// be a secret that was put in the wrong place.
func FuzzProbeTarget(f *testing.F) {
	scraper := &fakeScraper{snapshot: everyState()}
	handler := newHandler(f, testOptions(scraper))
	for _, query := range []string{
		"", "target", "target=", "target=mobile2", "target=mobile2&target=mobile2", "target=http://x/",
		"target=%zz", "target=a;b", "target=%00", "Target=mobile", "target=mobile2&name[]=x",
		"target[]=mobile", "target=%6dobile2", "target=pat_secret", "target=pat_secret&target=x",
		"target=pat_secret&%zz",
	} {
		f.Add(query)
	}
	ask := func(query string) (status int, all string) {
		request := httptest.NewRequest("GET", "/probe", nil)
		request.URL.RawQuery = query
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		return recorder.Code, fmt.Sprint(recorder.Code, recorder.Header(), recorder.Body)
	}
	f.Fuzz(func(t *testing.T, query string) {
		before := scraper.scrapes.Load()
		status, answer := ask(query)
		probed := scraper.scrapes.Load() > before

		want, alike := http.StatusBadRequest, "" // status, and a harmless query that is refused in the same words
		values, err := url.ParseQuery(query)
		switch names := values["target"]; {
		case err != nil:
			alike = "%zz"
		case len(names) != 1 || names[0] == "":
		case scraper.Has(names[0]):
			want = http.StatusOK
		default:
			want, alike = http.StatusNotFound, "target=nobody"
		}
		if status != want {
			t.Errorf("%q: status %d, want %d", query, status, want)
		}
		if _, refusal := ask(alike); want != http.StatusOK && answer != refusal {
			t.Errorf("%q is answered\n%s\nbut %q\n%s", query, answer, alike, refusal)
		}
		if probed != (want == http.StatusOK) {
			t.Errorf("%q: status %d, probed: %v", query, status, probed)
		}
	})
}
