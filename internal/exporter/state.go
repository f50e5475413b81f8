package exporter

import (
	"errors"
	"log/slog"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// NoState is the value of --state.file that turns the state file off.
const NoState = "none"

// State is where the state is kept, and what an earlier process kept there.
type State struct {
	Store   monitor.Store // nil: nowhere
	Content state.State
	Locked  bool // whether another process keeps its state there
	file    *state.File
}

// Close gives up the state file.
func (s State) Close() {
	if s.file != nil {
		_ = s.file.Close()
	}
}

// OpenState opens the state file at path; if path is empty, that of the configuration with this identity. It logs what
// is lost if there is none. If another process uses the file, the content is that process's.
func OpenState(path, identity string, getenv func(string) string, logger *slog.Logger) State {
	const lost = "Running without a state file: a restart forgets verdicts and the requests of the last 24 hours"
	if path == NoState {
		return State{}
	}
	var err error
	if path == "" {
		if path, err = state.DefaultPath(identity, getenv); err != nil {
			logger.Warn(lost, "err", err)
			return State{}
		}
	}
	file, err := state.Open(path)
	locked := errors.Is(err, state.ErrLocked)
	if err != nil {
		logger.Warn(lost, "err", err)
		if !locked {
			return State{}
		}
	}
	content, err := state.Read(path)
	if err != nil {
		logger.Warn("Starting without the stored state", "err", err)
	}
	if locked {
		return State{Content: content, Locked: true}
	}
	return State{Store: file, Content: content, file: file}
}
