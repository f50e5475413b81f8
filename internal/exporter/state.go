package exporter

import (
	"errors"
	"sync"

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

	file *stateFile // nil: nowhere
}

// OpenState opens the state file at path; if path is empty, that of the configuration with this identity. It never
// fails: what it cannot do is in the warnings. If another process uses the file, the content is what that process last
// saved, and the file is this process's as soon as the other ends.
func OpenState(path, identity string, getenv func(string) string) State {
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
	s := State{Path: path, file: &stateFile{path: path}}
	err := s.file.open()
	if s.Locked = errors.Is(err, state.ErrLocked); s.Locked {
		s.Warnings = []string{err.Error() + "; this one saves nothing until the other ends"}
	} else if err != nil {
		return State{Warnings: []string{lost + err.Error()}}
	}
	if s.Content, err = state.Read(path); err != nil {
		s.Warnings = append(s.Warnings, err.Error()+"; starting without stored state")
	}
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
		s.file.close()
	}
}

// stateFile is a state file that another process may use at first. Its methods are safe for concurrent use.
type stateFile struct {
	path string

	mu   sync.Mutex  // guards file
	file *state.File // nil until this process has the lock
}

// open takes the lock, if it is free.
func (f *stateFile) open() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file != nil {
		return nil
	}
	file, err := state.Open(f.path)
	if err == nil {
		f.file = file
	}
	return err
}

// Save implements [monitor.Store].
func (f *stateFile) Save(s state.State) error {
	if err := f.open(); err != nil {
		return err
	}
	return f.file.Save(s)
}

func (f *stateFile) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file != nil {
		_ = f.file.Close()
	}
}
