// Package monitor owns all state that changes: what is known about each token, how many requests each account has
// spent on probes, and which probes are under way. Scrapes ask it for a [Snapshot].
package monitor

import (
	"context"
	"log/slog"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// Session probes tokens over connections that it shares with nobody. Its methods are safe for concurrent use.
type Session interface {
	// Probe makes one request. The error is not nil when ctx was canceled, which says nothing about the token.
	Probe(ctx context.Context, token config.Secret) (probe.Outcome, error)
	Close()
}

// Connect opens a session to the API that the configuration names.
type Connect func(ctx context.Context, cfg *config.Config) Session

// Store keeps the state. Save returns when the state is on disk, or soon with an error.
type Store interface {
	Save(state.State) error
}

// Options is what a monitor needs besides its configuration.
type Options struct {
	Connect Connect
	Store   Store       // nil: the state lives in memory only
	State   state.State // what an earlier process saved; zero if nothing
	Logger  *slog.Logger
}

// Monitor watches the tokens of one configuration at a time. Its methods are safe for concurrent use.
type Monitor struct{}

// New returns a monitor of cfg's tokens. It probes nothing until it is asked to; Stop ends it.
func New(cfg *config.Config, o Options) *Monitor { return &Monitor{} }

// Stop cancels all probes under way; they say nothing about their tokens. Scrapes return at once from then on.
func (m *Monitor) Stop() {}

// Reload watches cfg's tokens from now on. Tokens whose name and source are unchanged keep their state.
func (m *Monitor) Reload(cfg *config.Config) {}

// Has reports whether a token of that name is configured.
func (m *Monitor) Has(name string) bool { return false }

// Scrape probes the named tokens that are due, or all if there are no names, and returns their state. It returns when
// all is done, at the deadline, or when ctx ends; probes that it started go on until they end.
func (m *Monitor) Scrape(ctx context.Context, deadline time.Time, names ...string) Snapshot {
	return Snapshot{}
}

// Snapshot returns the state of the named tokens, or of all if there are no names. It probes nothing.
func (m *Monitor) Snapshot(names ...string) Snapshot { return Snapshot{} }

// Healthy returns an error if the monitor cannot do its work and a restart would help.
func (m *Monitor) Healthy() error { return nil }

// Warnings returns, one line each, what pacing makes of cfg that its author may not expect.
func Warnings(cfg *config.Config) []string { return nil }
