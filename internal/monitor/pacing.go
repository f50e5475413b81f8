package monitor

import (
	"math"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
)

// The rules of pacing. The API allows an account a number of requests a UTC day, all its tokens and all its programs
// together; probes must leave most of them to the programs. Every probe of an account, whoever asked for it, passes
// its pacer:
//
//   - Budget. In a UTC day, probes use at most quota_share of the daily limit that the API last reported. Until it has
//     reported one, nothing is paced.
//   - Bucket. So that the budget lasts all day, a probe also takes a place from a bucket that holds a tenth of the
//     budget and refills evenly: a day's budget in a day, or slower where that would not last until midnight.
//   - Turns. The place goes to the token that has waited longest, also when tokens are scraped one by one: it is kept
//     for those that were refused earlier. Urgent probes need no place, only budget: see [urgency].
//   - Hold. After 420 there is no probe until 00:00 UTC, after 429 none until Retry-After.
//
// A pacer has no clock: each method takes now, which may also step back. It has no lock: its owner has.
type pacer struct {
	share float64 // of limit, for probes
	limit int64   // requests a UTC day, as the API last reported; 0 before it did

	used     map[int64]int64 // probes made, by UTC day (days since 1970), for the last days
	level    float64         // places in the bucket
	refilled time.Time       // when level was right

	heldUntil time.Time // zero without a hold
	heldFor   appfigures.ThrottleKind
}

const (
	day = 24 * time.Hour
	// bucketShare is the bucket's size as a share of a day's budget.
	bucketShare = 0.1
	// defaultHold is how long a 429 without Retry-After stops an account's probes.
	defaultHold = 15 * time.Minute
	// rememberedDays is how many days around today keep their count, so that a clock that steps back over midnight
	// does not get the day's budget twice.
	rememberedDays = 7
)

// urgency orders the tokens that wait for a probe. All but routine are urgent.
type urgency uint8

const (
	neverProbed urgency = iota
	newSecret           // the secret is another one than at the last probe
	justChanged         // the last probe's result was new: the next scrape confirms or clears it
	routine
)

// allow reports whether a probe may be made at now, and if not, why. kept returns how many places are kept for tokens
// that have waited longer.
func (p *pacer) allow(now time.Time, u urgency, kept func() int) (Reason, bool) {
	if p.held(now) {
		return RateLimited, false
	}
	if p.limit > 0 {
		p.refill(now)
		if p.remaining(now) < 1 || u == routine && (p.level < 1 || p.level < 1+float64(kept())) {
			return Budget, false
		}
	}
	return 0, true
}

// take counts a probe made at now.
func (p *pacer) take(now time.Time) {
	p.count(now, 1)
	p.level = max(0, p.level-1)
}

// giveBack undoes a take at then, of a probe that did not get as far as a request. While no limit is known nothing
// else bounds the probes, and an outage at the start must not use up the day. Once one is known every probe counts:
// then the cap holds whatever the network does.
func (p *pacer) giveBack(then time.Time) {
	if p.limit == 0 {
		p.count(then, -1)
	}
}

// report takes over the limit of requests a day, as the API reported it at now, and reports whether it is a new one.
func (p *pacer) report(now time.Time, limit int64) bool {
	if limit == p.limit {
		return false
	}
	first := p.limit == 0
	p.refill(now)
	p.limit = limit
	if first { // the bucket starts full, less what was used before its size was known
		p.refilled = now
		p.level = max(0, p.capacity()-float64(p.usedOn(now)))
	}
	p.level = min(p.level, p.capacity())
	return true
}

// hold stops all probes for as long as the API demanded in an answer that came at now to a probe that began at began.
// It reports whether that is a new hold. A daily limit that was met just before midnight is over after it.
func (p *pacer) hold(began, now time.Time, throttle appfigures.Throttle) bool {
	var until time.Time
	switch throttle.Kind {
	case appfigures.NotThrottled:
		return false
	case appfigures.DailyLimit:
		until = nextMidnight(began)
	case appfigures.SlowDown:
		until = now.Add(defaultHold)
	}
	if throttle.RetryAfterOK {
		until = now.Add(throttle.RetryAfter)
	}
	if !until.After(now) {
		return false
	}
	fresh := !p.held(now)
	if fresh || until.After(p.heldUntil) {
		p.heldUntil, p.heldFor = until, throttle.Kind
	}
	return fresh
}

