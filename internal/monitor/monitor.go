// Package monitor owns all state that changes: what is known about each token, when each token has its turn, and which
// probes are under way. It makes no request itself, and knows nothing of HTTP, files and formats.
//
// To read it, begin with [Monitor.Scrape], which is one scrape from top to bottom. pacing.go decides when a token is
// probed, token.go what an answer does to its verdict.
package monitor

import (
	"context"
	"crypto/rand"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// Prober probes tokens. Its method is safe for concurrent use.
type Prober interface {
	// Probe makes one request. The error is not nil if ctx was canceled, which says nothing about the token; then the
	// outcome tells only whether the request was sent.
	Probe(ctx context.Context, secret config.Secret) (probe.Outcome, error)
}

// Store keeps the state. Save returns when the state is on disk, or with an error; it may hang with the disk. One
// goroutine at a time calls it.
type Store interface {
	Save(content state.Content) error
}

// Options is what a monitor needs besides its configuration.
type Options struct {
	NewProber func(*config.Config) Prober // called for each configuration
	Store     Store                       // nil: the state lives in memory only
	State     state.Content               // what an earlier process saved; zero if nothing
	Logger    *slog.Logger                // must not block: the mutex is held
	Now       func() time.Time            // the wall clock; nil: the system's
}

// Monitor watches the tokens of one configuration at a time. Its methods are safe for concurrent use.
type Monitor struct {
	Options
	reader config.Reader
	ctx    context.Context // ends all probes
	cancel context.CancelFunc
	calls  sync.WaitGroup // under way
	saving chan struct{}  // has an element while the state file is written, which guards Store

	mu                sync.Mutex // guards the fields below and all of tokens and accounts
	prober            Prober
	slots             chan struct{} // has an element per request under way
	tokens            []*token      // in the order of the configuration
	byName            map[string]*token
	accounts          map[string]*account // also those that are configured no more, while their budget counts
	unanswered        state.Unanswered
	certificateExpiry time.Time
	dirty             bool // whether there is something to save
}

// account is an Appfigures account: the tokens that share one daily limit.
type account struct {
	state.Account
	settings config.Pacing
	tokens   []*token             // configured, in order
	inFlight int64                // requests that are taken and not complete
	started  time.Time            // when serve started or reloaded; zero in check
	alone    *call                // the probe that others wait for while today's use is not known; nil if there is none
	answers  prometheus.Histogram // durations of the probes that the API answered
}

// New returns a monitor of cfg's tokens. It probes nothing until it is scraped; Close ends it.
func New(cfg *config.Config, o Options) *Monitor {
	m := &Monitor{
		Options: o, saving: make(chan struct{}, 1),
		byName: make(map[string]*token), accounts: make(map[string]*account),
	}
	if m.Now == nil {
		m.Now = func() time.Time { return time.Now().Round(0) } // a restart can compare its own to the wall clock only
	}
	if len(m.State.Salt) == 0 {
		m.State.Salt = make([]byte, 16)
		_, _ = rand.Read(m.State.Salt) // never fails
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.restore(cfg.Pacing)
	m.configure(cfg)
	return m
}

// BeginSetUp begins the set-up time, when serve starts or reloads: see setUpTime.
func (m *Monitor) BeginSetUp() {
	m.mu.Lock()
	for _, a := range m.accounts {
		a.started = m.Now()
	}
	m.mu.Unlock()
	m.LookAgain()
}

// LookAgain gives the tokens that are not valid an extra turn: someone has fixed the cause.
func (m *Monitor) LookAgain() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.accounts {
		a.lookAgain(func(t *token) bool { return t.Verdict != probe.VerdictValid })
	}
	m.dirty = true
}

// Reload watches cfg's tokens from now on. Tokens whose name and source are unchanged keep their state, and accounts
// of the same name their budget. Requests under way go on.
func (m *Monitor) Reload(cfg *config.Config) {
	m.configure(cfg)
	m.BeginSetUp()
}

// configure replaces the configuration.
func (m *Monitor) configure(cfg *config.Config) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.Now()
	m.prober, m.slots = m.NewProber(cfg), make(chan struct{}, cfg.MaxConcurrency)
	for _, a := range m.accounts {
		a.tokens, a.settings = nil, cfg.Pacing
	}
	known := m.byName
	m.tokens, m.byName = nil, make(map[string]*token, len(cfg.Tokens))
	for _, configured := range cfg.Tokens {
		source := configured.Source.Digest(m.State.Salt)
		t := known[configured.Name]
		if t == nil || t.sourceDigest != source {
			t = &token{sourceDigest: source}
			t.Configured, t.Created = now, now
		}
		t.Token, t.account = configured, m.accountLocked(configured.Account, cfg.Pacing)
		t.account.tokens = append(t.account.tokens, t)
		m.tokens, m.byName[t.Name] = append(m.tokens, t), t
	}
	for name, a := range m.accounts {
		a.rollOver(now)
		added := 0
		for i, t := range a.tokens {
			t.place = i
			if t.LastTurn.IsZero() { // it is new
				t.LastTurn, t.Requested = a.initialLastTurn(added, now), now
				added++
			}
		}
		if reason, _ := a.heldBy(now); len(a.tokens) == 0 && a.Used == 0 && reason == NotHeld {
			delete(m.accounts, name)
		}
	}
	m.dirty = true
}

// accountLocked returns the account of that name, which may be new.
func (m *Monitor) accountLocked(name string, settings config.Pacing) *account {
	a := m.accounts[name]
	if a == nil {
		a = &account{
			Account: state.Account{Name: name}, settings: settings,
			answers: prometheus.NewHistogram(prometheus.HistogramOpts{
				Name:                            "durations", // the collector gives the metric its name
				Buckets:                         []float64{.05, .1, .2, .3, .5, .75, 1, 2, 3, 5, 10, 30},
				NativeHistogramBucketFactor:     1.1,
				NativeHistogramMaxBucketNumber:  100,
				NativeHistogramMinResetDuration: time.Hour,
			}),
		}
		m.accounts[name] = a
	}
	return a
}

// selectLocked returns the named tokens, or all if there are no names.
func (m *Monitor) selectLocked(names []string) []*token {
	if len(names) == 0 {
		return m.tokens
	}
	var selected []*token
	for _, name := range names {
		if t := m.byName[name]; t != nil && !slices.Contains(selected, t) {
			selected = append(selected, t)
		}
	}
	return selected
}
