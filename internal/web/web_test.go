package web

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/appfigures-exporter/appfigures_exporter/collector"
)

// policy is the Content-Security-Policy of every response: only the page's style is allowed.
var policy = regexp.MustCompile(`^default-src 'none'; style-src 'sha256-[^ ]+'; base-uri 'none'; ` +
	`form-action 'none'; frame-ancestors 'none'$`)

func TestEndpoints(t *testing.T) {
	const tokens, process = "appfigures_token_info{", "go_info 0"
	metricsAt := func(path string) func(*Options) { return func(o *Options) { o.TelemetryPath = path } }
	noTokens := func(o *Options) { o.TokensOnMetrics = false }
	pprof := func(o *Options) { o.EnablePprof = true }
	badConfig := func(o *Options) { o.Reload = func() error { return errors.New("config.yml:3: tokens: none") } }
	noReload := func(o *Options) { o.Reload = func() error { t.Error("reloaded"); return nil } }
	reloaded := func(o *Options) {
		scraper := o.Scraper.(*fakeScraper)
		scraper.onScrape = func(context.Context) { scraper.tokens = nil }
	}
	broken := func(o *Options) {
		o.Registry.MustRegister(prometheus.CollectorFunc(func(metrics chan<- prometheus.Metric) {
			metrics <- prometheus.NewInvalidMetric(prometheus.NewDesc("broken", "", nil, nil), errors.New("broken"))
		}))
	}
	failedReload := func(o *Options) {
		failed := collector.Exporter{ReloadTime: now.Add(-time.Hour), ReloadError: errors.New("config.yml:3: <none>")}
		o.Exporter = func() collector.Exporter { return failed }
	}
	stateFile := func(age time.Duration, failing bool) func(*Options) {
		facts := collector.Exporter{StateKept: true, StateSaved: now.Add(-age), StateErrors: 3, StateFailing: failing}
		return func(o *Options) {
			o.Exporter = func() collector.Exporter { return facts }
		}
	}
	for _, test := range []struct {
		name    string
		options func(*Options)
		method  string // empty: GET
		target  string
		header  []string // names and values
		status  int
		has     []string // in the body
		lacks   []string
		scrapes int32
	}{
		{name: "page", target: "/", status: 200,
			has:   []string{"<h1", "1 of 2 tokens is denied", "No state file: a restart forgets", `href="./metrics"`},
			lacks: []string{"<script"}},
		{name: "page without what is asked for", target: "/?state=warning&refresh=off", status: 200, has: []string{
			`aria-current="true"><b>0</b> warning`, `href="./?refresh=off"><b>2</b> in all`, "No token is in this state.",
			`href="./?refresh=off&amp;state=valid"`, `href="./?state=warning">refresh every`},
			lacks: []string{`http-equiv="refresh"`, `id="token-etl"`}},
		{name: "page of one state", target: "/?state=denied", status: 200,
			has: []string{`http-equiv="refresh"`, `id="token-etl"`}, lacks: []string{`id="token-&lt;script`}},
		{name: "page after a failed reload", options: failedReload, target: "/", status: 200,
			has: []string{`class="notice denied"`, "Tried 1\u00a0h ago: config.yml:3: &lt;none&gt;"}},
		{name: "page, state file", options: stateFile(7*time.Second, false), target: "/", status: 200,
			has: []string{"State file: saved 7\u00a0s ago."}, lacks: []string{"cannot be written"}},
		{name: "page, disk full", options: stateFile(time.Hour, true), target: "/", status: 200,
			has: []string{"The state file cannot be written."}},
		{name: "page, metrics elsewhere", options: metricsAt("/telemetry"), target: "/", status: 200,
			has: []string{`href="./telemetry"`}},
		{name: "page of no state", target: "/?state=<b>", status: 400,
			has: []string{"invalid state: use one of [denied unknown warning valid]\n"}},
		{name: "unknown", target: "/nowhere", status: 404},

		{name: "metrics", target: "/metrics", status: 200, scrapes: 1,
			has: []string{tokens, process, "promhttp_metric_handler_requests_total",
				"promhttp_metric_handler_errors_total", "promhttp_metric_handler_requests_in_flight 1"}},
		{name: "metrics by HEAD", method: "HEAD", target: "/metrics", status: 200},
		{name: "metrics elsewhere", options: metricsAt("/telemetry"), target: "/telemetry", status: 200, scrapes: 1,
			has: []string{tokens}},
		{name: "metrics at the root", options: metricsAt("/"), target: "/", status: 200, scrapes: 1,
			has: []string{tokens}, lacks: []string{"<h1"}},
		{name: "metrics without tokens", options: noTokens, target: "/metrics", status: 200,
			has: []string{process, "appfigures_exporter_build_info"}, lacks: []string{tokens}},
		{name: "metrics, one broken", options: broken, target: "/metrics", status: 200, scrapes: 1, has: []string{tokens}},

		{name: "probe", target: "/probe?target=etl", status: 200, scrapes: 1,
			has:   []string{`appfigures_token_info{account="acme",team="mobile",token="etl"} 1`},
			lacks: []string{"go_info", "promhttp_", "appfigures_exporter", "script"}},
		{name: "probe of a strange name, with other parameters", status: 200, scrapes: 1,
			target: "/probe?module=x&target=" + url.QueryEscape(`<script>alert("x")</script>`)},
		{name: "probe of nothing", target: "/probe", status: 400, has: []string{"/probe?target=NAME"}},
		{name: "probe of an empty name", target: "/probe?target=", status: 400},
		{name: "probe of two", target: "/probe?target=etl&target=etl", status: 400},
		{name: "probe of an unknown name", target: "/probe?target=pat_12345", status: 404,
			has: []string{"/sd"}, lacks: []string{"pat_12345"}},
		{name: "probe with a broken query", target: "/probe?target=etl;x=%zz", status: 400, lacks: []string{"%zz"}},
		{name: "probe of a token that a reload removes", options: reloaded, target: "/probe?target=etl", status: 404,
			scrapes: 1},

		{name: "discovery", target: "/sd", status: 200, has: []string{
			`{"targets":["etl"],"labels":{"__meta_appfigures_account":"acme","__meta_appfigures_label_team":"mobile"}}`,
		}},
		{name: "status", target: "/api/v1/status", status: 200, has: []string{`"state":"denied"`, `"name":"etl"`}},

		{name: "healthy", target: "/-/healthy", status: 200, has: []string{"healthy"}},
		{name: "ready", target: "/-/ready", status: 200, has: []string{"ready"}},

		{name: "reload by PUT", method: "PUT", target: "/-/reload", status: 200, has: []string{"reloaded"}},
		{name: "reload by the same site", method: "POST", target: "/-/reload", status: 200,
			header: []string{"Sec-Fetch-Site", "same-origin"}},
		{name: "reload by GET", options: noReload, target: "/-/reload", status: 405},
		{name: "reload by another site", options: noReload, method: "POST", target: "/-/reload", status: 403,
			header: []string{"Sec-Fetch-Site", "cross-site"}},
		{name: "reload by an old browser", options: noReload, method: "POST", target: "/-/reload", status: 403,
			header: []string{"Origin", "https://evil.example"}},
		{name: "reload that fails", options: badConfig, method: "POST", target: "/-/reload", status: 500,
			has: []string{"failed; keeping the old one", "config.yml:3: tokens: none"}},

		{name: "no profiles unasked", target: "/debug/pprof/", status: 404},
		{name: "profiles", options: pprof, target: "/debug/pprof/", status: 200, has: []string{"goroutine"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			scraper := newScraper()
			options := testOptions(scraper)
			if test.options != nil {
				test.options(&options)
			}
			method := test.method
			if method == "" {
				method = http.MethodGet
			}
			answer := ask(newHandler(t, options), method, test.target, test.header...)
			if answer.Code != test.status {
				t.Errorf("status %d, want %d: %s", answer.Code, test.status, answer.Body)
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
			header := answer.Header()
			if (answer.Code == 405) != (header.Get("Allow") != "") ||
				!policy.MatchString(header.Get("Content-Security-Policy")) ||
				header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Referrer-Policy") != "no-referrer" ||
				header.Get("Cache-Control") != "no-store" {
				t.Errorf("status %d with the headers %q", answer.Code, header)
			}
		})
	}
}

// TestStuckMonitor checks that a health check gets no response while the monitor is stuck.
func TestStuckMonitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scraper, free, status := newScraper(), make(chan struct{}), 0
		scraper.onSnapshot = func() { <-free }
		go func() { status = ask(newHandler(t, testOptions(scraper)), "GET", "/-/healthy").Code }()
		synctest.Wait()
		if status != 0 {
			t.Errorf("status %d", status)
		}
		close(free)
		if synctest.Wait(); status != 200 {
			t.Errorf("status %d when it goes on", status)
		}
	})
}

