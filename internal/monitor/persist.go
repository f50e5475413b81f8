package monitor

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// saver writes the state on request, one write at a time. Requests that come during a write share the next one.
type saver struct {
	mu      sync.Mutex    // guards the fields below
	next    chan struct{} // closed after the next write; nil if nobody waits for one
	writing bool
}

// flush returns when write has been called after flush was, by this goroutine or another.
func (s *saver) flush(write func()) {
	s.mu.Lock()
	if s.next == nil {
		s.next = make(chan struct{})
	}
	next, idle := s.next, !s.writing
	s.writing = true
	s.mu.Unlock()
	if idle {
		go s.run(write)
	}
	<-next
}

func (s *saver) run(write func()) {
	for {
		s.mu.Lock()
		next := s.next
		s.next = nil
		s.writing = next != nil
		s.mu.Unlock()
		if next == nil {
			return
		}
		write()
		close(next)
	}
}

// persist returns when all that has changed so far is in the state file, or could not be written.
func (m *Monitor) persist() {
	if m.store == nil {
		return
	}
	m.mu.Lock()
	dirty := m.dirty || m.saving
	m.mu.Unlock()
	if dirty {
		m.saver.flush(m.save)
	}
}

// save writes the state once.
func (m *Monitor) save() {
	m.mu.Lock()
	now := m.clock()
	content := m.contentLocked(now)
	m.dirty, m.saving = false, true
	m.mu.Unlock()
	err := m.store.Save(content)
	m.mu.Lock()
	defer m.unlock()
	m.saving = false
	switch {
	case err == nil:
		if m.stateFile.failing {
			m.logLocked(slog.LevelInfo, "Saving the state works again")
		}
		m.stateFile.failing, m.stateFile.neverSaved, m.stateFile.Saved = false, false, now.wall
	default:
		m.dirty = true
		if !m.stateFile.failing {
			m.logLocked(slog.LevelError, "Saving the state failed; a restart now would forget verdicts and budgets", "err", err)
			for _, a := range m.accounts { // a restart could make the same requests again, and so on
				a.pacer.drain(now.steady)
			}
		}
		m.stateFile.failing = true
		m.stateFile.Errors++
	}
}

// contentLocked returns the state as it is saved. Steady times are saved in wall-clock time.
func (m *Monitor) contentLocked(now instant) state.State {
	wall := func(steady time.Time) time.Time {
		if steady.IsZero() {
			return steady
		}
		return now.wall.Add(steady.Sub(now.steady))
	}
	s := state.State{Saved: now.wall, Boot: m.boot, Steady: now.steady, Salt: m.salt, Asked: m.asked}
	if u := m.unverified; u != nil {
		off := u.off + now.wall.Sub(now.steady) - u.offset
		s.Unverified = &state.Unverified{At: wall(u.at), Off: off, APITime: u.apiTime}
	}
	for _, t := range m.tokens {
		saved := state.Token{
			Name: t.Name, Account: t.Account, Source: t.sourceDigest, Secret: t.secretDigest(m.salt),
			Message: t.Message, VerdictTime: t.VerdictTime, VerdictSince: t.VerdictSince, SinceStart: t.SinceStart,
			ResultSince: t.ResultSince, Begun: wall(t.begun), Spread: t.spread,
		}
		if t.Verdict != probe.VerdictUnknown {
			saved.Verdict, saved.Reason = t.Verdict.String(), t.Reason.String()
		}
		if t.Unconfirmed {
			saved.Unconfirmed = t.pending.String()
		}
		for _, at := range t.urgent {
			saved.Urgent = append(saved.Urgent, wall(at))
		}
		if t.Probed {
			saved.Last = &state.Probe{
				Result: t.Last.Result.String(), HTTPStatus: t.Last.HTTPStatus, Message: t.Last.Message,
				Start: t.Last.Start, Duration: t.Last.Duration, Phases: slices.Clone(t.Last.Phases[:]),
			}
		}
		s.Tokens = append(s.Tokens, saved)
	}
	for _, a := range m.sortedAccountsLocked() {
		p := &a.pacer
		m.noteDelayLocked(a, now)
		p.window.advance(now.steady)
		saved := state.Account{
			Name: a.name, Limit: p.report.limit, Used: p.report.used, Day: p.report.day, ID: p.window.origin,
			Tokens: p.tokens, Permits: p.permits(now.steady), Reported: wall(p.report.arrived), Last: wall(p.last),
			HoldReason: p.heldReason.String(), HoldUntil: wall(p.heldUntil), HeldAt: wall(p.heldAt),
			DelayedUntil: a.delayedUntil,
		}
		switch u := m.unverified; {
		case !p.report.timeKnown && u != nil && !u.apiTime.IsZero():
			saved.APITime = u.apiTime.Add(now.steady.Sub(u.at))
		case p.report.timeKnown || p.report.skew != 0:
			saved.APITime = p.apiTime(now)
		}
		if p.report.used >= 0 { // requests that the report lacks are used, too
			saved.Used += p.uncount + p.inFlight
		}
		for _, b := range p.window.bins {
			saved.Bins = append(saved.Bins, state.Bin{Origin: b.origin, Start: wall(b.start), Count: b.count})
		}
		s.Accounts = append(s.Accounts, saved)
	}
	m.forgetGoneLocked(now)
	s.Gone = make(map[string]state.Gone, len(m.gone))
	for key, former := range m.gone {
		gone := state.Gone{Last: wall(former.last)}
		for _, a := range former.accounts {
			gone.Accounts = append(gone.Accounts, a.name)
		}
		s.Gone[key] = gone
	}
	return s
}

