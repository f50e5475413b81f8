package main

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// reloader puts a new configuration into use, or none at all.
type reloader struct {
	load    func() (*config.Config, error)
	monitor *monitor.Monitor
	logger  *slog.Logger

	successful, successTime prometheus.Gauge

	reloading sync.Mutex // one reload at a time; held while files are read, which can hang

	mu  sync.Mutex     // guards the fields below
	cfg *config.Config // in use
	ok  bool
	at  time.Time // of the last attempt
}

// newReloader returns a reloader for a monitor that already uses cfg.
func newReloader(cfg *config.Config, m *monitor.Monitor, load func() (*config.Config, error), logger *slog.Logger, registry prometheus.Registerer) *reloader {
	r := &reloader{
		load:    load,
		monitor: m,
		logger:  logger,
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "appfigures_exporter_config_last_reload_successful",
			Help: "Whether the last attempt to load the configuration succeeded.",
		}),
		successTime: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "appfigures_exporter_config_last_reload_success_timestamp_seconds",
			Help: "When the configuration was last loaded successfully, in seconds since 1970.",
		}),
	}
	registry.MustRegister(r.successful, r.successTime)
	r.note(cfg, nil)
	return r
}

// reload loads the configuration. When that fails nothing changes, and the error says why.
func (r *reloader) reload() error {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	cfg, err := r.load()
	r.note(cfg, err)
	if err != nil {
		r.logger.Error("Configuration not reloaded, the old one stays in use", "err", err)
		return err
	}
	r.monitor.Reload(cfg)
	r.logger.Info("Configuration reloaded", "tokens", len(cfg.Tokens))
	return nil
}

// note records how an attempt to load cfg ended.
func (r *reloader) note(cfg *config.Config, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.ok = time.Now(), err == nil
	if err != nil {
		r.successful.Set(0)
		return
	}
	r.cfg = cfg
	r.successful.Set(1)
	r.successTime.Set(float64(r.at.UnixNano()) / 1e9)
}

// last reports whether the last attempt succeeded, and when it was made.
func (r *reloader) last() (bool, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ok, r.at
}

// timeout returns how long a probe may take at present.
func (r *reloader) timeout() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cfg.Timeout
}

// watch reloads when the fingerprint of the configuration is no longer what it was when last loaded, looking at each
// interval until ctx ends. A configuration that is bad is tried again only when it has changed again.
func (r *reloader) watch(ctx context.Context, interval time.Duration, last string, fingerprint func() (string, error)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		// A file that cannot be read just now may be in the midst of being replaced.
		if next, err := fingerprint(); err == nil && next != last {
			last = next
			_ = r.reload() // logs its error
		}
	}
}

// onSignal reloads at each signal until ctx ends.
func (r *reloader) onSignal(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			_ = r.reload() // logs its error
		}
	}
}
