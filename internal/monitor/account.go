package monitor

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

// account is an Appfigures account: the tokens that share one quota.
type account struct {
	name         string
	tokens       []*token // configured, in order
	pacer        pacer
	durations    prometheus.Histogram // of the probes that the API answered
	delayedUntil time.Time            // wall clock: until when routine probes wait, or waited, for longer than their pace
	sameUserAs   []string             // accounts whose tokens belong to the same user of the API, sorted
	movedTo      []*account           // accounts that took over tokens while probes of this one were under way
	held         bool                 // whether a 420, a 429 or the limit stopped the probes when it was last looked at
}

func newAccount(name string, settings config.Pacing, now time.Time) *account {
	return &account{
		name:  name,
		pacer: newPacer(settings, now),
		durations: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:                            "durations", // the collector gives the metric its name
			Buckets:                         []float64{.05, .1, .2, .3, .5, .75, 1, 2, 3, 5, 10, 30},
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}),
	}
}

// pace returns how long each token waits for its next routine probe, if all are scraped.
func (a *account) pace(now instant) time.Duration {
	interval := a.pacer.interval()
	if reason, _ := a.pacer.held(now); reason == Reserve {
		interval = max(interval, reserveInterval)
	}
	return time.Duration(max(1, len(a.tokens))) * interval
}

// inOrder returns the account's tokens as they wait for a probe: urgent ones first, then those probed longest ago.
func (a *account) inOrder(now instant) []*token {
	type waiting struct {
		*token
		urgency urgency
	}
	queue := make([]waiting, len(a.tokens))
	for i, t := range a.tokens {
		queue[i] = waiting{t, t.urgency(now)}
	}
	slices.SortStableFunc(queue, func(x, y waiting) int {
		if x.urgency != y.urgency {
			return int(x.urgency) - int(y.urgency)
		}
		return x.begun.Compare(y.begun)
	})
	ordered := make([]*token, len(queue))
	for i, w := range queue {
		ordered[i] = w.token
	}
	return ordered
}

// awaitingConfirmation returns how many urgent probes the denials of the account may still need: one for each denial
// that is not confirmed, and for each probe under way that may find one.
func (a *account) awaitingConfirmation() int {
	n := int(a.pacer.inFlight)
	for _, t := range a.tokens {
		if t.Unconfirmed && t.call == nil {
			n++
		}
	}
	return n
}

// spreadDenial makes the other tokens of the account urgent, once: what denied one may deny all of them. Those whose
// last request began after the one that was first denied are not asked again.
func (a *account) spreadDenial(denied *token, since time.Time) {
	for _, t := range a.tokens {
		if t != denied && t.probed && t.sentAt.Before(since) && t.Verdict != denied.Verdict {
			t.spread = true
		}
	}
}

// maxSameUser is how many other accounts of the same user are named.
const maxSameUser = 10

// addSameUser notes that tokens of a and other belong to the same user of the API.
func (a *account) addSameUser(other *account) {
	if i, found := slices.BinarySearch(a.sameUserAs, other.name); !found && len(a.sameUserAs) < maxSameUser {
		a.sameUserAs = slices.Insert(slices.Clone(a.sameUserAs), i, other.name)
	}
}

// forecast returns when a scrape of all tokens would next probe each, in wall-clock time.
func (a *account) forecast(now instant, minInterval time.Duration) map[*token]time.Time {
	next := make(map[*token]time.Time, len(a.tokens))
	n := 0
	for _, t := range a.inOrder(now) {
		if t.urgency(now) != routine {
			next[t] = a.pacer.next(now, 0)
			continue
		}
		n++
		floor := now.wall.Add(t.earliest(minInterval).Sub(now.steady))
		next[t] = later(a.pacer.next(now, n), floor)
	}
	return next
}

func (a *account) state(now instant) AccountState {
	a.pacer.window.advance(now.steady)
	s := AccountState{
		Name:         a.name,
		Tokens:       len(a.tokens),
		Limit:        a.pacer.limit(),
		LimitAssumed: a.pacer.report.limit == 0,
		Budget:       a.pacer.budget(),
		BudgetUsed:   a.pacer.window.total,
		SameUserAs:   a.sameUserAs,
	}
	s.Held, s.HeldUntil = a.pacer.held(now)
	if _, known := a.pacer.usedToday(now); known {
		s.Quota.Used, s.Quota.UsedOK = a.pacer.report.used, true
		s.Quota.Limit, s.Quota.LimitOK = a.pacer.report.limit, a.pacer.report.limit > 0
		s.QuotaReset = a.pacer.reset(now).Truncate(time.Second) // the API tells its time in seconds
	}
	var metric dto.Metric
	if a.durations.Write(&metric) == nil {
		s.Durations = metric.GetHistogram()
	}
	return s
}