// secretDigest returns the digest of the secret that t was last probed with; empty if it was not.
func (t *token) secretDigest(salt []byte) string {
	switch {
	case t.digest != "" || !t.probed:
		return t.digest
	case t.digestOf != t.probedWith:
		t.digestOf, t.cachedDigest = t.probedWith, t.probedWith.Digest(salt)
	}
	return t.cachedDigest
}

// sameBoot reports whether the steady clock has counted on since s was saved.
func (m *Monitor) sameBoot(s state.State, now instant) bool {
	return m.boot != "" && m.boot == s.Boot && !now.steady.Before(s.Steady) // else a machine was restored from a snapshot
}

// age returns how long before now, at least, the state was saved. The time for which the system was off is not in it:
// only the wall clock tells that, which may be wrong. Where boots are not known, the wall clock must do.
func (m *Monitor) age(s state.State, now instant) time.Duration {
	switch {
	case m.sameBoot(s, now):
		return now.steady.Sub(s.Steady)
	case m.boot == "":
		return max(0, now.wall.Sub(s.Saved))
	}
	return 0
}

// steadyTimes returns a function from times in a state that has this age now to steady ones, which are all before now. A
// clock that was set back since, or that was ahead when the state was saved, does not shorten a day.
func steadyTimes(s state.State, age time.Duration, now time.Time) func(time.Time) time.Time {
	return func(saved time.Time) time.Time {
		if saved.IsZero() {
			return saved
		}
		return earlier(now.Add(-1), now.Add(saved.Sub(s.Saved)-age))
	}
}

// savesNothing reports whether what happens now is not saved.
func (m *Monitor) savesNothing() bool { return m.store == nil || m.stateFile.failing }

