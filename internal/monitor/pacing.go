package monitor

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// The rules of pacing. The API allows an account a number of requests per UTC day, for all its tokens and programs
// together; probes must leave most of them to the programs. Every probe of an account passes its pacer:
//
//   - Limit. The account's limit is what the API last reported, or assumed_daily_limit. No probe is made that the last
//     report, with the requests made since, shows to be over the limit, and none during a hold (420, 429).
//   - Reserve. When less than reserve of the limit is left, one probe is made per hour.
//   - Budget. In any 24 hours, probes use at most quota_share of the limit: a sliding count in bins of ten minutes.
//     A part of it is kept for urgent probes: two requests per token, so that what denies all of them is soon known of
//     all; at least a twentieth of the budget, at most a quarter.
//   - Pace. A routine probe takes a permit from a bucket that holds a twentieth of the budget and gains the rest in 24
//     hours (the generic cell rate algorithm, GCRA: one timestamp). An urgent probe does not wait for a permit, but
//     takes one, so that routine probes wait for it.
//
// A pacer reads no clock and holds no lock. Its methods take now, which must not step: see [instant].
type pacer struct {
	share, reserve float64 // of the limit
	assumed        int64   // limit until one is reported
	tokens         int     // of the account

	report   report
	inFlight int64 // probes under way
	silent   int64 // probes completed without a report so far
	uncount  int64 // of those, the ones that the last report may lack

	booted     bool        // whether the rest is from before a boot, and no request has ended since
	unverified *unverified // by how much the rest may be older; nil if that is known

	endedOn int64 // the API's day on which a request last ended, as days since 1970

	window window    // requests of the last 24 hours
	full   time.Time // when the bucket will be full; GCRA's theoretical arrival time less the bucket's size
	last   time.Time // last permit

	heldUntil  time.Time // zero before the first hold; kept after its end
	heldReason HoldReason
	heldAt     time.Time // when an answer last demanded the hold
}

// report is what the API last reported about an account's quota.
type report struct {
	limit int64 // requests per UTC day; 0 if never reported
	used  int64 // requests of the day, by all programs; -1 if never reported
	day   int64 // the API's day of used, as days since 1970

	arrived time.Time // steady: when used was reported

	skew       time.Duration // the API's clock less ours
	steadySkew time.Duration // the API's clock less the steady one, if known
	timeKnown  bool          // whether steadySkew is known
}

// instant is one moment on two clocks. Pacing goes by the steady one, which a step of the wall clock, in either
// direction, does not make a day longer or shorter; people by the wall clock.
type instant struct{ wall, steady time.Time }

const (
	day = 24 * time.Hour
	// defaultHold is how long a 429 without Retry-After stops an account's probes.
	defaultHold = 15 * time.Minute
	// reserveInterval is the time between two probes of an account whose limit is nearly used up.
	reserveInterval = time.Hour
	// maxSkew is how far the API's clock may be from ours to be believed: ours may never have been set.
	maxSkew = 100 * 365 * day
	// maxMissing bounds how long the bucket takes to be full, when a change has made the pace slow.
	maxMissing = 2 * day
)

// urgency orders the tokens that wait for a probe. Only routine probes wait for a permit.
type urgency uint8

const (
	confirmation urgency = iota // of a denial
	newSecret                   // the secret differs from the one last probed, or can be read again
	firstProbe                  // no verdict yet; at most half the budget of them at once
	spread                      // another token of the account has turned denied
	routine
)

func newPacer(settings config.Pacing, now time.Time) pacer {
	p := pacer{report: report{used: -1}, window: window{origin: rand.Uint64()}}
	p.configure(settings, 0, now)
	p.drain(now)
	return p
}

// configure takes over the settings and the number of tokens of a new configuration.
func (p *pacer) configure(settings config.Pacing, tokens int, now time.Time) {
	p.rescale(now, func() {
		p.share, p.reserve, p.assumed = settings.QuotaShare, settings.Reserve, settings.AssumedDailyLimit
		p.tokens = tokens
	})
}

// rescale makes a change that may change the pace. The bucket keeps its permits, as far as it still holds them.
func (p *pacer) rescale(now time.Time, change func()) {
	level := p.permits(now)
	change()
	missing := float64(p.capacity()) - min(level, float64(p.capacity()))
	p.full = now.Add(time.Duration(min(missing*float64(p.interval()), float64(maxMissing))))
}

