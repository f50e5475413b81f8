package soak

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// complete says what is missing from an exposition of everything, or does not belong there. Only tokens that come and
// go may be there or not.
func (w *world) complete(e *exposition) error {
	for _, token := range w.watched {
		if e.tokens[token.name] == nil {
			return fmt.Errorf("%s is missing", token.name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.tokens)) {
		if w.byName[name] == nil && !strings.HasPrefix(name, passer) {
			return fmt.Errorf("there is a token %s that was never configured", name)
		}
	}
	if e.usage.memory == 0 || e.usage.heap == 0 || e.usage.goroutines == 0 || e.usage.descriptors == 0 {
		return errors.New("the process's own metrics are missing")
	}
	return nil
}

// only returns a check that an exposition is of the named token and no other.
func only(name string) func(*exposition) error {
	return func(e *exposition) error {
		if len(e.tokens) != 1 || e.tokens[name] == nil {
			return fmt.Errorf("there are %d tokens, want %s alone: %s", len(e.tokens), name, slices.Sorted(maps.Keys(e.tokens)))
		}
		return nil
	}
}

// stale returns from what age on a token's last probe is too old. Every scrape probes every token, but for the accounts
// that the API has asked to pause for a second. Those who missed a scrape are the first in the next, so that one or two
// scrapes at their slowest would do; this is four.
func stale() time.Duration { return 4 * (2**interval + scrapeTimeout) }

// check says what is untrue in what an answer, asked for and complete as the span says, tells of a token.
func (w *world) check(name string, r *report, answer span, tally *tally) error {
	token := w.byName[name]
	if token == nil {
		return nil // one that comes and goes
	}
	token.mu.Lock()
	defer token.mu.Unlock()
	age := answer.from.Sub(token.lastProbe(r))
	tally.aged(age)
	switch {
	case token.result.lost(r.result != "", answer):
		return fmt.Errorf("%s: there is no result any more", name)
	case token.verdict.lost(!math.IsNaN(r.valid), answer):
		return fmt.Errorf("%s: there is no verdict any more", name)
	case age > stale():
		return fmt.Errorf("%s: the last probe was made %s before it was asked for", name, age)
	case r.result == "":
		return nil // it was not probed yet
	}
	if err := w.checkResult(token, r, tally); err != nil {
		return err
	}
	return token.checkVerdict(r)
}

// lastProbe returns when the token was last probed: at the very first, as it were, while that has not been. w.mu is held.
func (w *watched) lastProbe(r *report) time.Time {
	if r.probe.from.IsZero() {
		return w.changes[0].when.from
	}
	return r.probe.from
}

// checkResult says why the last probe cannot have had its result. token.mu is held.
func (w *world) checkResult(token *watched, r *report, tally *tally) error {
	probed := span{r.probe.from.Add(-blur), r.probe.to.Add(blur)}
	expected := token.during(probed)
	tally.result(r.result)
	switch {
	case slices.Contains(expected, r.result):
	case slices.Contains(cutOff, r.result) && w.inOutage(probed):
	case r.result == "timeout":
		tally.late(fmt.Sprintf("%s: timeout of a probe at %s, want one of %s", token.name, r.probe.from, expected))
	case r.result == "no_token" && slices.ContainsFunc(token.missing, span{probed.from.Add(-scrapeTimeout), probed.to}.overlaps):
		// A scrape reads all secrets as it begins.
	default:
		return fmt.Errorf("%s: result %s of a probe at %s, want one of %s", token.name, r.result, r.probe.from, expected)
	}
	return nil
}

// checkVerdict says why the verdict cannot be. w.mu is held.
func (w *watched) checkVerdict(r *report) error {
	if verdict, decided := verdicts[r.result]; decided && r.valid != verdict {
		return fmt.Errorf("%s: appfigures_token_valid is %v after the result %s", w.name, r.valid, r.result)
	}
	if math.IsNaN(r.valid) {
		return nil
	}
	given := span{r.verdictTime.Add(-probeTimeout - blur), r.verdictTime.Add(blur)}
	for _, result := range w.during(given) {
		if verdict, decided := verdicts[result]; decided && verdict == r.valid {
			return nil
		}
	}
	return fmt.Errorf("%s: appfigures_token_valid is %v since %s, when the API said %s", w.name, r.valid, r.verdictTime, w.during(given))
}

// during returns what probes within s must have been reported as. w.mu is held.
func (w *watched) during(s span) []string {
	var results []string
	for i, change := range slices.Backward(w.changes) {
		lasted := span{change.when.from, s.to}
		if i+1 < len(w.changes) {
			lasted.to = w.changes[i+1].when.to
		}
		if lasted.to.Before(s.from) {
			break
		}
		if lasted.overlaps(s) {
			results = append(results, truth[change.behaviour])
		}
	}
	return results
}

// settled says which token's verdict is not yet the one that the API has given since it became calm.
func (w *world) settled(e *exposition) error {
	for _, token := range w.watched {
		token.mu.Lock()
		want := truth[token.changes[len(token.changes)-1].behaviour]
		token.mu.Unlock()
		r := e.tokens[token.name]
		if r == nil || r.result != want || r.valid != verdicts[want] {
			return fmt.Errorf("%s is not yet %s: %+v", token.name, want, r)
		}
	}
	return nil
}

// checkCounted checks that no request came to the API that the exporter has not counted.
func (w *world) checkCounted(t *testing.T, e *exposition) {
	t.Helper()
	var came, counted int64
	for _, token := range w.watched {
		var requests int64
		for _, secret := range token.secrets {
			requests += w.api.Requests(secret)
		}
		r := e.tokens[token.name]
		if float64(requests) > r.requests {
			t.Errorf("%s: %d requests came, %.0f were counted", token.name, requests, r.requests)
		}
		came, counted = came+requests, counted+int64(r.requests)
	}
	t.Logf("%d probes counted, %d requests came (the rest did not get so far)", counted, came)
}

// leak reports whether text holds a piece of any secret.
func (w *world) leak(text string) bool { return strings.Contains(text, secretPrefix) }
