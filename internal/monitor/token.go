package monitor

import (
	"slices"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// token is a configured token with all that is known about it.
type token struct {
	TokenState
	unsaved *TokenState // what a snapshot shows until the present verdict is on disk; nil if it is

	account      *account
	sourceDigest string
	digestOf     config.Secret // of which cachedDigest is the digest
	cachedDigest string

	call *call // the probe under way, with its confirmation; nil if there is none

	secret    config.Secret // as last read, if hasSecret
	hasSecret bool          // whether the last attempt to read it succeeded
	secretErr error         // why the last attempt to read it failed
	reading   *reading      // a read under way, which may hang; nil if there is none

	history
	order   uint64       // of the last probe, among all probes of the monitor
	pending probe.Result // the denial that awaits confirmation, if Unconfirmed
}

// history is what pacing knows about the requests of a token. Its times are steady.
type history struct {
	probed     bool          // whether a request was made, with probedWith
	probedWith config.Secret // the secret of the last request
	digest     string        // of probedWith, if only an earlier process knew it; else empty
	begun      time.Time     // when the last request was permitted
	sentAt     time.Time     // when it was begun to send; unknown, and zero, if an earlier process did
	skippedAt  time.Time     // when the token was last skipped for want of a permit; zero once it got one
	urgent     []time.Time   // when the last urgent requests were permitted, oldest first
	spread     bool          // to be looked at next, because another token of its account has turned denied
}

// call is a probe under way, and the confirmation that may follow it.
type call struct {
	done    chan struct{} // closed at its end
	first   time.Time     // steady: when its first request began; zero before
	started time.Time     // steady: when its last request began; zero before
}

const (
	// urgentBurst is how many urgent probes of one token are made in the time in which it earns them; urgentInterval
	// is the least time in which it earns one: a token that flaps uses no more than its fair part.
	urgentBurst    = 3
	urgentInterval = 20 * time.Minute
	// decidingBurst is urgentBurst for changed secrets and confirmations: two wrong secrets, each with its
	// confirmation, and the right one.
	decidingBurst = 5
	// reservationTTL is how long a skipped token keeps its turn. It exceeds any sensible scrape interval; a token
	// that is silent for longer is no longer scraped.
	reservationTTL = 2 * time.Hour
)

// urgency returns how urgently t is to be probed at now.
func (t *token) urgency(now instant) urgency {
	u := routine
	switch {
	case t.secretChanged() || t.probed && t.Probed && t.Last.Result == probe.NoToken:
		u = newSecret
	case t.Unconfirmed:
		u = confirmation
	case t.Verdict == probe.VerdictUnknown && t.account.pacer.allowFirst(now.steady): // else those who wait longer go first
		u = firstProbe
	case t.spread:
		u = spread
	}
	if u != routine && t.urgentAt(now, u).After(now.steady) {
		return routine
	}
	return u
}

// urgentAt returns when t may next make an urgent probe. An urgent probe is earned in the time of a routine one.
func (t *token) urgentAt(now instant, u urgency) time.Time {
	earning := urgentBurst * max(urgentInterval, t.account.pace(now))
	for len(t.urgent) > 0 && !now.steady.Before(t.urgent[0].Add(earning)) {
		t.urgent = t.urgent[1:]
	}
	burst := urgentBurst
	if u <= newSecret {
		burst = decidingBurst
	}
	if len(t.urgent) < burst {
		return now.steady
	}
	return t.urgent[len(t.urgent)-burst].Add(earning)
}

// secretChanged reports whether the secret differs from that of the last probe.
func (t *token) secretChanged() bool {
	return t.probed && t.hasSecret && (t.digest != "" || !t.secret.Equal(t.probedWith))
}

// earliest returns when min_interval permits the next routine probe.
func (t *token) earliest(minInterval time.Duration) time.Time {
	if t.begun.IsZero() {
		return time.Time{}
	}
	return t.begun.Add(minInterval)
}

// notePermit notes that a request for t was permitted at now.
func (t *token) notePermit(now time.Time, u urgency) {
	if u != routine {
		t.urgent = append(slices.Clip(t.urgent), now) // the slice before may be given back
	}
	t.begun, t.skippedAt, t.spread = now, time.Time{}, false
}

// sent notes that a request with the secret was made. What is known about another secret is dropped.
func (t *token) sent(secret config.Secret, changed bool) {
	if changed {
		t.forget()
	}
	t.probed, t.probedWith, t.digest = true, secret, ""
}

// interval returns how long t waits at most for its next routine probe, counted from its last one, at the present pace.
func (t *token) interval(now instant, minInterval time.Duration) time.Duration {
	a := t.account
	pace := a.pace(now)
	interval := max(pace, minInterval)
	if !t.Probed {
		return interval
	}
	// A hold, a spent budget, or permits that urgent probes took in advance come on top.
	if a.delayedUntil.After(t.Last.Start) {
		interval = max(interval, a.delayedUntil.Sub(t.Last.Start)+pace)
	}
	return interval
}

// forget drops what is known about t, but for its counters.
func (t *token) forget() {
	t.TokenState = TokenState{
		Token: t.Token, Results: t.Results, Skipped: t.Skipped, Created: t.Created,
	}
	t.pending = 0
}

// change is what an outcome changed about a token.
type change uint8

const (
	noChange      change = iota
	newVerdict           // the verdict, or the reason of a denial
	firstDenial          // a denial that a second answer must confirm
	oneOffDenial         // a denial that the next answer did not confirm
	newIndecision        // another result that decides nothing
)

// record takes over an outcome that came at wall. The verdict changes only on answers that decide it: to valid on one
// valid answer, to denied or to another reason on two denials in a row.
func (t *token) record(outcome probe.Outcome, wall time.Time) change {
	result, verdict, changed := outcome.Result, outcome.Result.Verdict(), noChange
	if !t.Probed || result != t.Last.Result {
		t.ResultSince = wall
		if verdict == probe.VerdictUnknown {
			changed = newIndecision
		}
	}
	t.Probed, t.Last = true, outcome
	if result != probe.NoToken {
		t.Results[result]++
	}
	if verdict == probe.VerdictUnknown {
		return changed
	}
	if result != t.Reason || verdict != t.Verdict {
		inRow := t.Unconfirmed && (t.Verdict != probe.VerdictDenied || result == t.pending)
		if verdict == probe.VerdictDenied && !inRow {
			t.Unconfirmed, t.pending = true, result
			return firstDenial
		}
		t.SinceStart = t.Verdict == probe.VerdictUnknown
		t.Verdict, t.Reason, t.VerdictSince = verdict, result, wall
		changed = newVerdict
	} else if t.Unconfirmed {
		changed = oneOffDenial
	}
	t.Unconfirmed, t.Message, t.VerdictTime = false, outcome.Message, wall
	return changed
}