// drain empties the bucket.
func (p *pacer) drain(now time.Time) {
	p.full = later(p.full, now.Add(time.Duration(p.capacity())*p.interval()))
}

// limit returns how many requests per UTC day the account may make.
func (p *pacer) limit() int64 {
	if p.report.limit > 0 {
		return p.report.limit
	}
	return p.assumed
}

// budget returns how many requests probes may use in any 24 hours: at least one, because without a request no limit
// would ever be learned again.
func (p *pacer) budget() int64 {
	const rounding = 1e-9 // 0.29 × 100 is 28.999999999999996 in binary
	return max(1, int64(math.Floor(p.share*float64(p.limit())+rounding)))
}

// capacity returns how many permits the bucket holds: a twentieth of the budget.
func (p *pacer) capacity() int64 { return max(1, p.budget()/20) }

// urgentBudget returns the part of the budget that only urgent probes may use.
func (p *pacer) urgentBudget() int64 {
	if p.budget() < 2 {
		return 0
	}
	return max(p.capacity(), min(2*int64(p.tokens), p.budget()/4))
}

// refill returns how many permits the bucket gains in 24 hours. With a full bucket that is all that is left of the
// budget.
func (p *pacer) refill() int64 { return max(1, p.budget()-p.capacity()-p.urgentBudget()) }

// interval returns the time in which the bucket gains one permit.
func (p *pacer) interval() time.Duration { return day / time.Duration(p.refill()) }

// permits returns how many permits the bucket has; negative if urgent probes have overdrawn it.
func (p *pacer) permits(now time.Time) float64 {
	missing := max(0, p.full.Sub(now))
	return float64(p.capacity()) - float64(missing)/float64(p.interval())
}

// apiTime returns the time on the API's clock, which no step of ours changes once an answer has shown it.
func (p *pacer) apiTime(now instant) time.Time {
	if p.report.timeKnown {
		return now.steady.Add(p.report.steadySkew)
	}
	return now.wall.Add(p.report.skew)
}

// apiDay returns the API's day, as days since 1970.
func (p *pacer) apiDay(now instant) int64 { return dayOf(p.apiTime(now)) }

// reset returns when the API's day ends, on our clock.
func (p *pacer) reset(now instant) time.Time {
	end := time.Unix((p.apiDay(now)+1)*int64(day/time.Second), 0)
	return now.wall.Add(end.Sub(p.apiTime(now)))
}

// usedToday returns how many requests the account has used on the API's day, and whether the API has reported that
// today. Probes that the report does not include are added. A report of a later day means that our clock was set back;
// it counts, too.
func (p *pacer) usedToday(now instant) (used int64, known bool) {
	dayOver := p.report.day < p.apiDay(now) && p.unverified == nil // else the API's day is not known
	if p.report.used < 0 || dayOver || now.steady.Sub(p.report.arrived) >= day {
		return 0, false
	}
	return p.report.used + p.inFlight + p.uncount, true
}

// held returns why no probe, or one per hour, is made at now, and until when.
func (p *pacer) held(now instant) (HoldReason, time.Time) {
	if now.steady.Before(p.heldUntil) {
		return p.heldReason, now.wall.Add(p.heldUntil.Sub(now.steady))
	}
	used, known := p.usedToday(now)
	switch limit := p.limit(); {
	case !known:
		return NotHeld, time.Time{}
	case used >= limit:
		return DailyLimit, p.reset(now)
	case float64(limit-used) < p.reserve*float64(limit):
		return Reserve, p.reset(now)
	}
	return NotHeld, time.Time{}
}

// usePending reports whether the account's use today, or the time, is not known, and no request has ended that could have
// told it. Until then, an account's probes go one at a time.
func (p *pacer) usePending(now instant) bool {
	_, known := p.usedToday(now)
	return p.booted || !known && p.endedOn != p.apiDay(now)
}

// stopped reports whether a probe that was permitted must not be made at now, and why: an answer that came since has
// stopped the account's probes, or shown a smaller limit. inFlight is how many of the probes under way it is, and hourly
// whether it was permitted as the one of its hour.
func (p *pacer) stopped(now instant, inFlight int64, hourly bool) (SkipReason, bool) {
	p.inFlight -= inFlight
	reason, _ := p.held(now)
	p.inFlight += inFlight
	p.window.advance(now.steady)
	switch {
	case reason == DailyLimit || reason == SlowDown:
		return SkipRateLimited, true
	case reason == Reserve && !hourly:
		return SkipReserve, true
	}
	return SkipBudget, p.window.total > p.budget()
}

