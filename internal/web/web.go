// Package web serves the exporter over HTTP: metrics, a status page for people, JSON, service discovery, health, and
// reload. It renders what others know and keeps no state. Only GET requests for metrics and /probe make probes.
package web

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"path"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/appfigures-exporter/appfigures_exporter/collector"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// Scraper is [monitor.Monitor], as far as the endpoints need it.
type Scraper interface {
	Scrape(ctx context.Context, names ...string) monitor.Snapshot
	Snapshot(names ...string) monitor.Snapshot // has no tokens if none of the names is configured
}

// Options is what the handler serves. All fields must be set.
type Options struct {
	Scraper         Scraper
	Exporter        func() collector.Exporter // what the exporter reports about itself
	Registry        *prometheus.Registry      // of the process's metrics; the handler adds those of promhttp
	TelemetryPath   string                    // of the metrics; at / they replace the status page
	TimeoutOffset   time.Duration             // is subtracted from Prometheus' scrape timeout
	TokensOnMetrics bool                      // whether the tokens are at TelemetryPath; otherwise only at /probe
	EnablePprof     bool                      // whether Go's profiles are under /debug/pprof/
	Version         string                    // for the status page
	Logger          *slog.Logger
	// Reload reloads the configuration; it must be safe for concurrent use. Its error, which clients see, means that
	// nothing has changed.
	Reload func() error
}

// New returns the handler of all endpoints. Its error is about the options that users set.
func New(options Options) (http.Handler, error) {
	m := metrics{options, make(chan struct{}, maxScrapes)}
	reload := http.NewCrossOriginProtection().Handler(serveReload(options.Reload))
	routes := map[string]http.Handler{
		"GET /{$}":           statusPage(options),
		"GET /probe":         m.bounded(m.serveProbe),
		"GET /sd":            serveDiscovery(options.Scraper),
		"GET /api/v1/status": serveStatus(options.Scraper),
		"GET /-/healthy":     serveHealthy(options.Scraper),
		"GET /-/ready":       http.HandlerFunc(serveReady),
		"POST /-/reload":     reload,
		"PUT /-/reload":      reload,
	}
	if options.EnablePprof {
		routes["GET /debug/pprof/"] = http.HandlerFunc(pprof.Index)
		routes["GET /debug/pprof/cmdline"] = http.HandlerFunc(pprof.Cmdline)
		routes["GET /debug/pprof/profile"] = http.HandlerFunc(pprof.Profile)
		routes["GET /debug/pprof/symbol"] = http.HandlerFunc(pprof.Symbol)
		routes["GET /debug/pprof/trace"] = http.HandlerFunc(pprof.Trace)
	}
	if err := checkTelemetryPath(options.TelemetryPath, routes); err != nil {
		return nil, err
	}
	at := options.TelemetryPath
	if at == "/" {
		at = "/{$}"
	}
	routes["GET "+at] = promhttp.InstrumentMetricHandler(options.Registry, m.bounded(m.serveMetrics))

	mux := http.NewServeMux()
	for pattern, handler := range routes {
		mux.Handle(pattern, handler)
	}
	return addSecurityHeaders(mux), nil
}

// checkTelemetryPath returns an error if the metrics cannot be served there. They may replace the page, nothing else.
func checkTelemetryPath(at string, routes map[string]http.Handler) error {
	const flag = "--web.telemetry-path"
	if !strings.HasPrefix(at, "/") {
		return fmt.Errorf("%s %q: must begin with a slash, as in /metrics", flag, at)
	}
	if path.Clean(at) != at || strings.ContainsAny(at, "{}%?#") {
		return fmt.Errorf("%s %q: must be a plain path, as in /metrics", flag, at)
	}
	for pattern := range routes {
		if _, used, _ := strings.Cut(pattern, " "); used == at {
			return fmt.Errorf("%s %q: already used by the exporter", flag, at)
		}
	}
	return nil
}

// securityHeaders let a browser do nothing with a response but show it, with the page's style.
var securityHeaders = map[string]string{
	"Content-Security-Policy": "default-src 'none'; style-src '" + styleHash + "'; base-uri 'none'; " +
		"form-action 'none'; frame-ancestors 'none'",
	"X-Content-Type-Options": "nosniff",
	"Referrer-Policy":        "no-referrer",
	"Cache-Control":          "no-store",
}

// addSecurityHeaders adds them to each response. Those that --web.config.file sets take precedence.
func addSecurityHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for key, value := range securityHeaders {
			if w.Header().Get(key) == "" {
				w.Header().Set(key, value)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// serveHealthy reports that the exporter can do its work. Whether tokens are valid does not matter. If the monitor is
// stuck, there is no response, and the health check times out: that is when a restart helps.
func serveHealthy(scraper Scraper) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		scraper.Snapshot()
		writeText(w, "appfigures_exporter is healthy.\n")
	}
}

// serveReady reports that scrapes are served, as they are whenever the exporter listens.
func serveReady(w http.ResponseWriter, _ *http.Request) {
	writeText(w, "appfigures_exporter is ready.\n")
}

// serveReload reloads the configuration.
func serveReload(reload func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := reload(); err != nil {
			http.Error(w, fmt.Sprintf("Reloading the configuration failed; keeping the old one: %v", err),
				http.StatusInternalServerError)
			return
		}
		writeText(w, "Configuration reloaded.\n")
	}
}

// writeText responds with status 200 and plain text.
func writeText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, text) // fails if the client is gone
}