// release ends a hold whose time is over, and reports whether there was one.
func (p *pacer) release(now time.Time) bool {
	if p.heldUntil.IsZero() || p.held(now) {
		return false
	}
	p.heldUntil, p.heldFor = time.Time{}, appfigures.NotThrottled
	return true
}

// held reports whether probes are stopped. No hold is longer than a day: a longer one means that the clock went back.
func (p *pacer) held(now time.Time) bool {
	return now.Before(p.heldUntil) && p.heldUntil.Sub(now) <= day
}

// budget returns how many requests probes may use in a UTC day.
func (p *pacer) budget() int64 {
	const rounding = 1e-9 // 0.29 × 100 is 28.999999999999996 in binary
	return int64(math.Floor(p.share*float64(p.limit) + rounding))
}

// capacity returns how many places the bucket has.
func (p *pacer) capacity() float64 { return max(1, bucketShare*float64(p.budget())) }

// usedOn returns the number of probes made on now's UTC day.
func (p *pacer) usedOn(now time.Time) int64 { return p.used[dayOf(now)] }

// remaining returns what is left of the day's budget; never negative.
func (p *pacer) remaining(now time.Time) int64 { return max(0, p.budget()-p.usedOn(now)) }

// count adds n to the probes of now's UTC day.
func (p *pacer) count(now time.Time, n int64) {
	if p.used == nil {
		p.used = make(map[int64]int64)
	}
	today := dayOf(now)
	p.used[today] += n
	if len(p.used) > rememberedDays {
		for d := range p.used {
			if d < today-rememberedDays || d > today+rememberedDays {
				delete(p.used, d)
			}
		}
	}
}

// refill brings the bucket's level from the time of the last refill up to now.
func (p *pacer) refill(now time.Time) {
	from := p.refilled
	p.refilled = now
	if p.limit == 0 || !now.After(from) {
		return
	}
	if midnight := nextMidnight(from); now.After(midnight) {
		p.level += p.rate(from) * midnight.Sub(from).Seconds()
		from = midnight
		if now.Sub(from) > day { // more than a day fills any bucket
			from = now.Add(-day)
		}
	}
	p.level += p.rate(from) * now.Sub(from).Seconds()
	p.level = min(p.level, p.capacity())
}

// rate returns how many places a second the bucket gains: a day's budget in a day; where probes were ahead of that,
// what is left of the budget in what is left of the day.
func (p *pacer) rate(now time.Time) float64 {
	even := float64(p.budget()) / day.Seconds()
	lasting := (float64(p.remaining(now)) - p.level) / nextMidnight(now).Sub(now).Seconds()
	return max(0, min(even, lasting))
}

// next returns when the n-th routine probe from now on can be made (n counts from 1), as far as can be told at now:
// zero when it need not wait.
func (p *pacer) next(now time.Time, n int) time.Time {
	var due time.Time
	if p.limit > 0 {
		p.refill(now)
		missing := float64(n) - p.level
		switch rate := p.rate(now); {
		case p.remaining(now) < int64(n) || missing > 0 && rate == 0:
			due = nextMidnight(now)
		case missing > 0:
			due = now.Add(time.Duration(missing / rate * float64(time.Second)))
		}
	}
	if p.held(now) && due.Before(p.heldUntil) {
		due = p.heldUntil
	}
	return due
}

func dayOf(t time.Time) int64 { return int64(math.Floor(float64(t.Unix()) / day.Seconds())) }

// nextMidnight returns the first 00:00 UTC after t.
func nextMidnight(t time.Time) time.Time {
	return time.Unix((dayOf(t)+1)*int64(day.Seconds()), 0).UTC()
}
