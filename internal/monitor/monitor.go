// Package monitor owns all state that changes: what is known about each token, when each token has its turn, and which
// probes are under way. Scrapes ask it for a [Snapshot]. It makes no request itself and knows nothing of HTTP.
package monitor

import (
	"context"
	"log/slog"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// Prober probes tokens. Its method is safe for concurrent use.
type Prober interface {
	// Probe makes one request. The error is not nil if ctx was canceled, which says nothing about the token.
	Probe(ctx context.Context, secret config.Secret) (probe.Outcome, error)
}

// Store keeps the state. Save returns when the state is on disk, or with an error; it may hang with the disk.
type Store interface {
	Save(state.State) error
}

// Options is what a monitor needs besides its configuration.
type Options struct {
	NewProber func(*config.Config) Prober // called for each configuration
	Store     Store                       // nil: the state lives in memory only
	State     state.State                 // what an earlier process saved; zero if nothing
	Logger    *slog.Logger
	Now       func() time.Time // the wall clock; nil: the system's
}

// Monitor watches the tokens of one configuration at a time. Its methods are safe for concurrent use.
type Monitor struct{}

// New returns a monitor of cfg's tokens. It probes nothing until it is scraped; Close ends it.
func New(cfg *config.Config, o Options) *Monitor { panic("TODO") }

// Started gives tokens extra turns because a person sets things up or has mended something: serve calls it once after
// New; Reload does so itself.
func (m *Monitor) Started() { panic("TODO") }

// LookAgain gives the tokens that are not valid an extra turn: a person has mended something.
func (m *Monitor) LookAgain() { panic("TODO") }

// Reload watches cfg's tokens from now on. Tokens whose name and source are unchanged keep their state, and accounts
// of the same name their budget. Probes under way go on.
func (m *Monitor) Reload(cfg *config.Config) { panic("TODO") }

// Scrape probes the named tokens whose turn it is, or all if there are no names, and returns their state. It returns
// when the probes have ended, at the deadline, or when ctx ends, whatever still hangs. Probes that it started run until
// they end or their timeout expires; the next scrape shows their results. A zero deadline is none.
func (m *Monitor) Scrape(ctx context.Context, deadline time.Time, names ...string) Snapshot {
	panic("TODO")
}

// Snapshot returns the state of the named tokens, or of all, without probing.
func (m *Monitor) Snapshot(names ...string) Snapshot { panic("TODO") }

// Has reports whether a token of that name is configured.
func (m *Monitor) Has(name string) bool { panic("TODO") }

// StateFile returns how the state file does.
func (m *Monitor) StateFile() StateFile { panic("TODO") }

// Healthy returns an error if a restart would help.
func (m *Monitor) Healthy() error { panic("TODO") }

// Stop cancels all probes under way; they are no results. Scrapes return at once from then on.
func (m *Monitor) Stop() { panic("TODO") }

// Close stops and saves the state.
func (m *Monitor) Close() { panic("TODO") }

// Warnings returns, one line each, which accounts have more tokens than their budget can look at each hour.
func Warnings(cfg *config.Config) []string { panic("TODO") }
