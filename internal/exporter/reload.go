package exporter

import (
	"context"
	"time"
)

// reload replaces the configuration. After an error, the old one is still in use.
func (x *exporter) reload() error {
	x.reloading.Lock()
	defer x.reloading.Unlock()
	cfg, err := x.Load()
	x.mu.Lock()
	x.facts.ReloadTime, x.facts.ReloadError = time.Now(), err
	if err == nil {
		x.facts.ReloadSuccess = x.facts.ReloadTime
	}
	x.mu.Unlock()
	if err != nil {
		x.logger.Error("Reloading the configuration failed; keeping the old one", "err", err)
		return err
	}
	x.monitor.Reload(cfg)
	for _, warning := range cfg.Warnings {
		x.logger.Warn(warning)
	}
	x.logger.Info("Configuration reloaded", "tokens", len(cfg.Tokens))
	return nil
}

// watch reloads at each hangup until ctx ends, and when two looks in a row see the same fingerprint, which is not the
// last: a file that is being written changes between them. A configuration that cannot be read is a change as well: its
// reload fails and is reported.
func (x *exporter) watch(ctx context.Context, looks <-chan time.Time, last string) {
	for seen := last; ; {
		select {
		case <-ctx.Done():
			return
		case <-x.Hangups:
			_ = x.reload() // logs its error
		case <-looks:
			next, err := x.Fingerprint()
			if err != nil {
				next = err.Error()
			}
			if next == seen && next != last {
				last = next
				_ = x.reload()
			}
			seen = next
		}
	}
}
