package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
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
	return p.serveConfig(ctx, service{
		origin: p.origin(),
		cfg:    cfg,
		load:   p.load,
		beside: func(ctx context.Context, _ net.Addr, _ *monitor.Monitor, reloads *reloader) {
			switch {
			case *p.autoReload && path == "":
				p.logger.Warn("--config.auto-reload does nothing: the configuration is the environment, which does not change")
			case *p.autoReload:
				reloads.watch(ctx, *p.autoReloadInterval, before, func() (string, error) { return config.Fingerprint(path) })
			}
		},
	})
}

// service is what to serve.
type service struct {
	origin string // of the configuration, for the log
	cfg    *config.Config
	load   func() (*config.Config, error) // for a reload
	// beside runs from when the exporter can be asked, and is told at what address.
	beside func(context.Context, net.Addr, *monitor.Monitor, *reloader)
}

// connect makes the connection between the monitor and the API.
func connect(cfg *config.Config) monitor.Open {
	client := appfigures.NewClient(cfg, version.Version)
	return func(ctx context.Context) monitor.Session { return client.NewSession(ctx) }
}

// serveConfig serves s.cfg, and what s.load returns at each reload, until ctx ends or a signal comes.
func (p *program) serveConfig(ctx context.Context, s service) int {
	if err := p.checkWebConfig(); err != nil {
		return p.fail(err, exitError)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	hangups := make(chan os.Signal, 1) // from here on: until then, SIGHUP ends the process
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	p.logger.Info("Starting appfigures_exporter", "version", version.Info(), "config", s.origin, "tokens", len(s.cfg.Tokens))

	m := monitor.New(s.cfg, connect, p.logger)
	defer m.Stop()
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		versioncollector.NewCollector("appfigures_exporter"),
	)
	reloads := newReloader(s.cfg, m, s.load, p.logger, registry)
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

	server := web.Server(handler, p.logger)
	var first sync.Once // of several addresses
	server.BaseContext = func(l net.Listener) context.Context {
		first.Do(func() { go s.beside(ctx, l.Addr(), m, reloads) })
		return context.Background()
	}
	ended := make(chan error, 1)
	go func() { ended <- toolkit.ListenAndServe(server, p.flags.web, p.logger) }()
	select {
	case err := <-ended:
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "listen" {
			err = fmt.Errorf("%w; choose another address with --web.listen-address", err)
		}
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
