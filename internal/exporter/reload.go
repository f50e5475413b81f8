package exporter

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

// loadTimeout bounds how long a reload waits for files on a disk that hangs.
const loadTimeout = 10 * time.Second

var errHangs = errors.New("the configuration cannot be read in time; see whether its disk hangs, then reload again")

// attempt is how an attempt to load the configuration ended.
type attempt struct {
	time    time.Time
	success time.Time // of the last attempt that succeeded
	err     error
}

// reloader puts new configurations into use. One that cannot be loaded changes nothing.
type reloader struct {
	load   func() (*config.Config, []string, error)
	use    func(*config.Config)
	logger *slog.Logger

	reloading sync.Mutex // one reload at a time; held for little longer than loadTimeout
	last      atomic.Pointer[attempt]
}

// newReloader returns a reloader of a configuration that was just loaded.
func newReloader(
	load func() (*config.Config, []string, error), use func(*config.Config), logger *slog.Logger,
) *reloader {
	r := &reloader{load: load, use: use, logger: logger}
	now := time.Now()
	r.last.Store(&attempt{time: now, success: now})
	return r
}

// reload loads the configuration and puts it into use.
func (r *reloader) reload() error {
	cfg, warnings, err := r.replace()
	if err != nil {
		r.logger.Error("Reloading the configuration failed; keeping the old one", "err", err)
		return err
	}
	for _, warning := range warnings {
		r.logger.Warn(warning)
	}
	r.logger.Info("Configuration reloaded", "tokens", len(cfg.Tokens))
	return nil
}

// replace loads the configuration and puts it into use. A load that hangs goes on alone; its result is not used.
func (r *reloader) replace() (*config.Config, []string, error) {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	type result struct {
		cfg      *config.Config
		warnings []string
		err      error
	}
	done := make(chan result, 1)
	go func() {
		cfg, warnings, err := r.load()
		done <- result{cfg, warnings, err}
	}()
	loaded := result{err: errHangs}
	select {
	case loaded = <-done:
	case <-time.After(loadTimeout):
	}
	next := &attempt{time.Now(), time.Now(), loaded.err}
	if loaded.err != nil {
		next.success = r.last.Load().success
	} else {
		r.use(loaded.cfg)
	}
	r.last.Store(next)
	return loaded.cfg, loaded.warnings, loaded.err
}

// watch reloads at each signal until ctx ends, and when two looks in a row, with the interval between them, see the
// same fingerprint, which is not the last: a file that is being written changes between them. A configuration that
// cannot be read is a change as well: its reload fails and is reported. If fingerprint is nil, only signals count.
func (r *reloader) watch(
	ctx context.Context, hangups <-chan os.Signal, interval time.Duration, last string, fingerprint func() (string, error),
) {
	var ticks <-chan time.Time
	if fingerprint != nil {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		ticks = ticker.C
	}
	for seen := last; ; {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			_ = r.reload() // logs its error
		case <-ticks:
			next, err := fingerprint()
			if err != nil {
				next = err.Error()
			}
			if next == seen && next != last {
				last = next
				_ = r.reload()
			}
			seen = next
		}
	}
}
