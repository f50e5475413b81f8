// Package exporter runs the exporter: it wires the monitor, the collector and the web server together, opens the state
// file, reloads the configuration, and shuts down. It decides nothing about tokens.
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
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
	"github.com/appfigures-exporter/appfigures_exporter/internal/web"
)

const (
	// scrapeGrace is how long scrapes in progress may go on after SIGTERM before their probes are canceled, and
	// responseGrace how long they then have to respond. Docker kills after 10 s.
	scrapeGrace   = 5 * time.Second
	responseGrace = 2 * time.Second

	firstScrapeTimeout = 30 * time.Second // of the scrape at the start
)

// Options is what to run.
type Options struct {
	Origin    string // of the configuration: for the log, and for the default name of the state file
	Load      func() (*config.Config, []string, error)
	StateFile string // empty: a default place; [NoState]: nowhere

	// Fingerprint changes when Load would return something else. Every ReloadInterval it is compared; nil: never.
	Fingerprint    func() (string, error)
	ReloadInterval time.Duration
	Hangups        <-chan os.Signal // each reloads the configuration

	OnListen    func(net.Addr) // called once the exporter listens; nil: nothing
	ScrapeEvery time.Duration  // at which the exporter scrapes itself; 0: once, at the start

	Web     *toolkit.FlagConfig
	Handler web.Options      // what flags say about the endpoints; Run sets the rest
	Log     *promslog.Config // its Writer is replaced
	Stderr  io.Writer        // of the log; it may block
}

// Run serves until ctx ends or a signal comes. Errors are for the user.
func Run(ctx context.Context, o Options) error {
	if err := web.CheckConfig(*o.Web.WebConfigFile); err != nil {
		return err
	}
	var fingerprint string
	if o.Fingerprint != nil {
		fingerprint, _ = o.Fingerprint() // Load reports the error
	}
	cfg, warnings, err := o.Load()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	signal.Ignore(syscall.SIGPIPE) // a log that nobody reads any more loses lines, but does not end the process
	log := newLogWriter(o.Stderr)
	defer log.Close()
	o.Log.Writer = log
	logger := promslog.New(o.Log)

	kept, err := openState(ctx, o.StateFile, o.Origin, serveLockTimeout, logger)
	if errors.Is(err, state.ErrLocked) {
		return fmt.Errorf("%w; stop that process, or name another file with --state.file", err)
	}
	if err != nil {
		return err
	}
	defer kept.close()
	logger.Info("Starting appfigures_exporter", "version", version.Info(),
		"state", kept.path, "config", o.Origin, "tokens", len(cfg.Tokens))
	for _, warning := range append(kept.warnings, warnings...) {
		logger.Warn(warning)
	}
	m := monitor.New(cfg, monitor.Options{
		NewProber: newProber, Store: kept.store, State: kept.content, Logger: logger,
	})
	defer m.Close()
	m.Started()
	reloads := newReloader(o.Load, m.Reload, logger)
	handler, err := o.newHandler(ctx, m, reloads, log, logger)
	if err != nil {
		return err
	}
	go reloads.watch(ctx, o.Hangups, o.ReloadInterval, fingerprint, o.Fingerprint)
	return o.serve(ctx, web.Server(handler, logger), m, logger)
}

// newProber returns a client of the API.
func newProber(cfg *config.Config) monitor.Prober { return appfigures.NewClient(cfg, version.Version) }

// newHandler returns the handler of all endpoints.
func (o Options) newHandler(
	ctx context.Context, m *monitor.Monitor, reloads *reloader, log *logWriter, logger *slog.Logger,
) (http.Handler, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	started := time.Now()
	endpoints := o.Handler
	endpoints.Scraper, endpoints.Registry = m, registry
	endpoints.Exporter = func() collector.Exporter {
		last := reloads.last.Load()
		return collector.Exporter{
			BuildInfo: buildInfo(), Started: started, ReloadSuccessful: last.err == nil, ReloadSuccess: last.success,
			LogLinesDropped: log.dropped.Load(), StateFile: m.StateFile(),
		}
	}
	endpoints.Healthy, endpoints.Ready = m.Healthy, func() bool { return ctx.Err() == nil }
	endpoints.Reload = reloads.reload
	endpoints.LastReload = func() (time.Time, error) { return reloads.last.Load().time, reloads.last.Load().err }
	endpoints.Version, endpoints.Logger = version.Version, logger
	return web.New(endpoints)
}

// serve serves until ctx ends. When it listens, the exporter scrapes itself.
func (o Options) serve(ctx context.Context, server *http.Server, m *monitor.Monitor, logger *slog.Logger) error {
	var first sync.Once // of several addresses
	server.BaseContext = func(l net.Listener) context.Context {
		first.Do(func() {
			if o.OnListen != nil {
				o.OnListen(l.Addr())
			}
			if o.Handler.TokensOnMetrics {
				go o.scrape(ctx, m, logger)
			}
		})
		return context.Background()
	}
	ended := make(chan error, 1)
	go func() { ended <- toolkit.ListenAndServe(server, o.Web, logger) }()
	select {
	case err := <-ended:
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "listen" {
			err = fmt.Errorf("%w; choose another host:port with --web.listen-address (not a unix socket)", err)
		}
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	logger.Info("Shutting down; waiting for scrapes in progress")
	if err := shutDown(server, m); err != nil {
		return fmt.Errorf("shutting down: %w", err)
	}
	return nil
}

// scrape scrapes once, so that nobody has to wait for Prometheus to see whether a token works, and logs one line per
// token that is not valid and one about all. If ScrapeEvery is set, it goes on until ctx ends.
func (o Options) scrape(ctx context.Context, m *monitor.Monitor, logger *slog.Logger) {
	snapshot := m.Scrape(ctx, time.Now().Add(cmp.Or(o.ScrapeEvery, firstScrapeTimeout)))
	report := status.NewReport(snapshot, status.DefaultThresholds)
	for _, token := range report.Tokens {
		if token.State == status.Denied || token.State == status.Unknown {
			logger.Warn("A token is not valid", "token", token.Name, "account", token.Account, "state", token.State,
				"cause", token.Cause, "why", token.Why)
		}
	}
	logger.Info("First scrape: " + report.Headline)
	if o.ScrapeEvery == 0 {
		return
	}
	ticker := time.NewTicker(o.ScrapeEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case now := <-ticker.C:
			m.Scrape(ctx, now.Add(o.ScrapeEvery))
		case <-ctx.Done():
		}
	}
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