// allow reports whether a probe may be made at now, and if not, why. reserved is the number of permits that are
// reserved for tokens that have waited longer.
func (p *pacer) allow(now instant, u urgency, reserved int) (SkipReason, bool) {
	p.window.advance(now.steady)
	switch reason, _ := p.held(now); {
	case reason == DailyLimit || reason == SlowDown:
		return SkipRateLimited, false
	case reason == Reserve && now.steady.Sub(p.last) < reserveInterval:
		return SkipReserve, false
	}
	used := p.window.total
	ok := used < p.budget()
	switch u {
	case confirmation, newSecret:
	case firstProbe:
		ok = ok && p.allowFirst(now.steady)
	case spread:
		ok = used+int64(reserved) < p.budget() // a denial that it finds costs a confirmation
	case routine:
		ok = p.allowRoutine(now.steady, used, reserved)
	}
	return SkipBudget, ok
}

// allowFirst reports whether tokens without a verdict are urgent: they use at most half the budget.
func (p *pacer) allowFirst(now time.Time) bool {
	p.window.advance(now)
	return p.window.total < max(1, p.budget()/2)
}

// allowAsking reports whether a probe that allow refuses may be made to learn for how long the system was off: if the wall
// clock is right, allow would not refuse it. One such probe is made per hour for all accounts, because its answer tells
// for all, and none if a wrong wall clock would make it exceed the budget. asked is when the last one was made.
func (p *pacer) allowAsking(now instant, u urgency, asked time.Time) bool {
	since := p.unverified
	if since == nil || p.inFlight > 0 || p.window.total >= p.budget() || now.wall.Sub(asked).Abs() < reserveInterval {
		return false
	}
	right := *p
	right.wasOff(*since, since.offAt(now))
	_, ok := right.allow(now, u, 0)
	return ok
}

// unverify notes that what was restored may be older; not if u is nil.
func (p *pacer) unverify(u *unverified) {
	p.unverified = u
	if u != nil {
		p.window.sealed = u.at
	}
}

// wasOff makes what happened before the system was off older by that time.
func (p *pacer) wasOff(u unverified, off time.Duration) {
	p.unverified = nil
	p.window.wasOff(u, off)
	p.full, p.last, p.report.arrived = p.full.Add(-off), u.older(p.last, off), u.older(p.report.arrived, off)
	if p.heldAt.Before(u.at) {
		p.heldUntil = p.heldUntil.Add(-off)
	}
}

func (p *pacer) allowRoutine(now time.Time, used int64, reserved int) bool {
	const rounding = 1e-6 // a permit that is due to the nanosecond
	return used < p.budget()-p.urgentBudget() && p.permits(now)+rounding >= float64(1+reserved)
}

// take counts a probe that is permitted at now.
func (p *pacer) take(now time.Time) {
	p.window.add(now, 1)
	if p.full.Before(now) {
		p.full = now
	}
	p.full = p.full.Add(p.interval())
	p.last = now
	p.inFlight++
}

// complete ends a probe at now. reported tells whether its answer told the account's use.
func (p *pacer) complete(now instant, reported bool) {
	p.inFlight--
	p.booted = false
	p.endedOn = p.apiDay(now)
	if !reported {
		p.silent++
		p.uncount++
	}
}

// giveBack ends a probe that was permitted at then and not sent.
func (p *pacer) giveBack(then time.Time) {
	p.inFlight--
	p.window.add(then, -1)
	p.full = p.full.Add(-p.interval())
}

