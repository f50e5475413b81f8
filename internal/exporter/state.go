package exporter

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// NoState is the value of --state.file that turns the state file off.
const NoState = "none"

// State is where the state is kept, and what an earlier process kept there.
type State struct {
	Path     string // empty: nowhere
	Content  state.State
	Locked   bool     // whether another process uses the file at present
	Warnings []string // one line each: what is lost, and why

	file *state.File // nil: nothing is saved
}

// How long serve and check wait for another process to give up the state file: a check has it for as long as its probes
// take, an exporter for as long as it runs, and some seconds longer when it is stopped.
const (
	serveLockTimeout = 25 * time.Second
	checkLockTimeout = time.Second
)

// OpenState opens the state file at path; if path is empty, that of the configuration with this identity. It never
// fails: what it cannot do is in the warnings. If the file cannot be written, or another process uses it, the content is
// what was last saved, and nothing is saved. The end of ctx ends the wait for another process.
func OpenState(ctx context.Context, path, identity string, getenv func(string) string, logger *slog.Logger) State {
	return openState(ctx, path, identity, getenv, serveLockTimeout, logger)
}

func openState(ctx context.Context, path, identity string, getenv func(string) string, lockTimeout time.Duration,
	logger *slog.Logger,
) State {
	const lost = "Running without a state file: a restart forgets verdicts and the requests of the last 24 hours: "
	if path == NoState {
		return State{}
	}
	if path == "" {
		var err error
		if path, err = state.DefaultPath(identity, getenv); err != nil {
			return State{Warnings: []string{lost + err.Error()}}
		}
	}
	var s State
	file, err := state.Open(path)
	if errors.Is(err, state.ErrLocked) {
		logger.Info("Waiting for another process to give up the state file", "state", path, "timeout", lockTimeout)
	}
	for end := time.Now().Add(lockTimeout); errors.Is(err, state.ErrLocked) && ctx.Err() == nil && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
		file, err = state.Open(path)
	}
	if s.Locked = errors.Is(err, state.ErrLocked); s.Locked {
		s.Path = path
		s.Warnings = []string{err.Error() + "; this one saves nothing"}
	} else if err != nil {
		s.Warnings = []string{lost + err.Error()}
	}
	var readErr error
	if s.Content, readErr = state.Read(path); readErr != nil && (err == nil || s.Locked) {
		s.Warnings = append(s.Warnings, readErr.Error()+"; starting without stored state")
	}
	if err != nil {
		return s
	}
	// A full disk shows only when something is written. Reading the same content again at each start without saving what
	// was used since would give the same budget again and again.
	if err := file.Save(s.Content); err != nil {
		_ = file.Close()
		s.Warnings = append(s.Warnings, lost+err.Error())
		return s
	}
	s.Path, s.file = path, file
	return s
}

// Store returns where the monitor saves its state; nil if nowhere.
func (s State) Store() monitor.Store {
	if s.file == nil {
		return nil
	}
	return s.file
}

// Close gives up the state file.
func (s State) Close() {
	if s.file != nil {
		_ = s.file.Close()
	}
}
