// Package exporter runs the exporter: it wires the monitor, the collector and the web server together, finds and opens
// the state file, reloads the configuration, and ends at a signal. It decides nothing about tokens.
package exporter

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
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
	"github.com/appfigures-exporter/appfigures_exporter/internal/logbuffer"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
	"github.com/appfigures-exporter/appfigures_exporter/internal/web"
)

// Options is what to run.
type Options struct {
	Origin string // of the configuration: for the log, and for the default name of the state file
	Load   func() (*config.Config, error)

	// Fingerprint changes with the configuration file and the lists of files in token_dir. With AutoReload, it is compared
	// every ReloadInterval.
	Fingerprint    func() (string, error)
	AutoReload     bool
	ReloadInterval time.Duration
	Hangups        <-chan os.Signal // each reloads the configuration

	StateFile   string        // empty: a default place; [NoState]: nowhere
	ScrapeEvery time.Duration // how often the exporter scrapes itself; 0: once, at the start

	Web     *toolkit.FlagConfig
	Handler web.Options      // what flags say about the endpoints; Run sets the rest
	Log     *promslog.Config // its Writer is replaced
	Stderr  io.Writer        // of the log; it may block
}

// exporter is one that runs.
type exporter struct {
	Options
	log     *logbuffer.Writer
	logger  *slog.Logger // writes to log
	monitor *monitor.Monitor

	store     monitor.Store // of the state file; nil if nothing is kept
	reloading sync.Mutex    // one reload at a time

	mu    sync.Mutex // guards facts
	facts collector.Exporter
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
	now := time.Now()
	x := &exporter{
		Options: o, log: logbuffer.New(o.Stderr), facts: collector.Exporter{Started: now, ReloadSuccess: now},
	}
	defer x.log.Close()
	o.Log.Writer = x.log
	x.logger = promslog.New(o.Log)

	kept, err := awaitState(ctx, o.StateFile, o.Origin, x.logger)
	if err != nil {
		return err
	}
	defer kept.close()
	x.logger.Info("Starting appfigures_exporter", "version", version.Info(),
		"state", kept.path, "config", o.Origin, "tokens", len(cfg.Tokens), "api", cfg.APIURL)
	for _, warning := range slices.Concat(kept.warnings, cfg.Warnings) {
		x.logger.Warn(warning)
	}
	if kept.store != nil {
		x.store, x.facts.StateKept = kept.store, true
		kept.store = x // it notes how each write went
	}
	x.monitor = newMonitor(cfg, kept, x.logger)
	x.monitor.BeginSetUp()
	handler, err := x.newHandler()
	if err != nil {
		return err
	}
	go x.watch(ctx, looks, fingerprint)
	if o.Handler.TokensOnMetrics {
		go x.scrape(ctx)
	}
	return web.Serve(ctx, handler, o.Web, x.logger, x.monitor.Close)
}

// newMonitor returns a monitor that goes on from what was kept, and keeps more.
func newMonitor(cfg *config.Config, kept stored, logger *slog.Logger) *monitor.Monitor {
	return monitor.New(cfg, monitor.Options{
		NewProber: func(cfg *config.Config) monitor.Prober { return appfigures.NewClient(cfg, version.Version) },
		Store:     kept.store,
		State:     kept.content,
		Logger:    logger,
	})
}

// newHandler returns the handler of all endpoints.
func (x *exporter) newHandler() (http.Handler, error) {
	endpoints := x.Handler
	endpoints.Exporter = func() collector.Exporter {
		x.mu.Lock()
		defer x.mu.Unlock()
		facts := x.facts
		facts.LogLinesDropped = x.log.Dropped()
		return facts
	}
	endpoints.Registry = prometheus.NewRegistry()
	endpoints.Registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	endpoints.Scraper, endpoints.Reload = x.monitor, x.reload
	endpoints.Version, endpoints.Logger = version.Version, x.logger
	return web.New(endpoints)
}

// scrape scrapes once, so that nobody has to wait for Prometheus to see whether a token works, and logs what it found.
// If ScrapeEvery is set, it goes on until ctx ends.
func (x *exporter) scrape(ctx context.Context) {
	report := status.NewReport(x.monitor.Scrape(ctx), status.DefaultThresholds)
	x.logger.Info("First scrape: " + report.Headline)
	for x.ScrapeEvery > 0 && ctx.Err() == nil {
		time.Sleep(x.ScrapeEvery)
		x.monitor.Scrape(ctx)
	}
}
