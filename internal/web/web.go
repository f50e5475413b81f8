// Package web serves the exporter: metrics, service discovery, health, and a status page for people. It draws all of
// it from snapshots and keeps no state of its own. Only /metrics and /probe, asked by GET, make requests to the API.
package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"path"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// Scraper knows the state of the tokens and probes them.
type Scraper interface {
	// Scrape probes the tokens that are due, of those named or of all when none is named. It waits until that is
	// done, the deadline has passed, or ctx ends, and returns the state of the same tokens.
	Scrape(ctx context.Context, deadline time.Time, names ...string) monitor.Snapshot
	// Snapshot returns the same state as it is now, without a probe.
	Snapshot(names ...string) monitor.Snapshot
	// Has reports whether a token of that name is configured.
	Has(name string) bool
}

// Options is what the handler serves. All fields without a default must be set.
type Options struct {
	Scraper Scraper
	// Exposition turns a snapshot into metric families, each name once, sorted by name.
	Exposition func(monitor.Snapshot) prometheus.Gatherer
	// Registry holds the metrics of the process itself. The handler adds those of promhttp.
	Registry *prometheus.Registry
	// TelemetryPath is where the metrics are; by default /metrics. At / they take the status page's place.
	TelemetryPath string
	// TimeoutOffset is taken off the time that Prometheus says it will wait for a scrape.
	TimeoutOffset time.Duration
	// DefaultTimeout is how long a scrape may take when the client does not say how long it will wait.
	DefaultTimeout func() time.Duration
	// NoTokens leaves the tokens to /probe: the metrics are those of the process alone and nothing is probed for them.
	NoTokens bool
	// EnablePprof serves Go's profiles under /debug/pprof/.
	EnablePprof bool
	// Ready reports whether the exporter can serve scrapes: a configuration is loaded and it is not shutting down.
	Ready func() bool
	// Reload reads the configuration anew. An error means that nothing has changed; it is shown to the client.
	// The handler makes one call at a time.
	Reload func() error
	// LastReload reports whether the last attempt to load the configuration succeeded, and when it was made.
	LastReload func() (ok bool, at time.Time)
	// Version is shown on the status page.
	Version string
	Logger  *slog.Logger
}

// How many requests of a kind are served at once. Those that scrape wait for the API, and while they wait cost
// about 20 KiB each; those that show all tokens at once cost memory by the token, so fewer are let in.
const (
	maxProbes  = 1500
	maxMetrics = 40
	maxPages   = 20
	maxReloads = 4
	maxPprof   = 4
)

// defaultTelemetryPath is where Prometheus looks unless told otherwise.
const defaultTelemetryPath = "/metrics"

// New returns the handler of all endpoints. The error says what is wrong with the options that users set.
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
		"GET /{$}":       limit(maxPages, page.serve),
		"GET /probe":     limit(maxProbes, exposition.serveProbe),
		"GET /sd":        limit(maxPages, discovery{options.Scraper}.serve),
		"GET /-/healthy": http.HandlerFunc(serveHealthy),
		"GET /-/ready":   serveReady(options.Ready),
		"POST /-/reload": http.NewCrossOriginProtection().Handler(limit(maxReloads, serveReload(options.Reload))),
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
	return secure(survive(options.Logger, mux)), nil
}

// addTelemetry adds the metrics at the path that the user chose, which may be the status page's but no other's.
func addTelemetry(routes map[string]http.Handler, at string, metrics http.Handler) error {
	const flag = "--web.telemetry-path"
	switch {
	case !strings.HasPrefix(at, "/"):
		return fmt.Errorf("%s %q: must begin with a slash, as in /metrics", flag, at)
	case strings.ContainsAny(at, "{}%?#") || at != "/" && path.Clean(at) != strings.TrimSuffix(at, "/"):
		return fmt.Errorf("%s %q: must be a plain path, as in /metrics", flag, at)
	case strings.HasPrefix(at, "/debug/pprof/"):
		return fmt.Errorf("%s %q: is where profiles are served", flag, at)
	}
	pattern := "GET " + at
	if strings.HasSuffix(at, "/") {
		pattern += "{$}"
	}
	if pattern != "GET /{$}" && (routes[pattern] != nil || routes["POST "+at] != nil) {
		return fmt.Errorf("%s %q: is where the exporter serves something else", flag, at)
	}
	routes[pattern] = metrics
	return nil
}

// addPprof adds Go's profiles, which set the time that they take themselves.
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
