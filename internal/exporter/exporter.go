// Package exporter runs the exporter: it wires the monitor, the collector and the web server together, opens the state
// file, reloads the configuration, and shuts down. It decides nothing about tokens.
package exporter

import (
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
	"slices"
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

// How long scrapes in progress may go on after SIGTERM before their probes are canceled, and how long they then have to
// respond. Docker kills after 10 s.
const scrapeGrace, responseGrace = 5 * time.Second, 2 * time.Second

// Options is what to run.
type Options struct {
	Origin string // of the configuration: for the log, and for the default name of the state file
	Load   func() (*config.Config, error)

	// Fingerprint changes when Load would return something else. With AutoReload, it is compared every ReloadInterval.
	Fingerprint    func() (string, error)
	AutoReload     bool
	ReloadInterval time.Duration
	Hangups        <-chan os.Signal // each reloads the configuration

	StateFile   string        // empty: a default place; [NoState]: nowhere
	ScrapeEvery time.Duration // at which the exporter scrapes itself; 0: once, at the start

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
	var looks <-chan time.Time
	var fingerprint string // before the load, which reports its error, so that no change is missed
	if o.AutoReload {
		looks = time.Tick(o.ReloadInterval)
		fingerprint, _ = o.Fingerprint()
	}
	cfg, err := o.Load()
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
	if kept.file != nil {
		defer kept.file.Close()
	}
	logger.Info("Starting appfigures_exporter", "version", version.Info(),
		"state", kept.path, "config", o.Origin, "tokens", len(cfg.Tokens), "api", cfg.APIURL)
	for _, warning := range slices.Concat(kept.warnings, cfg.Warnings, monitor.Warnings(cfg)) {
		logger.Warn(warning)
	}
	m := newMonitor(cfg, kept, logger)
	defer m.Close()
	m.BeginSetUp()
	reloads := &reloader{load: o.Load, use: m.Reload, logger: logger}
	reloads.last.Store(&attempt{time.Now(), time.Now(), nil})
	handler, err := o.newHandler(ctx, m, reloads, log, logger)
	if err != nil {
		return err
	}
	go reloads.watch(ctx, o.Hangups, looks, fingerprint, o.Fingerprint)
	return o.serve(ctx, web.Server(handler, logger), m, logger)
}

// newMonitor returns a monitor that goes on from what was kept, and keeps more.
func newMonitor(cfg *config.Config, kept stored, logger *slog.Logger) *monitor.Monitor {
	options := monitor.Options{
		NewProber: func(cfg *config.Config) monitor.Prober { return appfigures.NewClient(cfg, version.Version) },
		State:     kept.content,
		Logger:    logger,
	}
	if kept.file != nil {
		options.Store = kept.file
	}
	return monitor.New(cfg, options)
}

// newHandler returns the handler of all endpoints.
func (o Options) newHandler(
	ctx context.Context, m *monitor.Monitor, reloads *reloader, log *logWriter, logger *slog.Logger,
) (http.Handler, error) {
	started := time.Now()
	endpoints := o.Handler
	endpoints.Registry = prometheus.NewRegistry()
	endpoints.Registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	endpoints.Exporter = func() collector.Exporter {
		last := reloads.last.Load()
		return collector.Exporter{
			BuildInfo: map[string]string{
				"version": version.Version, "branch": version.Branch, "goos": runtime.GOOS, "goarch": runtime.GOARCH,
				"revision": version.GetRevision(), "tags": version.GetTags(), "goversion": version.GoVersion,
			},
			Started: started, ReloadTime: last.time, ReloadError: last.err, ReloadSuccess: last.success,
			LogLinesDropped: log.dropped.Load(), StateFile: m.StateFile(),
		}
	}
	endpoints.Scraper, endpoints.Healthy = m, m.Healthy
	endpoints.Ready = func() bool { return ctx.Err() == nil }
	endpoints.Reload = reloads.reload
	endpoints.Version, endpoints.Logger = version.Version, logger
	return web.New(endpoints)
}

// serve serves until ctx ends. When it listens, the exporter scrapes itself.
func (o Options) serve(ctx context.Context, server *http.Server, m *monitor.Monitor, logger *slog.Logger) error {
	var first sync.Once // of several addresses
	server.BaseContext = func(net.Listener) context.Context {
		if o.Handler.TokensOnMetrics {
			first.Do(func() { go o.scrape(ctx, m, logger) })
		}
		return context.Background()
	}
	ended := make(chan error, 1)
	go func() { ended <- toolkit.ListenAndServe(server, o.Web, logger) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving: %w; choose a free host:port with --web.listen-address (no unix socket)", err)
	case <-ctx.Done():
	}
	logger.Info("Shutting down; waiting for scrapes in progress")
	defer time.AfterFunc(scrapeGrace, m.Stop).Stop()
	timeout, cancel := context.WithTimeout(context.Background(), scrapeGrace+responseGrace)
	defer cancel()
	if server.Shutdown(timeout) != nil {
		_ = server.Close() // a client does not read its response
	}
	return nil
}

// scrape scrapes once, so that nobody has to wait for Prometheus to see whether a token works, and logs what it found.
// If ScrapeEvery is set, it goes on until ctx ends.
func (o Options) scrape(ctx context.Context, m *monitor.Monitor, logger *slog.Logger) {
	report := status.NewReport(m.Scrape(ctx), status.DefaultThresholds)
	for _, token := range report.Tokens {
		if token.State == status.Denied || token.State == status.Unknown {
			logger.Warn("Token is "+string(token.State), "token", token.Name, "account", token.Account,
				"cause", token.Cause, "why", token.Why)
		}
	}
	logger.Info("First scrape: " + report.Headline)
	for o.ScrapeEvery > 0 {
		select {
		case <-time.After(o.ScrapeEvery):
			m.Scrape(ctx)
		case <-ctx.Done():
			return
		}
	}
}
