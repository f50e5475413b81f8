package monitor

import (
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// unverified describes how much older the content of a state from before a boot may be than the steady clock tells: by
// the time for which the system was off. The wall clock tells that, but it may be wrong, so the state counts as if the
// system had not been off until an answer's Date confirms it. Where boots are not known, there is none.
type unverified struct {
	at      time.Time     // steady: what happened before may be older
	off     time.Duration // for how long the system was off, by the wall clock at the start of the process
	offset  time.Duration // of the wall clock from the steady one, at the start of the process
	apiTime time.Time     // what the API's clock showed at that time if the system was not off; zero if unknown
}

// longestOff bounds how long a system was off: after that, nothing counts any more.
const longestOff = 30 * day

// offAt returns for how long the system was off, by the wall clock at now, which may have been set since the start.
func (u unverified) offAt(now instant) time.Duration {
	return min(max(0, u.off+now.wall.Sub(now.steady)-u.offset), longestOff)
}

// restoreUnverified notes that the content of a state may be older, unless it was saved by a process of this boot that
// knew its age.
func (m *Monitor) restoreUnverified(s state.State, now instant) {
	m.asked = s.Asked
	u := unverified{at: now.steady, offset: now.wall.Sub(now.steady)}
	if !m.sameBoot(s, now) {
		u.off = now.wall.Sub(s.Saved)
		for _, a := range s.Accounts {
			u.apiTime = later(u.apiTime, a.APITime)
		}
	}
	switch before := s.Unverified; {
	case m.boot == "" || len(s.Accounts) == 0 || before == nil && m.sameBoot(s, now):
		return
	case before != nil:
		u.off += min(max(-maxSkew, before.Off), maxSkew)
		u.at, u.apiTime = steadyTimes(s, m.age(s, now), now.steady)(before.At), before.APITime
	}
	m.unverified = &u
}

// verifyAgeLocked makes what was restored older by the time for which the system was off, if an answer confirms that time.
func (m *Monitor) verifyAgeLocked(outcome probe.Outcome, now instant) {
	u := m.unverified
	if u == nil || !outcome.Result.Answered() || outcome.ServerTime.IsZero() {
		return
	}
	if u.apiTime.IsZero() { // there was no answer before
		u.apiTime = outcome.ServerTime.Add(-now.steady.Sub(u.at))
	}
	off := min(outcome.ServerTime.Sub(u.apiTime)-now.steady.Sub(u.at), longestOff)
	if off > u.offAt(now)+time.Hour {
		return // the wall clock may not be set yet
	}
	off = max(0, min(off, u.offAt(now)))
	m.unverified, m.dirty = nil, true
	for _, a := range m.accounts {
		a.pacer.wasOff(*u, off)
		a.pacer.report.steadySkew, a.pacer.report.timeKnown = outcome.ServerTime.Sub(now.steady), true
		if m.savesNothing() { // see restoreAccounts
			a.pacer.drain(now.steady)
		}
	}
	for _, t := range m.tokens {
		t.begun = u.older(t.begun, off)
		for i, at := range t.urgent {
			t.urgent[i] = u.older(at, off)
		}
	}
}

// earliest is [token.earliest] if the wall clock is right; u may be nil.
func (u *unverified) earliest(t *token, now instant, minInterval time.Duration) time.Time {
	if u == nil || t.begun.IsZero() {
		return t.earliest(minInterval)
	}
	return u.older(t.begun, u.offAt(now)).Add(minInterval)
}

// older returns a steady time, moved back by off if it is from before the system was off.
func (u unverified) older(t time.Time, off time.Duration) time.Time {
	if t.IsZero() || !t.Before(u.at) {
		return t
	}
	return t.Add(-off)
}