// TestConfiguredHeaders checks that headers which exporter-toolkit has set from its configuration stay.
func TestConfiguredHeaders(t *testing.T) {
	const configured = "default-src 'self'"
	recorder := httptest.NewRecorder()
	recorder.Header().Set("Content-Security-Policy", configured)
	newHandler(t, testOptions(newScraper())).ServeHTTP(recorder, httptest.NewRequest("GET", "/", nil))
	if got := recorder.Header().Get("Content-Security-Policy"); got != configured {
		t.Errorf("Content-Security-Policy %q, want the configured %q", got, configured)
	}
}

func TestInvalidTelemetryPaths(t *testing.T) {
	for path, want := range map[string]string{
		"metrics":              "must begin with a slash",
		"/a%20b":               "must be a plain path",
		"//metrics":            "must be a plain path",
		"/probe":               "already used",
		"/debug/pprof/profile": "already used",
	} {
		options := testOptions(newScraper())
		options.TelemetryPath, options.EnablePprof = path, true
		_, err := New(options)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--web.telemetry-path") {
			t.Errorf("%q: error %v, want one that says %q", path, err, want)
		}
	}
}

// pipes is a listener whose connections are in memory, so that a server on it runs in virtual time.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if connection, ok := <-p; ok {
		return connection, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// TestTimeouts checks when the server cuts a client off, and that it answers the longest scrape, whose context lasts.
