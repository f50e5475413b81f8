package exporter

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// NoState is the value of --state.file that turns the state file off.
const NoState = "none"

// How long serve and check wait for another process to give up the state file: a check has it for as long as its probes
// take, an exporter for as long as it runs, and some seconds longer when it is stopped.
const (
	serveLockTimeout = 25 * time.Second
	checkLockTimeout = 1 * time.Second
)

// stored is an open state file, and what an earlier process kept in it.
type stored struct {
	path     string // [NoState] if nothing is kept
	content  monitor.State
	store    monitor.Store // nil if nothing is kept
	close    func() error
	warnings []string // one line each
}

// openState opens the state file at path; if path is empty, that of the configuration with this identity. If the disk
// does not let it, nothing is kept, and a warning says so. The error is [state.ErrLocked] if another process still uses
// the file after the timeout, or else says that the file is none of ours.
func openState(
	ctx context.Context, path, identity string, timeout time.Duration, logger *slog.Logger,
) (stored, error) {
	opened := stored{path: path, close: func() error { return nil }}
	without := func(err error) stored { // nothing is kept
		opened.path = NoState
		if err != nil {
			opened.warnings = append(opened.warnings, "Running without a state file: a restart forgets all verdicts and "+
				"histories, and probes every token again: "+err.Error())
		}
		return opened
	}
	if path == NoState {
		return without(nil), nil
	}
	if path == "" {
		var warning string
		var err error
		if opened.path, warning, err = state.DefaultPath(identity, os.Getenv); err != nil {
			return without(err), nil
		}
		if warning != "" {
			opened.warnings = append(opened.warnings, warning)
		}
	}
	file, content, err := state.Open[monitor.State](opened.path)
	if errors.Is(err, state.ErrLocked) {
		logger.Info("Waiting for another process to give up the state file", "state", opened.path, "timeout", timeout)
	}
	for end := time.Now().Add(timeout); errors.Is(err, state.ErrLocked) && ctx.Err() == nil && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
		file, content, err = state.Open[monitor.State](opened.path)
	}
	if _, isOfDisk := errors.AsType[syscall.Errno](err); isOfDisk {
		return without(err), nil
	}
	if err != nil {
		return opened, err
	}
	if file.Damaged != "" {
		opened.warnings = append(opened.warnings, "The state file was damaged or of another version; it is "+file.Damaged+
			" now, and nothing is known from before")
	}
	opened.content, opened.store, opened.close = content, file, file.Close
	return opened, nil
}
