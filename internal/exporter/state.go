package exporter

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
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
	Failing  bool     // whether the content could not be saved at the start; it may be possible later
	Warnings []string // one line each: what is lost, and why

	file *state.File // nil: nothing is saved
}

// How long serve and check wait for another process to give up the state file: a check has it for as long as its probes
// take, an exporter for as long as it runs, and some seconds longer when it is stopped.
const checkLockTimeout = time.Second

func serveLockTimeout(cfg *config.Config) time.Duration { return checkTimeout(cfg) + 5*time.Second }

// checkTimeout returns for how long a check that has the state file probes at most: for two probes that time out.
func checkTimeout(cfg *config.Config) time.Duration { return max(20*time.Second, 2*cfg.Timeout) }

// OpenState opens the state file at path; if path is empty, that of the configuration with this identity. It never
// fails: what it cannot do is in the warnings. If another process uses the file, the content is what was last saved, and
// nothing is saved. The end of ctx ends the wait for another process.
func OpenState(ctx context.Context, path, identity string, getenv func(string) string, cfg *config.Config,
	logger *slog.Logger,
) State {
	return openState(ctx, path, identity, getenv, serveLockTimeout(cfg), logger)
}

func openState(ctx context.Context, path, identity string, getenv func(string) string, lockTimeout time.Duration,
	logger *slog.Logger,
) State {
	const lost = "Running without a state file: a restart forgets verdicts and the requests of the last 24 hours: "
	if path == NoState {
		return State{}
	}
	var s State
	if path == "" {
		var warning string
		var err error
		if path, warning, err = state.DefaultPath(identity, getenv); err != nil {
			return State{Warnings: []string{lost + err.Error()}}
		}
		if warning != "" {
			s.Warnings = append(s.Warnings, warning)
		}
	}
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
		s.Warnings = append(s.Warnings, err.Error()+"; this one saves nothing")
	} else if err != nil {
		s.Warnings = append(s.Warnings, lost+err.Error())
	} else if file.Damaged != "" {
		s.Warnings = append(s.Warnings, "state file "+path+" was damaged; it is "+file.Damaged+" now; starting without stored state")
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
		s.Failing = true
		s.Warnings = append(s.Warnings, "Until the state file can be written, a restart forgets verdicts and the requests of "+
			"the last 24 hours: "+err.Error())
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