func TestTimeouts(t *testing.T) {
	for _, test := range []struct {
		name, send string
		want       time.Duration // until the server closes the connection
		answer     string        // the last part
	}{
		{"stops in the header", "GET / HTTP/1.1\r\nHost: x\r\n", 5 * time.Second, ""},
		{"stops in the body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", 330 * time.Second, ""},
		{"is answered and stays", "GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n", 6 * time.Minute, "is ready.\n"},
		{"scrapes", "GET /metrics HTTP/1.0\r\n\r\n", 5 * time.Minute, "_requests_total{code=\"503\"} 0\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			scraper := newScraper()
			scraper.onScrape = func(ctx context.Context) { <-ctx.Done() }
			handler := newHandler(t, testOptions(scraper))
			server := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				handler.ServeHTTP(w, r)
			}), slog.New(slog.DiscardHandler))
			listener := make(pipes)
			go func() { _ = server.Serve(listener) }()
			defer server.Close()
			client, connection := net.Pipe()
			listener <- connection
			start := time.Now()
			go func() { _, _ = io.WriteString(client, test.send) }()
			answer, _ := io.ReadAll(client)
			if got := time.Since(start); got != test.want || !strings.HasSuffix(string(answer), test.answer) {
				t.Errorf("%s: cut off after %v, want %v; answer %s", test.name, got, test.want, answer)
			}
		})
	}
}
