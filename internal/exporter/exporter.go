// Package exporter runs the exporter: it wires the monitor, the collector and the web server together, reloads the
// configuration, and shuts down.
package exporter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/version"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"github.com/appfigures-exporter/appfigures_exporter/collector"
	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/web"
)

const (
	// scrapeGrace is how long scrapes in progress may go on after SIGTERM before their probes are canceled, and
	// responseGrace how long they then have to respond. Docker kills after 10 s.
	scrapeGrace   = 5 * time.Second
	responseGrace = 2 * time.Second
)

// Options is what to run.
type Options struct {
	Origin   string                                                    // of the configuration, for the log
	Load     func() (*config.Config, []string, error)                  // loads the configuration, with warnings about it
	State    func(context.Context, *config.Config, *slog.Logger) State // opens the state file; nil: keep no state
	OnListen func(context.Context, net.Addr, *monitor.Monitor)         // runs once the exporter listens; nil: nothing

	// Fingerprint changes when Load would return something else. Every ReloadInterval it is compared; nil: never.
	Fingerprint    func() (string, error)
	ReloadInterval time.Duration

	Web             *toolkit.FlagConfig
	TelemetryPath   string
	TimeoutOffset   time.Duration
	TokensOnMetrics bool
	EnablePprof     bool

	Log    *promslog.Config // its Writer is replaced
	Stderr io.Writer        // of the log; it may block
}

// Connect opens sessions to the API.
func Connect(cfg *config.Config) monitor.Session {
	return appfigures.NewSession(cfg, version.Version)
}

// Run serves until ctx ends or a signal comes. Errors are for the user.
func Run(ctx context.Context, o Options) error {
	if err := web.CheckConfig(*o.Web.WebConfigFile); err != nil {
		return err
	}
	var fingerprint string
	if o.Fingerprint != nil {
		fingerprint, _ = o.Fingerprint() // an error is Load's to report
	}
	cfg, warnings, err := o.Load()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	hangups := make(chan os.Signal, 1) // until now SIGHUP ended the process
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	signal.Ignore(syscall.SIGPIPE) // a log that nobody reads any more loses lines, but does not end the process

	log := newLogWriter(o.Stderr)
	defer log.Close()
	o.Log.Writer = log
	logger := promslog.New(o.Log)
	var kept State
	if o.State != nil {
		kept = o.State(ctx, cfg, logger)
	}
	defer kept.Close()
	logger.Info("Starting appfigures_exporter", "version", version.Info(),
		"state", cmp.Or(kept.Path, NoState), "config", o.Origin, "tokens", len(cfg.Tokens))
	for _, warning := range kept.Warnings {
		logger.Warn(warning)
	}
	m := monitor.New(cfg, monitor.Options{
		Connect: Connect, Store: kept.Store(), Failing: kept.Failing, State: kept.Content, Logger: logger,
	})
	defer m.Close()
	reloads := newReloader(o.Load, m, logger, warnings)

	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	started := time.Now()
	own := collector.ExporterMetrics(func() collector.Exporter {
		_, success, err := reloads.last()
		return collector.Exporter{
			BuildInfo: buildInfo(), Started: started, ReloadSuccessful: err == nil, ReloadSuccess: success,
			LogLinesDropped: log.Dropped(), StateFile: m.StateFile(),
		}
	})
	var stopping atomic.Bool
	handler, err := web.New(web.Options{
		Scraper:         m,
		Exposition:      collector.Families,
		Registry:        registry,
		Exporter:        own,
		TelemetryPath:   o.TelemetryPath,
		TimeoutOffset:   o.TimeoutOffset,
		TokensOnMetrics: o.TokensOnMetrics,
		EnablePprof:     o.EnablePprof,
		Healthy:         m.Healthy,
		Ready:           func() bool { return !stopping.Load() },
		Reload:          reloads.reload,
		LastReload: func() (time.Time, error) {
			at, _, err := reloads.last()
			return at, err
		},
		Version: version.Version,
		Logger:  logger,
	})
	if err != nil {
		return err
	}
	go reloads.onSignal(ctx, hangups)

	server := web.Server(handler, logger)
	var first sync.Once // of several addresses
	server.BaseContext = func(l net.Listener) context.Context {
		first.Do(func() {
			if o.Fingerprint != nil {
				go reloads.watch(ctx, o.ReloadInterval, fingerprint, o.Fingerprint)
			}
			if o.OnListen != nil {
				go o.OnListen(ctx, l.Addr(), m)
			}
		})
		return context.Background()
	}
	ended := make(chan error, 1)
	go func() { ended <- toolkit.ListenAndServe(server, o.Web, logger) }()
	select {
	case err := <-ended:
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "listen" {
			err = fmt.Errorf("%w; choose another address with --web.listen-address", err)
		}
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	stopping.Store(true)
	logger.Info("Shutting down; waiting for scrapes in progress")
	if err := shutDown(server, m); err != nil {
		return fmt.Errorf("shutting down: %w", err)
	}
	return nil
}

// shutDown waits for scrapes in progress. Those that take too long respond with what is known by then.
func shutDown(server *http.Server, m *monitor.Monitor) error {
	timer := time.AfterFunc(scrapeGrace, m.Stop)
	defer timer.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), scrapeGrace+responseGrace)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return server.Close() // a client that does not read its response
	}
	return err
}

// buildInfo returns the labels of appfigures_exporter_build_info.
func buildInfo() map[string]string {
	return map[string]string{
		"version": version.Version, "revision": version.GetRevision(), "branch": version.Branch, "tags": version.GetTags(),
		"goversion": version.GoVersion, "goos": runtime.GOOS, "goarch": runtime.GOARCH,
	}
}
