package monitor

import (
	"maps"
	"slices"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

// closeTimeout is how long Close waits for the last write: a disk may hang.
const closeTimeout = 2 * time.Second

// saver is the one goroutine that writes the state file, so that a disk that hangs holds nobody but those who wait for
// it: the probes that are about to start.
type saver struct {
	writes     chan chan struct{} // each is closed after the next write
	wake       chan struct{}      // asks for a write that nobody waits for
	ended      chan struct{}      // closed after the last write
	lastFailed bool               // whether the last write failed; only the goroutine uses it
}

func (m *Monitor) startSaver() {
	m.saver = saver{writes: make(chan chan struct{}), wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go func() {
		defer close(m.ended)
		for {
			select {
			case done := <-m.writes:
				m.write()
				close(done)
			case <-m.wake:
				m.write()
			case <-m.ctx.Done():
				m.awaitCalls() // canceled probes give back what they took
				m.write()
				return
			}
		}
	}()
}

func (m *Monitor) awaitCalls() {
	m.mu.Lock()
	var calls []*call
	for _, t := range m.tokens {
		if t.call != nil {
			calls = append(calls, t.call)
		}
	}
	m.mu.Unlock()
	for _, c := range calls {
		<-c.done
	}
}

// save returns when all that has changed so far is in the state file, could not be written, or the monitor stops.
func (m *Monitor) save() {
	done := make(chan struct{})
	select {
	case m.writes <- done:
	case <-m.ctx.Done():
		return
	}
	select {
	case <-done:
	case <-m.ctx.Done():
	}
}

// saveSoon has the state saved without waiting for it.
func (m *Monitor) saveSoon() {
	select {
	case m.wake <- struct{}{}:
	default: // a write is about to begin
	}
}

// Close stops and saves the state.
func (m *Monitor) Close() {
	m.stop()
	select {
	case <-m.ended:
	case <-time.After(closeTimeout):
	}
}

// write writes the state file if something has changed. A failed write is tried again at the next scrape.
func (m *Monitor) write() {
	m.mu.Lock()
	if m.Store == nil || !m.dirty {
		m.mu.Unlock()
		return
	}
	content, now := m.contentLocked(), m.now()
	m.dirty = false
	m.mu.Unlock()
	err := m.Store.Save(content)
	m.mu.Lock()
	defer m.mu.Unlock()
	failed := m.lastFailed
	m.lastFailed = err != nil
	if err != nil {
		m.dirty = true
		m.stateFile.Errors++
		if !failed {
			m.Logger.Error("Saving the state failed; a restart now would forget verdicts and budgets", "err", err)
		}
	} else {
		m.stateFile.Saved = now
		if failed {
			m.Logger.Info("Saving the state works again")
		}
	}
}

// State is what survives a restart. It holds no token: a token's source and secret are salted digests.
type State struct {
	Salt       []byte         `json:"salt"`
	Tokens     []savedToken   `json:"tokens"`
	Accounts   []savedAccount `json:"accounts"`
	Unanswered Unanswered     `json:"unanswered"`
}

// contentLocked returns the state as it is saved.
func (m *Monitor) contentLocked() State {
	s := State{Salt: m.salt, Unanswered: m.unanswered}
	for _, t := range m.tokens {
		s.Tokens = append(s.Tokens, t.savedToken)
	}
	for _, name := range slices.Sorted(maps.Keys(m.accounts)) {
		s.Accounts = append(s.Accounts, m.accounts[name].savedAccount)
	}
	return s
}

// restoreAccounts takes over the accounts of an earlier process.
func (m *Monitor) restoreAccounts(s State, settings config.Pacing) {
	m.unanswered = s.Unanswered
	for _, saved := range s.Accounts {
		m.accountLocked(saved.Name, settings).savedAccount = saved
	}
}

// restoreTokens gives the tokens whose name and source are those of an earlier process what that knew about them.
func (m *Monitor) restoreTokens(s State) {
	for _, saved := range s.Tokens {
		if t := m.byName[saved.SavedName]; t != nil && t.SourceDigest == saved.SourceDigest {
			saved.Token, saved.Counters = t.Token, t.Counters
			t.savedToken = saved
		}
	}
}
