// Package monitor owns all state that changes: what is known about each token, how many requests each account has
// spent on probes, and which probes are under way. Scrapes ask it for a [Snapshot].
package monitor

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
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
type Connect func(*config.Config) Session

// Store keeps the state. Save returns when the state is on disk, or soon with an error.
type Store interface {
	Save(state.State) error
}

// Options is what a monitor needs besides its configuration.
type Options struct {
	Connect Connect
	Store   Store       // nil: the state lives in memory only
	Failing bool        // whether Store failed to save State just now
	State   state.State // what an earlier process saved; zero if nothing
	Logger  *slog.Logger

	clock func() instant // for tests; nil: the system's
	boot  string         // with clock: as bootID returns it
}

// Monitor watches the tokens of one configuration at a time. Its methods are safe for concurrent use.
type Monitor struct {
	connect Connect
	logger  *slog.Logger
	store   Store // nil: the state lives in memory only
	saver   saver
	salt    []byte          // of the digests in the state
	clock   func() instant  // now
	boot    string          // of the system, in which the steady clock counts; empty if unknown
	reads   chan struct{}   // one element per read of a source under way
	ctx     context.Context // ends all probes
	stop    context.CancelFunc

	mu                sync.Mutex // guards the fields below and all of tokens and accounts; see unlock
	setup             setup
	tokens            []*token // in the order of the configuration
	byName            map[string]*token
	accounts          map[string]*account   // also those that left the configuration, until their budget is forgotten
	gone              formerAccounts        // of tokens that left the configuration, or were given another secret
	probes            uint64                // started so far: their order, whatever the clock does
	users             map[uint64][]*account // of the tokens configured, by the API's user
	certificateExpiry time.Time
	stateFile         stateFile
	unverified        *unverified // until an answer has told how long the system was off; else nil
	asked             time.Time   // wall clock: when a probe was last made only to learn that
	dirty             bool        // whether there is something to save
	saving            bool        // whether a save is under way
	lines             []logLine
}

// setup is what a configuration determines. It is replaced as a whole; a scrape keeps the one that it began with.
type setup struct {
	connect     func() Session
	slots       slots
	minInterval time.Duration
	longest     time.Duration // for which a call can take, with its confirmation
}

type stateFile struct {
	StateFile
	failing    bool
	neverSaved bool // whether it has failed since the start: the process is like one without a state file
}

// logLine is a line to log once the mutex is free: a logger can block.
type logLine struct {
	level   slog.Level
	message string
	args    []any
}

// New returns a monitor of cfg's tokens. It probes nothing until it is asked to; Stop ends it.
func New(cfg *config.Config, o Options) *Monitor {
	m := &Monitor{
		connect: o.Connect, logger: o.Logger, store: o.Store, salt: o.State.Salt, clock: o.clock, boot: o.boot,
		reads: make(chan struct{}, maxReads), accounts: make(map[string]*account), gone: make(formerAccounts),
	}
	if m.clock == nil {
		m.clock, m.boot = systemClock, bootID()
	}
	if len(m.salt) == 0 {
		m.salt = make([]byte, 16)
		_, _ = rand.Read(m.salt) // never fails
	}
	m.stateFile.Enabled, m.stateFile.failing, m.stateFile.neverSaved = o.Store != nil, o.Failing, o.Failing
	m.ctx, m.stop = context.WithCancel(context.Background())
	now := m.clock()
	m.restoreAccounts(o.State, cfg.Pacing, now)
	m.restoreUnverified(o.State, now)
	m.Reload(cfg)
	m.restoreTokens(o.State)
	m.dirty = !m.sameBoot(o.State, now) // saved anew, its age shows at the next start, too
	return m
}

func systemClock() instant {
	return instant{wall: time.Now().Round(0), steady: time.Unix(0, 0).Add(sinceBoot())} // without Go's monotonic reading
}

// unlock releases the mutex, then logs what happened while it was held.
func (m *Monitor) unlock() {
	lines := m.lines
	m.lines = nil
	m.mu.Unlock()
	for _, l := range lines {
		m.logger.Log(context.Background(), l.level, l.message, l.args...)
	}
}

