package exporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// NoState is the value of --state.file that turns the state file off.
const NoState = "none"

// lockTimeout is how long serve waits for another process to give up the state file: a check has it for as long as its
// probes take, an exporter that was stopped for some seconds more.
const lockTimeout = 25 * time.Second

// stored is an open state file, and what an earlier process kept in it.
type stored struct {
	store    monitor.Store // nil if nothing is kept
	content  state.Content
	path     string
	warnings []string // one line each
	close    func()
}

// openState opens the state file at path; if path is empty, that of the configuration with this identity. If the disk
// does not let it, nothing is kept, and a warning says so. The error is [state.ErrLocked] if another process uses the
// file, or else says that the file is none of ours.
func openState(path, identity string) (s stored, err error) {
	s.path, s.close = path, func() {}
	if path == NoState {
		return s, nil
	}
	if path == "" {
		s.path, s.warnings, err = defaultPath(identity)
	}
	var file *state.File
	if err == nil {
		file, s.content, err = state.Open(s.path)
	}
	switch _, ofDisk := errors.AsType[syscall.Errno](err); {
	case ofDisk:
		s.path = NoState
		s.warnings = []string{"Running without a state file: a restart forgets all verdicts and histories, and probes " +
			"every token again: " + err.Error()}
		return s, nil
	case err != nil:
		return s, err
	case file.Damaged != "":
		s.warnings = append(s.warnings, "The state file was damaged or of another version; it is "+file.Damaged+
			" now, and nothing is known from before")
	}
	s.store, s.close = file, func() { _ = file.Close() }
	return s, nil
}

// Save implements [monitor.Store]: it writes the state file, and notes how that went for the metrics and the log.
func (x *exporter) Save(content state.Content) error {
	err := x.store.Save(content)
	x.mu.Lock()
	defer x.mu.Unlock()
	failedBefore := x.facts.StateFailing
	x.facts.StateFailing = err != nil
	if err != nil {
		x.facts.StateErrors++
		if !failedBefore {
			x.logger.Error("Saving the state failed; a restart now would forget verdicts and budgets", "err", err)
		}
		return err
	}
	x.facts.StateSaved = time.Now()
	if failedBefore {
		x.logger.Info("Saving the state works again")
	}
	return nil
}

// awaitState opens the state file once no other process uses it. It gives up after lockTimeout, or when ctx ends.
func awaitState(ctx context.Context, path, identity string, logger *slog.Logger) (stored, error) {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	for waiting := false; ; waiting = true {
		s, err := openState(path, identity)
		switch {
		case !errors.Is(err, state.ErrLocked):
			return s, err
		case ctx.Err() != nil:
			return s, fmt.Errorf("%w; stop that process, or name another file with --state.file", err)
		case !waiting:
			logger.Info("Waiting for another process to give up the state file", "state", s.path, "timeout", lockTimeout)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
