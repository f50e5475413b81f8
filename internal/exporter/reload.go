package exporter

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// reloader puts new configurations into use. An invalid one changes nothing.
type reloader struct {
	load    func() (*config.Config, []string, error)
	monitor *monitor.Monitor
	logger  *slog.Logger

	reloading sync.Mutex // one reload at a time; held while files are read, which can hang; guards warnings
	warnings  []string   // last logged

	mu      sync.Mutex // guards the fields below
	at      time.Time  // of the last attempt
	success time.Time  // of the last successful one
	err     error      // of the last attempt
}

// newReloader returns a reloader of a monitor whose configuration was just loaded, with warnings.
func newReloader(
	load func() (*config.Config, []string, error), m *monitor.Monitor, logger *slog.Logger, warnings []string,
) *reloader {
	r := &reloader{load: load, monitor: m, logger: logger}
	r.warn(warnings)
	r.note(nil)
	return r
}

// reload loads the configuration. If that fails, nothing changes.
func (r *reloader) reload() error {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	cfg, warnings, err := r.load()
	r.note(err)
	if err != nil {
		r.logger.Error("Reloading the configuration failed; keeping the old one", "err", err)
		return err
	}
	r.warn(warnings)
	r.monitor.Reload(cfg)
	r.logger.Info("Configuration reloaded", "tokens", len(cfg.Tokens))
	return nil
}

// warn logs the warnings, unless they are those of the last time.
func (r *reloader) warn(warnings []string) {
	if slices.Equal(warnings, r.warnings) {
		return
	}
	r.warnings = warnings
	for _, warning := range warnings {
		r.logger.Warn(warning)
	}
}

// note records how an attempt ended.
func (r *reloader) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.err = time.Now(), err
	if err == nil {
		r.success = r.at
	}
}

// last returns when the last attempt was made, when the last one succeeded, and the error of the last one.
func (r *reloader) last() (at, success time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at, r.success, r.err
}

// watch reloads whenever the fingerprint differs from the last one, which it compares every interval until ctx ends. An
// invalid configuration is tried again only once it has changed again.
func (r *reloader) watch(ctx context.Context, interval time.Duration, last string, fingerprint func() (string, error)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		// A file that cannot be read now may just be being replaced.
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