// logLocked logs a line when the mutex is released.
func (m *Monitor) logLocked(level slog.Level, message string, args ...any) {
	m.lines = append(m.lines, logLine{level, message, args})
}

// Stop cancels all probes under way; they say nothing about their tokens. Scrapes return at once from then on.
func (m *Monitor) Stop() { m.stop() }

// Close stops and saves the state, with its age.
func (m *Monitor) Close() {
	m.stop()
	m.mu.Lock()
	m.dirty = true
	m.mu.Unlock()
	m.persist()
}

// Reload watches cfg's tokens from now on. Tokens whose name and source are unchanged keep their state, and accounts
// of the same name their budget; see regroupLocked for tokens that are in another account than before. Probes under way
// go on.
func (m *Monitor) Reload(cfg *config.Config) {
	m.mu.Lock()
	defer m.unlock()
	now := m.clock()
	m.regroupLocked(cfg, now)
	slots := m.setup.slots
	if cap(slots.all) != cfg.MaxConcurrency { // else the probes under way go on counting
		slots = newSlots(cfg.MaxConcurrency)
	}
	m.setup = setup{
		connect:     func() Session { return m.connect(cfg) },
		slots:       slots,
		minInterval: cfg.Pacing.MinInterval,
		longest:     3*cfg.Timeout + time.Minute,
	}
	for _, a := range m.accounts {
		a.pacer.unverify(m.unverified)
		a.tokens, a.sameUserAs = nil, nil
	}
	before := m.tokens
	tokens := make([]*token, 0, len(cfg.Tokens))
	byName := make(map[string]*token, len(cfg.Tokens))
	for _, configured := range cfg.Tokens {
		a := m.accounts[configured.Account]
		t := m.byName[configured.Name]
		if t == nil || !t.Source.Equal(configured.Source) {
			t = &token{TokenState: TokenState{Created: now.wall}, sourceDigest: configured.Source.Digest(m.salt)}
		}
		t.Token, t.account = configured, a
		a.tokens = append(a.tokens, t)
		tokens = append(tokens, t)
		byName[configured.Name] = t
	}
	for _, a := range m.accounts {
		a.pacer.configure(cfg.Pacing, len(a.tokens), now.steady)
	}
	m.tokens, m.byName, m.dirty = tokens, byName, true
	m.users = make(map[uint64][]*account) // learned again: the grouping may be right now
	m.forgetAccountsLocked(now)
	m.noteGoneLocked(before, now)
}

// forgetAccountsLocked drops the accounts that left the configuration and whose requests no longer count.
func (m *Monitor) forgetAccountsLocked(now instant) {
	for name, a := range m.accounts {
		if len(a.tokens) == 0 && a.pacer.idle(now) {
			delete(m.accounts, name)
		}
	}
}

// Has reports whether a token of that name is configured.
func (m *Monitor) Has(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.byName[name] != nil
}

// Snapshot returns the state of the named tokens, or of all if there are no names. It probes nothing.
func (m *Monitor) Snapshot(names ...string) Snapshot {
	m.mu.Lock()
	defer m.unlock()
	now := m.clock()
	tokens := m.selectLocked(names)
	snapshot := Snapshot{
		Time: now.wall, CertificateExpiry: m.certificateExpiry, StateFile: m.stateFile.StateFile,
		Tokens: make([]TokenState, len(tokens)),
	}
	forecasts := make(map[*account]map[*token]time.Time)
	for i, t := range tokens {
		a := t.account
		if forecasts[a] == nil {
			m.noteDelayLocked(a, now)
			forecasts[a] = a.forecast(now, m.setup.minInterval)
			snapshot.Accounts = append(snapshot.Accounts, a.state(now))
		}
		s := &snapshot.Tokens[i]
		*s = t.TokenState
		if t.unsaved != nil {
			*s = *t.unsaved
		}
		s.Interval, s.NextProbe = t.interval(now, m.setup.minInterval), forecasts[a][t]
	}
	slices.SortFunc(snapshot.Accounts, func(a, b AccountState) int { return cmp.Compare(a.Name, b.Name) })
	return snapshot
}