// restoreAccounts takes over what an earlier process saved about accounts.
func (m *Monitor) restoreAccounts(s state.State, settings config.Pacing, now instant) {
	age := m.age(s, now)
	steady := steadyTimes(s, age, now.steady)
	for _, saved := range s.Accounts {
		if saved.Name == "" {
			continue
		}
		a := newAccount(saved.Name, settings, now.steady)
		p := &a.pacer
		p.booted = !m.sameBoot(s, now)
		p.tokens = max(0, saved.Tokens) // for the pace at which permits are gained
		if 0 < saved.Limit && saved.Limit <= maxLimit {
			p.report.limit = saved.Limit
		}
		if 0 <= saved.Used && saved.Used <= maxLimit {
			p.report.used, p.report.day, p.report.arrived = saved.Used, saved.Day, steady(saved.Reported)
		}
		if !saved.APITime.IsZero() {
			p.report.skew = saved.APITime.Sub(s.Saved)
			p.report.steadySkew, p.report.timeKnown = saved.APITime.Add(age).Sub(now.steady), m.sameBoot(s, now)
		}
		for _, b := range saved.Bins {
			if 0 < b.Count && b.Count <= maxLimit {
				p.window.insert(bin{b.Origin, steady(b.Start), b.Count})
			}
		}
		left := func(until time.Time, longest time.Duration) time.Time { // of a time in the future
			return now.steady.Add(min(max(0, until.Sub(s.Saved)-age), longest))
		}
		missing := float64(p.capacity()) - min(saved.Permits, float64(p.capacity()))
		p.full = now.steady.Add(time.Duration(min(missing*float64(p.interval()), float64(maxMissing))) - age)
		if m.savesNothing() { // the next start finds the same content: it must not find a full bucket each time
			p.drain(now.steady)
		}
		p.last, a.delayedUntil = steady(saved.Last), earlier(saved.DelayedUntil, now.wall.Add(day))
		for _, reason := range []HoldReason{DailyLimit, SlowDown} {
			if saved.HoldReason == reason.String() {
				p.heldReason, p.heldUntil = reason, left(saved.HoldUntil, day)
				p.heldAt = steady(saved.HeldAt)
			}
		}
		if saved.ID != 0 && m.store != nil { // else another process may go on with it
			p.window.origin = saved.ID
		}
		m.accounts[a.name] = a
	}
	for key, gone := range s.Gone {
		m.restoreGone(key, steady(gone.Last), gone.Accounts...)
	}
	for _, t := range s.Tokens {
		for _, key := range []string{t.Source, nameKey(t.Name), t.Secret} {
			m.restoreGone(key, steady(t.Begun), t.Account)
		}
	}
}

func (m *Monitor) restoreGone(key string, last time.Time, accounts ...string) {
	for _, name := range accounts {
		if a := m.accounts[name]; a != nil && key != "" {
			m.gone.add(key, last, a)
		}
	}
}

// restoreTokens takes over what an earlier process saved about tokens whose name and source are unchanged. The
// verdicts of a state from the future are not believed.
func (m *Monitor) restoreTokens(s state.State) {
	now := m.clock()
	if !m.sameBoot(s, now) && now.wall.Sub(s.Saved) < -time.Hour {
		return
	}
	steady := steadyTimes(s, m.age(s, now), now.steady)
	for i := range s.Tokens {
		t := m.byName[s.Tokens[i].Name]
		if t != nil && s.Tokens[i].Source == t.sourceDigest {
			t.restore(&s.Tokens[i], steady, now.wall)
			if t.Account == s.Tokens[i].Account {
				delete(m.gone, s.Tokens[i].Secret)
			}
		}
	}
}

// maxLimit bounds counts that are believed.
const maxLimit = 1_000_000_000

// restore takes over what an earlier process knew about t. What it does not understand is left out.
func (t *token) restore(s *state.Token, steady func(time.Time) time.Time, now time.Time) {
	past := func(at time.Time) time.Time { return earlier(at, now) }
	if reason, ok := probe.ParseResult(s.Reason); ok && reason.Verdict().String() == s.Verdict {
		t.Verdict, t.Reason, t.Message, t.SinceStart = reason.Verdict(), reason, s.Message, s.SinceStart
		t.VerdictTime, t.VerdictSince = past(s.VerdictTime), past(s.VerdictSince)
	}
	if pending, ok := probe.ParseResult(s.Unconfirmed); ok && pending.Verdict() == probe.VerdictDenied {
		t.Unconfirmed, t.pending = true, pending
	}
	if s.Last != nil {
		if result, ok := probe.ParseResult(s.Last.Result); ok {
			t.Probed, t.ResultSince = true, past(s.ResultSince)
			t.Last = probe.Outcome{
				Result: result, HTTPStatus: s.Last.HTTPStatus, Message: s.Last.Message,
				Start: past(s.Last.Start), Duration: s.Last.Duration,
			}
			copy(t.Last.Phases[:], s.Last.Phases)
		}
	}
	if s.Secret != "" {
		t.probed, t.digest = true, s.Secret
	}
	t.begun, t.spread = steady(s.Begun), s.Spread
	for _, at := range s.Urgent[max(0, len(s.Urgent)-decidingBurst):] {
		t.urgent = append(t.urgent, steady(at))
	}
	slices.SortFunc(t.urgent, time.Time.Compare)
}
