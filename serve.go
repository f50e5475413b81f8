package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/common/version"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"github.com/appfigures-exporter/appfigures_exporter/collector"
	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/web"
)

const (
	// scrapeGrace is how long the scrapes in hand may go on after SIGTERM before their probes are ended, and
	// answerGrace how long they then have to be answered. Docker kills after 10 s.
	scrapeGrace = 5 * time.Second
	answerGrace = 2 * time.Second
)

// serve runs the exporter over the user's configuration.
func (p *program) serve(ctx context.Context) int {
	path, before := p.configPath(), ""
	if path != "" && *p.autoReload {
		before, _ = config.Fingerprint(path) // a failure is load's to tell
	}
	cfg, err := p.load()
	if err != nil {
		return p.fail(err, exitError)
	}
	if *p.configCheck {
		fmt.Fprintf(p.stdout, "The configuration is valid; tokens: %d.\n", len(cfg.Tokens))
		return exitOK
	}
	return p.serveConfig(ctx, cfg, p.load, func(ctx context.Context, _ *monitor.Monitor, reloads *reloader) {
		switch {
		case *p.autoReload && path == "":
			p.logger.Warn("--config.auto-reload does nothing: the configuration is the environment, which does not change")
		case *p.autoReload:
			reloads.watch(ctx, *p.autoReloadInterval, before, func() (string, error) { return config.Fingerprint(path) })
		}
	})
}

// connect makes the connection between the monitor and the API.
func connect(cfg *config.Config) monitor.Open {
	client := appfigures.NewClient(cfg, version.Version)
	return func(ctx context.Context) monitor.Session { return client.NewSession(ctx) }
}

// serveConfig serves cfg, and what load returns at each reload, until ctx ends or a signal comes. background runs
// beside it.
func (p *program) serveConfig(ctx context.Context, cfg *config.Config, load func() (*config.Config, error), background func(context.Context, *monitor.Monitor, *reloader)) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	hangups := make(chan os.Signal, 1) // from here on: until then, SIGHUP ends the process
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	p.logger.Info("Starting appfigures_exporter", "version", version.Info(), "tokens", len(cfg.Tokens))

	m := monitor.New(cfg, connect, p.logger)
	defer m.Stop()
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		versioncollector.NewCollector("appfigures_exporter"),
	)
	reloads := newReloader(cfg, m, load, p.logger, registry)
	var stopping atomic.Bool
	handler, err := web.New(web.Options{
		Scraper:        m,
		Exposition:     func(s monitor.Snapshot) prometheus.Gatherer { return collector.Snapshot(s) },
		Registry:       registry,
		TelemetryPath:  *p.telemetryPath,
		TimeoutOffset:  time.Duration(*p.timeoutOffset),
		DefaultTimeout: reloads.timeout,
		NoTokens:       !*p.tokens,
		EnablePprof:    *p.pprof,
		Ready:          func() bool { return !stopping.Load() },
		Reload:         reloads.reload,
		LastReload:     reloads.last,
		Version:        version.Version,
		Logger:         p.logger,
	})
	if err != nil {
		return p.fail(err, exitError)
	}

	go reloads.onSignal(ctx, hangups)
	go background(ctx, m, reloads)

	server := web.Server(handler, p.logger)
	ended := make(chan error, 1)
	go func() { ended <- toolkit.ListenAndServe(server, p.flags.web, p.logger) }()
	select {
	case err := <-ended:
		return p.fail(fmt.Errorf("serving: %w", err), exitError)
	case <-ctx.Done():
	}
	stopping.Store(true)
	p.logger.Info("Stopping: finishing the scrapes in hand")
	if err := shutDown(server, m); err != nil {
		return p.fail(fmt.Errorf("stopping: %w", err), exitError)
	}
	return exitOK
}

// shutDown lets the scrapes in hand finish. Those that take too long are answered with what is known by then.
func shutDown(server *http.Server, m *monitor.Monitor) error {
	timer := time.AfterFunc(scrapeGrace, m.Stop)
	defer timer.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), scrapeGrace+answerGrace)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return server.Close() // a client that does not read its answer
	}
	return err
}
