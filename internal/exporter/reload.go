package exporter

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
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

// reloader replaces the configuration while the exporter runs.
type reloader struct {
	load   func() (*config.Config, error)
	use    func(*config.Config)
	logger *slog.Logger

	reloading sync.Mutex // one reload at a time; held for little longer than loadTimeout
	last      atomic.Pointer[attempt]
}

// reload loads the configuration and puts it into use. A load that hangs goes on alone; its result is not used.
func (r *reloader) reload() error {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	var cfg *config.Config
	ended := make(chan error, 1)
	go func() {
		var err error
		cfg, err = r.load()
		ended <- err
	}()
	err := errHangs
	select {
	case err = <-ended:
	case <-time.After(loadTimeout):
	}
	if err != nil {
		r.last.Store(&attempt{time.Now(), r.last.Load().success, err})
		r.logger.Error("Reloading the configuration failed; keeping the old one", "err", err)
		return err
	}
	r.use(cfg)
	r.last.Store(&attempt{time.Now(), time.Now(), nil})
	for _, warning := range slices.Concat(cfg.Warnings, monitor.Warnings(cfg)) {
		r.logger.Warn(warning)
	}
	r.logger.Info("Configuration reloaded", "tokens", len(cfg.Tokens))
	return nil
}

// watch reloads at each signal until ctx ends, and when two looks in a row see the same fingerprint, which is not the
// last: a file that is being written changes between them. A configuration that cannot be read is a change as well: its
// reload fails and is reported.
func (r *reloader) watch(
	ctx context.Context, hangups <-chan os.Signal, looks <-chan time.Time,
	last string, fingerprint func() (string, error),
) {
	for seen := last; ; {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			_ = r.reload() // logs its error
		case <-looks:
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
