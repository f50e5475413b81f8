// Package web serves the exporter: metrics, service discovery, JSON, health, and a status page for people. It renders
// snapshots and has no state of its own. Only GET requests for /metrics and /probe make requests to the API.
package web

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"path"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// Scraper knows the state of the tokens and probes them.
type Scraper interface {
	// Scrape probes the named tokens that are due, or all if there are no names, and returns their state. It returns
	// when all is done, at the deadline, or when ctx ends. Without a deadline it takes as long as its probes may take.
	Scrape(ctx context.Context, deadline time.Time, names ...string) monitor.Snapshot
	// Snapshot returns the same state without probing.
	Snapshot(names ...string) monitor.Snapshot
	// Has reports whether a token of that name is configured.
	Has(name string) bool
}

// Options is what the handler serves. All fields without a default must be set.
type Options struct {
	Scraper Scraper
	// Exposition turns a snapshot into metric families, each name once, sorted by name.
	Exposition func(monitor.Snapshot) iter.Seq[*dto.MetricFamily]
	// Exporter gathers the exporter's own metrics.
	Exporter prometheus.Gatherer
	// Registry holds the metrics of the process. The handler adds those of promhttp.
	Registry *prometheus.Registry
	// TelemetryPath is the path of the metrics, by default /metrics. At / they replace the status page.
	TelemetryPath string
	// TimeoutOffset is subtracted from Prometheus' scrape timeout.
	TimeoutOffset time.Duration
	// TokensOnMetrics serves the tokens' metrics at TelemetryPath. Otherwise only /probe has them, and TelemetryPath has
	// the metrics of the process.
	TokensOnMetrics bool
	// EnablePprof serves Go's profiles under /debug/pprof/.
	EnablePprof bool
	// Healthy returns an error if the exporter cannot do its work and a restart would help. It must not block.
	Healthy func() error
	// Ready reports whether scrapes are served: the configuration is loaded and the exporter is not shutting down.
	Ready func() bool
	// Reload reloads the configuration. An error means that nothing has changed; clients see it. The handler makes one
	// call at a time.
	Reload func() error
	// LastReload returns when the configuration was last loaded, and the error if that failed; the page shows it.
	LastReload func() (time.Time, error)
	// Version is shown on the status page.
	Version string
	Logger  *slog.Logger
}

// How many requests of a kind are served at once. A scrape costs about 20 KiB while it waits for the API; a response
// about all tokens costs memory per token.
const (
	maxProbes  = 1500
	maxMetrics = 40
	maxPages   = 20
	maxReloads = 4
	maxPprof   = 4
)

// defaultTelemetryPath is Prometheus' own default.
const defaultTelemetryPath = "/metrics"

// New returns the handler of all endpoints. Its error is about the options that users set.
func New(options Options) (http.Handler, error) {
	if options.TelemetryPath == "" {
		options.TelemetryPath = defaultTelemetryPath
	}
	page, err := newStatusPage(options)
	if err != nil {
		return nil, err
	}
	exposition := newExposition(options)

	metrics := promhttp.InstrumentMetricHandler(options.Registry, limit(maxMetrics, exposition.serveMetrics))
	routes := map[string]http.Handler{
		"GET /{$}":           limit(maxPages, page.serve),
		"GET /probe":         limit(maxProbes, exposition.serveProbe),
		"GET /sd":            limit(maxPages, serveDiscovery(options.Scraper)),
		"GET /api/v1/status": limit(maxPages, serveStatus(options.Scraper)),
		"GET /-/healthy":     serveHealthy(options.Healthy),
		"GET /-/ready":       serveReady(options.Ready),
		"POST /-/reload":     http.NewCrossOriginProtection().Handler(limit(maxReloads, serveReload(options.Reload))),
	}
	if err := addTelemetry(routes, options.TelemetryPath, metrics); err != nil {
		return nil, err
	}
	if options.EnablePprof {
		addPprof(routes)
	}
	mux := http.NewServeMux()
	for pattern, handler := range routes {
		mux.Handle(pattern, handler)
	}
	return securityHeaders(recoverPanics(options.Logger, mux)), nil
}

// addTelemetry adds the metrics at the configured path, which may replace the status page but nothing else.
func addTelemetry(routes map[string]http.Handler, at string, metrics http.Handler) error {
	const flag = "--web.telemetry-path"
	switch {
	case !strings.HasPrefix(at, "/"):
		return fmt.Errorf("%s %q: must begin with a slash, as in /metrics", flag, at)
	case strings.ContainsAny(at, "{}%?#") || at != "/" && path.Clean(at) != strings.TrimSuffix(at, "/"):
		return fmt.Errorf("%s %q: must be a plain path, as in /metrics", flag, at)
	case strings.HasPrefix(at, "/debug/pprof/"):
		return fmt.Errorf("%s %q: used for profiles", flag, at)
	}
	pattern := "GET " + at
	if strings.HasSuffix(at, "/") {
		pattern += "{$}"
	}
	if pattern != "GET /{$}" && (routes[pattern] != nil || routes["POST "+at] != nil) {
		return fmt.Errorf("%s %q: already used by the exporter", flag, at)
	}
	routes[pattern] = metrics
	return nil
}

// addPprof adds Go's profiles, whose parameters set how long they take.
func addPprof(routes map[string]http.Handler) {
	for pattern, serve := range map[string]http.HandlerFunc{
		"GET /debug/pprof/":        pprof.Index,
		"GET /debug/pprof/cmdline": pprof.Cmdline,
		"GET /debug/pprof/profile": pprof.Profile,
		"GET /debug/pprof/symbol":  pprof.Symbol,
		"GET /debug/pprof/trace":   pprof.Trace,
	} {
		routes[pattern] = limit(maxPprof, func(w http.ResponseWriter, r *http.Request) {
			extendDeadlines(w, time.Now().Add(maxScrape))
			serve(w, r)
		})
	}
}
