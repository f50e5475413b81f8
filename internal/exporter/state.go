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
	file     *state.File // nil if nothing is kept
	path     string
	content  monitor.State
	warnings []string // one line each
}

// openState opens the state file at path; if path is empty, that of the configuration with this identity. If the disk
// does not let it, nothing is kept, and a warning says so. The error is [state.ErrLocked] if another process still uses
// the file after the timeout, or else says that the file is none of ours.
func openState(
	ctx context.Context, path, identity string, timeout time.Duration, logger *slog.Logger,
) (s stored, err error) {
	s.path = path
	if path == NoState {
		return s, nil
	}
	if path == "" {
		var warning string
		if s.path, warning, err = state.DefaultPath(identity, os.Getenv); warning != "" {
			s.warnings = append(s.warnings, warning)
		}
	}
	open := func() { s.file, s.content, err = state.Open[monitor.State](s.path) }
	if err == nil {
		open()
	}
	if errors.Is(err, state.ErrLocked) {
		logger.Info("Waiting for another process to give up the state file", "state", s.path, "timeout", timeout)
	}
	end := time.Now().Add(timeout)
	for errors.Is(err, state.ErrLocked) && ctx.Err() == nil && time.Now().Before(end) {
		time.Sleep(50 * time.Millisecond)
		open()
	}
	switch _, ofDisk := errors.AsType[syscall.Errno](err); {
	case ofDisk || s.path == "": // no place can be written
		s.path = NoState
		s.warnings = append(s.warnings, "Running without a state file: a restart forgets all verdicts and histories, "+
			"and probes every token again: "+err.Error())
		return s, nil
	case err == nil && s.file.Damaged != "":
		s.warnings = append(s.warnings, "The state file was damaged or of another version; it is "+s.file.Damaged+
			" now, and nothing is known from before")
	}
	return s, err
}
