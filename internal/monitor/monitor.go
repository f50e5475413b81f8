// Package monitor owns all state that changes: what is known of each token, how much of its quota each account has
// spent on probes, and which probes are under way. Scrapes ask it for a [Snapshot].
package monitor

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

// Session probes tokens over connections that it shares with nobody. Its methods are safe for concurrent use.
type Session interface {
	// Probe makes one request. The error is not nil when ctx was cancelled, which says nothing about the token.
	Probe(ctx context.Context, token config.Secret) (appfigures.Outcome, error)
	Close()
}

// Open opens sessions to the API that a configuration names. Dials of a session end with its context.
type Open func(context.Context) Session

// Monitor watches the tokens of one configuration at a time. Its methods are safe for concurrent use.
type Monitor struct {
	connect func(*config.Config) Open
	logger  *slog.Logger
	ctx     context.Context // ends all probes
	stop    context.CancelFunc

	mu                sync.Mutex // guards everything below and all of tokens and accounts
	setup             setup
	tokens            []*token // in the order of the configuration
	byName            map[string]*token
	accounts          map[string]*account // also those no longer configured: their day's count must not be lost
	probes            uint64              // made so far: the order of probes, whatever the clock does
	certificateExpiry time.Time
}

// setup is what a configuration determines. It is replaced as a whole; a round keeps the one it began with.
type setup struct {
	open        Open
	slots       chan struct{} // one element for each probe under way
	minInterval time.Duration
}

// account is an Appfigures account: the tokens that share one quota.
type account struct {
	name   string
	tokens []*token // configured at present
	pacer  pacer
	heard  bool    // whether the API has answered any probe of it yet
	scout  *flight // the first probe under way while not heard
}

// New returns a monitor of cfg's tokens. connect is called once for each configuration. The monitor probes nothing
// until it is asked to; Stop ends it.
func New(cfg *config.Config, connect func(*config.Config) Open, logger *slog.Logger) *Monitor {
	m := &Monitor{connect: connect, logger: logger, accounts: make(map[string]*account)}
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.Reload(cfg)
	return m
}

// Stop ends all probes under way; they say nothing about their tokens. Scrapes return at once from then on.
func (m *Monitor) Stop() { m.stop() }

// Reload watches cfg's tokens from now on. Tokens whose name and source are the same keep their state, and accounts
// of the same name the count of their probes. Probes under way end as they began.
func (m *Monitor) Reload(cfg *config.Config) {
	open := m.connect(cfg)
	m.mu.Lock()
	defer m.mu.Unlock()
	slots := m.setup.slots
	if cap(slots) != cfg.MaxConcurrency { // else the probes under way go on counting
		slots = make(chan struct{}, cfg.MaxConcurrency)
	}
	m.setup = setup{open: open, slots: slots, minInterval: cfg.Pacing.MinInterval}
	for _, a := range m.accounts {
		a.tokens = nil
	}
	tokens := make([]*token, 0, len(cfg.Tokens))
	byName := make(map[string]*token, len(cfg.Tokens))
	for _, configured := range cfg.Tokens {
		a := m.accounts[configured.Account]
		if a == nil {
			a = &account{name: configured.Account}
			m.accounts[configured.Account] = a
		}
		a.pacer.share = cfg.Pacing.QuotaShare
		t := m.byName[configured.Name]
		if t == nil || !t.Source.Equal(configured.Source) {
			t = &token{}
		}
		t.Token, t.account = configured, a
		a.tokens = append(a.tokens, t)
		tokens = append(tokens, t)
		byName[configured.Name] = t
	}
	m.tokens, m.byName = tokens, byName
}

// Has reports whether a token of that name is configured.
func (m *Monitor) Has(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.byName[name] != nil
}

// Snapshot returns the state of the named tokens, or of all when there are no names, and when each is due. It probes
// nothing.
func (m *Monitor) Snapshot(names ...string) Snapshot {
	snapshot := m.snapshot(names)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forecast(snapshot.Time, snapshot.Tokens)
	return snapshot
}

// snapshot is Snapshot without the times when tokens are due, which cost a look at all of them.
func (m *Monitor) snapshot(names []string) Snapshot {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endHolds(now)
	tokens := m.selectTokens(names)
	snapshot := Snapshot{Time: now, CertificateExpiry: m.certificateExpiry, Tokens: make([]TokenState, len(tokens))}
	accounts := make(map[string]*account)
	for i, t := range tokens {
		snapshot.Tokens[i] = t.state(now)
		accounts[t.account.name] = t.account
	}
	for _, name := range slices.Sorted(maps.Keys(accounts)) {
		snapshot.Accounts = append(snapshot.Accounts, accounts[name].state(now))
	}
	return snapshot
}

// selectTokens returns the named tokens, or all when there are no names. m.mu is held.
func (m *Monitor) selectTokens(names []string) []*token {
	if len(names) == 0 {
		return m.tokens
	}
	var selected []*token
	for _, name := range names {
		if t := m.byName[name]; t != nil {
			selected = append(selected, t)
		}
	}
	return selected
}

// endHolds releases the accounts whose hold is over, with one line of log each. m.mu is held.
func (m *Monitor) endHolds(now time.Time) {
	for name, a := range m.accounts {
		if a.pacer.release(now) {
			m.logger.Info("Account is probed again: the pause that the API asked for is over", "account", name)
		}
	}
}

// forecast notes for each token of the snapshot when a scrape would next probe it. m.mu is held.
func (m *Monitor) forecast(now time.Time, states []TokenState) {
	place := make(map[*account]int)
	due := make(map[string]time.Time, len(m.tokens))
	for _, t := range inOrder(m.tokens) {
		next := t.earliest(m.setup.minInterval)
		if t.urgency() == routine {
			place[t.account]++
		}
		if turn := t.account.pacer.next(now, place[t.account]); turn.After(next) {
			next = turn
		}
		if next.After(now) {
			due[t.Name] = next
		}
	}
	for i := range states {
		states[i].NextDue = due[states[i].Name]
	}
}

func (a *account) state(now time.Time) AccountState {
	return AccountState{
		Name:        a.name,
		Budget:      a.pacer.budget(),
		BudgetKnown: a.pacer.limit > 0,
		Used:        a.pacer.usedOn(now),
		HeldUntil:   a.pacer.heldUntil,
		HeldFor:     a.pacer.heldFor,
	}
}
