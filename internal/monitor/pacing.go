package monitor

import (
	"cmp"
	"math"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// This file decides when a token is probed. It reads no clock and does no I/O.
//
// The API allows an account a number of requests per UTC day: its limit. Probes may use a part of it: the budget. A
// fifth of the budget is for extra turns, which fetch news at once (see nextProbe). The rest is for turns: each token
// has one every interval, whatever the other tokens of its account do, so that none can starve.

const (
	day = 24 * time.Hour
	// setUpTime is how long after a start or a reload of serve every scrape probes every token, so that whoever sets
	// things up sees the effect: as far as half of the extra turns allow, and at most once per setUpPause.
	setUpTime  = 10 * time.Minute
	setUpPause = 10 * time.Second
	// defaultPause is how long probes are held after a 429 without Retry-After, and after a used-up quota at the very
	// beginning of the API's day, whose count may still be that of the day before.
	defaultPause = 15 * time.Minute
)

func (a *account) effectiveLimit() int64 { return cmp.Or(a.Limit, a.settings.AssumedDailyLimit) }

// budget is how many requests probes may make per UTC day. The small term is for binary fractions: 0.29 of 100 is 29.
func (a *account) budget() int64 {
	return max(1, int64(math.Floor(a.settings.QuotaShare*float64(a.effectiveLimit())+1e-6)))
}

// extra is the part of the budget for extra turns: a fifth, rounded up.
func (a *account) extra() int64 { return (a.budget() + 4) / 5 }

// interval is the time between two turns of a token.
func (a *account) interval(now time.Time) time.Duration {
	tokens := time.Duration(max(1, len(a.tokens)))
	interval := max(tokens*day/time.Duration(max(1, a.budget()-a.extra())), a.settings.MinInterval)
	if a.inReserve(now) {
		interval = max(interval, tokens*time.Hour) // one per hour for all of them
	}
	return interval
}

// initialLastTurn spreads the turns of an account evenly: of its n tokens, the new one i has its first turn (i+1)/n of an
// interval from now on, and those that were there before come after the new ones. Returned is an interval before that.
func (a *account) initialLastTurn(i int, now time.Time) time.Time {
	interval := a.interval(now)
	return now.Add(interval/time.Duration(len(a.tokens))*time.Duration(i+1) - interval)
}

// rollOver begins the UTC day at now, and drops what lies more than a day ahead: a clock was wrong. Before that it notes
// until when answers are excused. It comes before all that is asked about the account at now.
func (a *account) rollOver(now time.Time) {
	if reason, until := a.heldBy(now); reason == QuotaExhausted || reason == Budget {
		a.Excused = until
	}
	if today := now.UTC().Truncate(day); !a.Day.Equal(today) {
		a.Day, a.Used, a.ExtraUsed = today, 0, 0
	}
	for _, until := range []*time.Time{&a.Hold.Until, &a.Report.Until, &a.Excused} {
		if until.Sub(now) > day {
			*until = time.Time{}
		}
	}
}

// useKnown reports whether the API has reported the use of its present day.
func (a *account) useKnown(now time.Time) bool { return now.Before(a.Report.Until) }

// remaining returns how many requests of today's limit are left for all programs of the account, if useKnown.
func (a *account) remaining() int64 { return a.effectiveLimit() - a.Report.Used - a.Report.Since }

// inReserve reports whether the last requests of today are left to the user's programs.
func (a *account) inReserve(now time.Time) bool {
	return a.useKnown(now) && float64(a.remaining()) < a.settings.Reserve*float64(a.effectiveLimit())
}

// heldBy returns why probes are held, and until when. Within the reserve they are not held altogether, only rare.
func (a *account) heldBy(now time.Time) (HoldReason, time.Time) {
	switch {
	case now.Before(a.Hold.Until):
		return HoldReason(a.Hold.Reason), a.Hold.Until
	case a.useKnown(now) && a.remaining() <= 0:
		return QuotaExhausted, a.Report.Until
	case a.Used >= a.budget():
		return Budget, a.Day.Add(day)
	case a.inReserve(now):
		return Reserve, a.Report.Until
	default:
		return NotHeld, time.Time{}
	}
}

// nextProbe returns from when on a token may make a request, as far as is known at now: at its turn, or before that if
// it gets an extra turn, but not while probes are held.
func (a *account) nextProbe(t *token, now time.Time) time.Time {
	next, soon := t.LastTurn.Add(a.interval(now)), t.Requested.Add(setUpPause)
	extra := !a.inReserve(now) && a.ExtraUsed < a.extra()
	switch {
	case a.inReserve(now): // each token has hours of its own: next is the first that begins after its last request
		interval := a.interval(now)
		place := interval / time.Duration(max(1, len(a.tokens))) * time.Duration(t.place)
		next = t.Requested.Add(-place).Truncate(interval).Add(interval + place)
	case extra && (!t.SecretTried || t.LookAgain):
		next = now
	case extra && soon.Before(next) && now.Sub(a.started) < setUpTime && 2*a.ExtraUsed < a.extra():
		next = soon
	}
	if reason, until := a.heldBy(now); reason != NotHeld && reason != Reserve {
		next = later(next, until)
	}
	return next
}

// take reports whether a token may make a request now, and counts it.
func (a *account) take(t *token, now time.Time) (grant, bool) {
	a.rollOver(now)
	for _, last := range []*time.Time{&t.LastTurn, &t.Requested} {
		if last.After(now) { // the clock was set back
			*last = now
		}
	}
	if now.Before(a.nextProbe(t, now)) {
		return grant{}, false
	}
	interval := a.interval(now)
	turns := now.Sub(t.LastTurn) / interval
	g := grant{day: a.Day, extra: turns == 0, before: t.Turns} // most within the reserve, which has no other extra turns
	if g.extra {
		a.ExtraUsed++
	}
	t.LastTurn = t.LastTurn.Add(turns * interval) // missed turns are lost, so that it keeps its place among the others
	a.Used++
	a.inFlight++
	a.Report.Since++
	t.SecretTried, t.LookAgain, t.Missed, t.Requested = true, false, false, now
	return g, true
}

// learn takes over what an answer says about the account: its limit, its use, and whether to pause. The API's day ends
// by the answer's own Date, whatever our clock says.
func (a *account) learn(o probe.Outcome, now time.Time) {
	a.rollOver(now)
	serverTime := cmp.Or(o.ServerTime, now).UTC()
	dayEnds := now.Add(day - serverTime.Sub(serverTime.Truncate(day)))
	if o.Quota.LimitOK {
		a.Limit = o.Quota.Limit
	}
	usedUp := o.Result == probe.QuotaExhausted || o.Quota.UsedOK && o.Quota.Used >= a.effectiveLimit()
	if usedUp && dayEnds.Sub(now) > day-defaultPause { // its count may lag behind its Date: not for a whole day
		dayEnds = now.Add(defaultPause)
	}
	if o.Quota.UsedOK {
		a.Report = state.Report{Used: o.Quota.Used, Since: a.inFlight, Until: dayEnds}
	}
	var hold state.Hold
	switch {
	case usedUp:
		hold = state.Hold{Reason: string(QuotaExhausted), Until: dayEnds}
	case o.Result == probe.RateLimited:
		hold = state.Hold{Reason: string(RateLimited), Until: now.Add(cmp.Or(o.RetryAfter, defaultPause))}
	}
	if hold.Until.After(a.Hold.Until) { // unless probes are held for longer already
		a.Hold = hold
	}
}
