package monitor

import (
	"maps"
	"slices"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

const closeTimeout = 2 * time.Second // for the end of the calls and for the last write: a disk may hang

// restore takes over what an earlier process saved. Which of its tokens are still there, configure finds out.
func (m *Monitor) restore(settings config.Pacing) {
	m.unanswered = m.State.Unanswered
	for _, saved := range m.State.Accounts {
		m.accountLocked(saved.Name, settings).Account = saved
	}
	for _, saved := range m.State.Tokens {
		t := &token{Turns: saved.Turns, sourceDigest: saved.SourceDigest, secretDigest: saved.SecretDigest}
		t.Findings, t.Created = saved.Findings, m.Now()
		m.byName[saved.Name] = t
	}
	m.State.Tokens, m.State.Accounts = nil, nil // the salt stays in use
}

// contentLocked returns the state as it is saved.
func (m *Monitor) contentLocked() state.Content {
	s := state.Content{Salt: m.State.Salt, Unanswered: m.unanswered, Tokens: make([]state.Token, 0, len(m.tokens))}
	for _, t := range m.tokens {
		s.Tokens = append(s.Tokens, state.Token{
			Name: t.Name, SourceDigest: t.sourceDigest, SecretDigest: t.secretDigest, Findings: t.Findings, Turns: t.Turns,
		})
	}
	for _, name := range slices.Sorted(maps.Keys(m.accounts)) {
		s.Accounts = append(s.Accounts, m.accounts[name].Account)
	}
	return s
}

// save returns when all that has changed so far is in the state file, could not be written, or the monitor ends. One
// call writes at a time. A disk that hangs holds the requests that are about to be made, and nobody else.
func (m *Monitor) save() {
	select {
	case m.saving <- struct{}{}:
		m.write()
		<-m.saving
	case <-m.ctx.Done(): // Close writes
	}
}

// saveResults saves at the end of a scrape, unless somebody else is writing: then the next scrape does.
func (m *Monitor) saveResults() {
	select {
	case m.saving <- struct{}{}:
		m.write()
		<-m.saving
	default:
	}
}

// Close cancels all probes under way, which then have no result, and saves the state. Scrapes return at once from then
// on, and probe nothing; nothing is saved any more. A disk that hangs holds Close for [closeTimeout] at most.
func (m *Monitor) Close() {
	m.mu.Lock() // takeLocked takes no request any more
	m.cancel()
	m.mu.Unlock()
	written := make(chan struct{})
	go func() {
		defer close(written)
		m.calls.Wait() // those that were not sent give back what they took
		m.saving <- struct{}{}
		m.write()
		m.Store = nil
		<-m.saving
	}()
	select {
	case <-written:
	case <-time.After(closeTimeout):
	}
}

// write saves the state if something has changed; only who has the element of m.saving calls it. After an error, the
// next call tries again.
func (m *Monitor) write() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Store == nil || !m.dirty {
		return
	}
	content := m.contentLocked()
	m.dirty = false
	m.mu.Unlock()
	err := m.Store.Save(content)
	m.mu.Lock()
	m.dirty = m.dirty || err != nil
}