// StateFile returns how the state file does.
func (m *Monitor) StateFile() StateFile {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stateFile.StateFile
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

func (m *Monitor) sortedAccountsLocked() []*account {
	accounts := make([]*account, 0, len(m.accounts))
	for _, a := range m.accounts {
		accounts = append(accounts, a)
	}
	slices.SortFunc(accounts, func(a, b *account) int { return cmp.Compare(a.name, b.name) })
	return accounts
}

// noteDelayLocked notes until when the account's routine probes wait for longer than their pace, and logs the end of a
// hold.
func (m *Monitor) noteDelayLocked(a *account, now instant) {
	if next := a.pacer.next(now, 1); next.Sub(now.wall) > a.pacer.interval() {
		a.delayedUntil = next
	}
	reason, _ := a.pacer.held(now)
	held := reason == DailyLimit || reason == SlowDown
	if a.held && !held {
		m.logLocked(slog.LevelInfo, "Resuming probes of account", "account", a.name)
	}
	a.held = held
}

// recordLocked takes over an outcome of t, and logs what it changed. Good news of a first probe is not worth a line.
func (m *Monitor) recordLocked(t *token, outcome probe.Outcome, now instant) change {
	before := t.Verdict
	changed := t.record(outcome, now.wall)
	if changed != noChange || outcome.Result != probe.NoToken {
		m.dirty = true
	}
	level, message := slog.LevelDebug, "Probe completed"
	switch changed {
	case newVerdict:
		message = "Token is valid"
		switch {
		case t.Verdict == probe.VerdictDenied:
			level, message = slog.LevelWarn, "Token is denied"
		case before != probe.VerdictUnknown:
			level = slog.LevelInfo
		}
	case firstDenial:
		level, message = slog.LevelInfo, "Token was denied; probing again to confirm"
	case oneOffDenial:
		level, message = slog.LevelInfo, "Token was denied once and is valid again; the verdict did not change"
		if t.Verdict != probe.VerdictValid {
			message = "Token was denied once for another reason; the verdict did not change"
		}
	case newIndecision:
		level, message = slog.LevelWarn, "Probe got no verdict"
	case noChange:
	}
	args := []any{"token", t.Name, "account", t.Account, "result", outcome.Result.String()}
	if outcome.HTTPStatus != 0 {
		args = append(args, "http_status", outcome.HTTPStatus)
	}
	if outcome.Message != "" {
		args = append(args, "reason", outcome.Message)
	}
	m.logLocked(level, message, args...)
	return changed
}

// noteUserLocked notes that t belongs to the API's user, and reports tokens of one user under different accounts, which
// spend one quota twice.
func (m *Monitor) noteUserLocked(t *token, user uint64) {
	if user == 0 || slices.Contains(m.users[user], t.account) {
		return
	}
	others := m.users[user]
	m.users[user] = append(others, t.account)
	if len(others) == 0 {
		return
	}
	for _, a := range others[:min(len(others), maxSameUser)] {
		a.addSameUser(t.account)
		t.account.addSameUser(a)
	}
	m.logLocked(slog.LevelWarn, "Tokens of two accounts belong to one Appfigures user and share its quota; "+
		"give them one account in the configuration", "account", t.account.name, "other_account", others[0].name)
}

// Healthy returns an error if the monitor cannot do its work and a restart would help: its mutex is held for long, or a
// probe does not end long after its timeout.
func (m *Monitor) Healthy() error {
	const timeout, step = 2 * time.Second, 10 * time.Millisecond
	for waited := time.Duration(0); !m.mu.TryLock(); waited += step {
		if waited >= timeout {
			return errors.New("the monitor's state has been locked for seconds")
		}
		time.Sleep(step)
	}
	defer m.mu.Unlock()
	now := m.clock().steady
	for _, t := range m.tokens {
		if t.call != nil && !t.call.started.IsZero() && now.Sub(t.call.started) > m.setup.longest {
			return fmt.Errorf("the probe of token %q does not end", t.Name)
		}
	}
	return nil
}
