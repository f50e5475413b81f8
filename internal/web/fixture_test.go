package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/appfigures-exporter/appfigures_exporter/collector"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// now is when the tests look at the page.
var now = time.Date(2026, 5, 4, 3, 0, 0, 0, time.UTC)

// sentinel is in every token's secret, which no response may contain.
const sentinel = "pat_SENTINEL"

// fakeScraper knows two tokens, and counts scrapes.
type fakeScraper struct {
	tokens     []monitor.TokenState
	scrapes    atomic.Int32
	onScrape   func(context.Context)
	onSnapshot func()
}

// newScraper returns a scraper with a token that is denied and one with a strange name that was not probed.
func newScraper() *fakeScraper {
	secret := config.InlineSource(config.NewSecret(sentinel))
	labels := []config.Label{{Name: "team", Value: "mobile"}}
	return &fakeScraper{tokens: []monitor.TokenState{
		{Token: config.Token{Name: "etl", Account: "acme", Source: secret, Labels: labels},
			Findings: state.Findings{
				Verdict: probe.VerdictDenied, Reason: probe.Rejected, Probed: true, Last: probe.Outcome{Result: probe.Rejected},
			}},
		{Token: config.Token{Name: `<script>alert("x")</script>`, Account: "acme", Source: secret}},
	}, onScrape: func(context.Context) {}, onSnapshot: func() {}}
}

func (f *fakeScraper) Scrape(ctx context.Context, names ...string) monitor.Snapshot {
	f.scrapes.Add(1)
	f.onScrape(ctx)
	return f.Snapshot(names...)
}

func (f *fakeScraper) Snapshot(names ...string) monitor.Snapshot {
	f.onSnapshot()
	others := func(token monitor.TokenState) bool { return len(names) > 0 && !slices.Contains(names, token.Name) }
	return monitor.Snapshot{Time: now, Tokens: slices.DeleteFunc(slices.Clone(f.tokens), others)}
}

// testOptions are those of a healthy exporter; the process' own metrics are one gauge.
func testOptions(scraper *fakeScraper) Options {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "go_info", Help: "Of the process."}))
	return Options{
		TelemetryPath:   "/metrics",
		Scraper:         scraper,
		Exporter:        func() collector.Exporter { return collector.Exporter{} },
		Registry:        registry,
		TokensOnMetrics: true,
		Reload:          func() error { return nil },
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
