package monitor

import (
	"cmp"
	"slices"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

// token is the changing state of one token. The monitor's mutex guards it.
type token struct {
	config.Token
	account *account

	secret    config.Secret // as last read
	secretErr error         // why it could not be read; secret is then the last that could
	asked     config.Secret // what the last probe asked with

	flight *flight   // the probe under way
	order  uint64    // of the last probe among all of the monitor's; 0 before the first
	begun  time.Time // when the last probe began

	refused time.Time // when the account's budget last had no place for it; zero once it was probed since

	probed      bool // whether last is set
	last        appfigures.Outcome
	resultSince time.Time         // when last.Result first appeared without a break
	settled     appfigures.Result // last seen twice in a row; Valid before that
	unsettled   int               // results in a row that each differed from the one before and from settled

	verdict      appfigures.Verdict
	verdictTime  time.Time
	verdictSince time.Time
	ground       Ground
	firstSeen    FirstSeen

	quota     appfigures.Quota
	quotaTime time.Time

	results [appfigures.NumResults]uint64
	skipped [NumReasons]uint64
}

// flight is a probe under way. Scrapes that overlap wait for the same one.
type flight struct{ done chan struct{} }

// maxConfirmations bounds the urgent probes in a row for results that keep changing: in a brownout, timeouts and
// errors that take turns would otherwise use up the day's budget in hours.
const maxConfirmations = 3

// urgency says how soon the token needs a probe.
func (t *token) urgency() urgency {
	switch {
	case t.order == 0:
		return neverProbed
	case !t.secret.Equal(t.asked):
		return newSecret
	case t.unsettled > 0 && t.unsettled <= maxConfirmations:
		return justChanged
	default:
		return routine
	}
}

// inOrder sorts tokens by who is probed first: by urgency, then by who has waited longest.
func inOrder(tokens []*token) []*token {
	return slices.SortedStableFunc(slices.Values(tokens), func(a, b *token) int {
		return cmp.Or(cmp.Compare(a.urgency(), b.urgency()), cmp.Compare(a.order, b.order))
	})
}

// patience is how long a place is kept for a token that was refused one and has not asked again: longer than any
// sensible scrape interval. Then nobody scrapes it any more.
const patience = 2 * time.Hour

// waits reports whether t was refused a place lately and still waits for it.
func (t *token) waits(now time.Time) bool {
	return t.flight == nil && !t.refused.IsZero() && now.Sub(t.refused) < patience
}

// kept returns how many tokens of t's account wait for a place and have done so longer than t.
func (t *token) kept(now time.Time) int {
	n := 0
	for _, other := range t.account.tokens {
		if other.order < t.order && other.waits(now) {
			n++
		}
	}
	return n
}

// earliest returns when min_interval allows the next probe; zero when it always does.
func (t *token) earliest(minInterval time.Duration) time.Time {
	if t.order == 0 || minInterval == 0 {
		return time.Time{}
	}
	return t.begun.Add(minInterval)
}

// tooSoon reports whether min_interval forbids a probe at now. A last probe in the future means that the clock went
// back, and forbids nothing.
func (t *token) tooSoon(now time.Time, minInterval time.Duration) bool {
	return now.Before(t.earliest(minInterval)) && !now.Before(t.begun)
}

// record takes over what a probe, or an attempt to read the secret, found out at now. It reports whether the result
// is another one than before.
func (t *token) record(outcome appfigures.Outcome, now time.Time) (changed bool) {
	changed = !t.probed || outcome.Result != t.last.Result
	if changed {
		t.resultSince, t.firstSeen.Result = now, !t.probed
	} else {
		t.settled = outcome.Result
	}
	if outcome.Result == t.settled {
		t.unsettled = 0
	} else {
		t.unsettled++
	}
	t.probed, t.last = true, outcome
	if outcome.Result != appfigures.NoToken {
		t.results[outcome.Result]++
	}
	if verdict := outcome.Result.Verdict(); verdict != appfigures.Undecided {
		if verdict != t.verdict {
			t.verdictSince, t.firstSeen.Verdict = now, t.verdict == appfigures.Undecided
			if t.unsettled > 0 {
				t.unsettled = 1 // a change of verdict is confirmed at once, whatever came before it
			}
		}
		t.verdict, t.verdictTime, t.ground = verdict, now, Ground{outcome.Result, outcome.Message}
	}
	if outcome.Quota.LimitOK || outcome.Quota.UsedOK {
		t.quota, t.quotaTime = outcome.Quota, outcome.Start // an answer that spans midnight may tell of the day before
	}
	return changed
}

// state returns what a snapshot at now shows of the token.
func (t *token) state(now time.Time) TokenState {
	s := TokenState{
		Token:       t.Token,
		Verdict:     t.verdict,
		VerdictTime: t.verdictTime,
		Ground:      t.ground,
		Since:       t.verdictSince,
		ResultSince: t.resultSince,
		FirstSeen:   t.firstSeen,
		Probed:      t.probed,
		Last:        t.last,
		Results:     t.results,
		Skipped:     t.skipped,
	}
	if dayOf(t.quotaTime) == dayOf(now) {
		s.Quota = t.quota
	}
	return s
}