// learn takes over what an answer reported about the quota, after complete. overlapping is how many probes completed
// without a report since the answered one was permitted.
func (p *pacer) learn(now instant, outcome probe.Outcome, overlapping int64) {
	if skew := outcome.ServerTime.Sub(now.wall).Round(time.Second); outcome.Result.Answered() &&
		!outcome.ServerTime.IsZero() && skew.Abs() <= maxSkew {
		p.report.skew, p.report.steadySkew, p.report.timeKnown = skew, outcome.ServerTime.Sub(now.steady), true
	}
	quota := outcome.Quota
	if quota.LimitOK && quota.Limit != p.report.limit {
		p.rescale(now.steady, func() { p.report.limit = quota.Limit })
	}
	began := now.steady.Add(-outcome.Duration)
	today := p.apiDay(now)
	if !quota.UsedOK || dayOf(p.apiTime(now).Add(-outcome.Duration)) != today { // it may be yesterday's count
		return
	}
	if today == p.report.day && quota.Used < p.report.used && began.Before(p.report.arrived) { // a later answer came first
		return
	}
	p.report.used, p.report.day, p.report.arrived, p.uncount = quota.Used, today, now.steady, overlapping
}

// absorb adds what is known of another pacer: some of its tokens have moved here, so that both may be of one quota, or
// not. So it never makes the budget larger.
func (p *pacer) absorb(other *pacer, now instant) {
	p.absorbReport(other, now)
	for _, b := range other.window.bins {
		p.window.insert(b)
	}
	p.full, p.last = later(p.full, other.full), later(p.last, other.last)
}

// absorbReport adds what another pacer's account was told by the API, as far as it does not make the budget larger.
func (p *pacer) absorbReport(other *pacer, now instant) {
	if limit := other.report.limit; p.report.limit == 0 && limit <= p.assumed && p.share*float64(limit) >= 1 {
		p.rescale(now.steady, func() { p.report.limit = limit })
	}
	if reason, until := other.held(now); reason == DailyLimit || reason == SlowDown {
		if end := now.steady.Add(until.Sub(now.wall)); end.After(p.heldUntil) {
			p.heldUntil, p.heldReason, p.heldAt = end, reason, later(other.heldAt, other.report.arrived)
		}
	}
	used := other.report.used + other.uncount + other.inFlight
	if o := other.report; o.used >= 0 && o.limit == p.report.limit && (p.report.used < 0 || o.day > p.report.day || o.day == p.report.day && used > p.report.used) {
		p.report.used, p.report.day, p.report.arrived = used, o.day, o.arrived
	}
	if !p.report.timeKnown {
		p.report.skew, p.report.steadySkew, p.report.timeKnown = other.report.skew, other.report.steadySkew, other.report.timeKnown
	}
}

// hold stops all probes for as long as an answer demanded.
func (p *pacer) hold(now instant, throttle probe.Throttle) {
	reason, length := SlowDown, defaultHold
	switch throttle.Kind {
	case probe.NotThrottled:
		return
	case probe.DailyLimit:
		reason, length = DailyLimit, p.reset(now).Sub(now.wall)
	case probe.SlowDown:
	}
	if throttle.RetryAfterOK {
		length = throttle.RetryAfter
	}
	if until := now.steady.Add(length); until.After(later(now.steady, p.heldUntil)) {
		p.heldUntil, p.heldReason = until, reason
	}
	p.heldAt = now.steady
}

// next returns when the n-th routine probe from now on (counted from 1), or an urgent one (0), can be made, as far as is
// known at now, in wall-clock time.
func (p *pacer) next(now instant, n int) time.Time {
	due := p.window.fallsBelow(now.steady, p.budget())
	if n > 0 {
		// The n-th permit is there when the bucket lacks no more than the others.
		due = later(now.steady, p.full.Add(-time.Duration(p.capacity()-int64(n))*p.interval()))
		due = later(due, p.window.fallsBelow(now.steady, p.budget()-p.urgentBudget()-int64(n)+1))
	}
	due = now.wall.Add(due.Sub(now.steady))
	switch reason, until := p.held(now); reason {
	case DailyLimit, SlowDown:
		due = later(due, until)
	case Reserve:
		hourly := now.wall.Add(p.last.Add(time.Duration(max(1, n)) * reserveInterval).Sub(now.steady))
		due = later(due, earlier(hourly, until))
	case NotHeld:
	}
	return due
}

// idle reports whether forgetting the pacer would permit no more requests.
func (p *pacer) idle(now instant) bool {
	p.window.advance(now.steady)
	reason, _ := p.held(now)
	return reason == NotHeld && p.window.total == 0 && p.inFlight == 0
}

func dayOf(t time.Time) int64 { return int64(math.Floor(float64(t.Unix()) / day.Seconds())) }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
