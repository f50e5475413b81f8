package monitor

import (
	"maps"
	"slices"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

// closeTimeout is how long Close waits for the last write: a disk may hang.
const closeTimeout = 2 * time.Second

// State is what survives a restart. It holds no token: a token's source and secret are salted digests.
type State struct {
	Salt       []byte         `json:"salt"`
	Tokens     []savedToken   `json:"tokens"`
	Accounts   []savedAccount `json:"accounts"`
	Unanswered Unanswered     `json:"unanswered"`
}

// savedToken is what the state file keeps of a token.
type savedToken struct {
	SavedName    string `json:"name"`
	SourceDigest string `json:"source"`           // of where the secret comes from
	SecretDigest string `json:"secret,omitempty"` // of the secret last read; empty before the first
	TokenState
	turns
}

// turns is what pacing knows about a token.
type turns struct {
	LastTurn  time.Time `json:"last_turn"`            // when its last turn was due; the next is due an interval later
	Sent      bool      `json:"sent,omitempty"`       // whether a request was made with its present secret
	LookAgain bool      `json:"look_again,omitempty"` // whether there may be news about it
	Missed    bool      `json:"missed,omitempty"`     // its last answer decided nothing: it may be looked at again once
	Requested time.Time `json:"requested,omitzero"`   // when its last request was taken
}

// savedAccount is what the state file keeps of an account.
type savedAccount struct {
	Name      string    `json:"name"`
	Day       time.Time `json:"day"`        // 00:00 UTC of the day that the counters are about
	Used      int64     `json:"used"`       // requests of that day
	ExtraUsed int64     `json:"extra_used"` // of these, extra turns
	Limit     int64     `json:"limit"`      // requests per UTC day, as the API last reported; 0 if never
	Report    report    `json:"report,omitzero"`
	Hold      hold      `json:"hold,omitzero"`
}

// report is an account's use as the API last reported it.
type report struct {
	Used  int64     `json:"used"`  // requests of all programs on the API's day
	Since int64     `json:"since"` // own requests since the report
	Until time.Time `json:"until"` // end of the API's day
}

// hold is a pause that an answer demanded. It is kept after its end, because verdictDue counts from there.
type hold struct {
	Reason HoldReason `json:"reason"`
	Until  time.Time  `json:"until"`
}

// restore takes over what an earlier process saved. Which of its tokens are still there, configure finds out.
func (m *Monitor) restore(s State, settings config.Pacing) {
	m.unanswered = s.Unanswered
	for _, saved := range s.Accounts {
		m.accountLocked(saved.Name, settings).savedAccount = saved
	}
	for _, saved := range s.Tokens {
		t := &token{savedToken: saved}
		t.Created = m.Now()
		m.byName[saved.SavedName] = t
	}
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

// save returns when all that has changed so far is in the state file, could not be written, or the monitor ends. One
// call writes at a time. A disk that hangs holds the probes that are about to start, and nobody else.
func (m *Monitor) save() {
	select {
	case m.saving <- struct{}{}:
		m.write()
	case <-m.ctx.Done(): // Close writes
	}
}

// saveResults saves what has changed, unless somebody else is writing: then the next scrape does.
func (m *Monitor) saveResults() {
	select {
	case m.saving <- struct{}{}:
		m.write()
	default:
	}
}

// Close cancels all probes under way, which then have no result, and saves the state. Scrapes return at once from then
// on, and probe nothing. A disk that hangs does not hold it.
func (m *Monitor) Close() {
	m.mu.Lock() // takeLocked takes no request any more
	m.cancel()
	m.mu.Unlock()
	written := make(chan struct{})
	go func() {
		defer close(written)
		m.probes.Wait() // they give back what they took
		m.saving <- struct{}{}
		m.write()
	}()
	select {
	case <-written:
	case <-time.After(closeTimeout):
	}
}

// write writes the state file if something has changed; only who has the element of m.saving calls it. A failed write
// is logged once, and tried again by the next.
func (m *Monitor) write() {
	defer func() { <-m.saving }()
	m.mu.Lock()
	if m.Store == nil || !m.dirty {
		m.mu.Unlock()
		return
	}
	content, now := m.contentLocked(), m.Now()
	m.dirty = false
	m.mu.Unlock()
	err := m.Store.Save(content)
	m.mu.Lock()
	defer m.mu.Unlock()
	failedBefore := m.stateFile.Failing
	m.stateFile.Failing = err != nil
	switch {
	case err != nil && !failedBefore:
		m.Logger.Error("Saving the state failed; a restart now would forget verdicts and budgets", "err", err)
	case err == nil && failedBefore:
		m.Logger.Info("Saving the state works again")
	}
	if err != nil {
		m.dirty = true
		m.stateFile.Errors++
	} else {
		m.stateFile.Saved = now
	}
}
