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

// complete returns an error if an exposition of all tokens lacks one or has others, except for those that come and go.
func (w *world) complete(e *exposition) error {
	for _, token := range w.watched {
		if e.tokens[token.name] == nil {
			return fmt.Errorf("%s is missing", token.name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.tokens)) {
		if w.byName[name] == nil && !strings.HasPrefix(name, passer) {
			return fmt.Errorf("the token %s was never configured", name)
		}
	}
	if e.usage.memory == 0 || e.usage.heap == 0 || e.usage.goroutines == 0 || e.usage.descriptors == 0 {
		return errors.New("the metrics of the process are missing")
	}
	return nil
}

// only returns a check that an exposition is about the named token alone.
func only(name string) func(*exposition) error {
	return func(e *exposition) error {
		if len(e.tokens) != 1 || e.tokens[name] == nil {
			return fmt.Errorf("the tokens are %s, want %s alone", slices.Sorted(maps.Keys(e.tokens)), name)
		}
		return nil
	}
}

// stale returns at what age a token's last probe is too old. Every scrape probes every token except in accounts that
// the API has told to pause for a second. Tokens that miss a scrape are the first in the next, so one or two of the
// slowest scrapes are enough; this is four.
func stale() time.Duration { return 4 * (2**interval + scrapeTimeout) }

// check returns an error if the report on a token in a response cannot be true.
func (w *world) check(name string, r *report, response span, tally *tally) error {
	token := w.byName[name]
	if token == nil {
		return nil // comes and goes
	}
	token.mu.Lock()
	defer token.mu.Unlock()
	age := response.from.Sub(token.lastProbeLocked(r))
	tally.aged(age)
	switch {
	case token.result.lost(r.result != "", response, token.changed):
		return fmt.Errorf("%s: the result is missing", name)
	case token.verdict.lost(!math.IsNaN(r.valid), response, token.changed):
		return fmt.Errorf("%s: the verdict is missing", name)
	case age > stale():
		return fmt.Errorf("%s: the last probe was made %s before the request", name, age)
	case r.result == "":
		return nil // not probed yet
	}
	if err := w.checkResultLocked(token, r, tally); err != nil {
		return err
	}
	return token.checkVerdictLocked(r)
}

// lastProbeLocked returns when the token was last probed; if never, when it began.
func (w *watched) lastProbeLocked(r *report) time.Time {
	if r.probe.from.IsZero() {
		return w.changes[0].when.from
	}
	return r.probe.from
}

// checkResultLocked returns an error if the last probe cannot have had its result. token.mu is held.
func (w *world) checkResultLocked(token *watched, r *report, tally *tally) error {
	probed := span{r.probe.from.Add(-blur), r.probe.to.Add(blur)}
	expected := token.duringLocked(probed)
	tally.result(r.result)
	switch {
	case slices.Contains(expected, r.result):
	case slices.Contains(cutOff, r.result) && w.outage.overlap(probed):
	case r.result == "timeout":
		tally.late(fmt.Sprintf("%s: timeout of a probe at %s, want one of %s", token.name, r.probe.from, expected))
	case r.result == "no_token" && token.missingLocked(span{probed.from.Add(-scrapeTimeout), probed.to}):
		// A scrape reads all secrets when it begins.
	default:
		return fmt.Errorf("%s: result %s of a probe at %s, want one of %s",
			token.name, r.result, r.probe.from, expected)
	}
	return nil
}

// missingLocked reports whether the token's file was missing at any time in s.
func (w *watched) missingLocked(s span) bool { return slices.ContainsFunc(w.missing, s.overlaps) }

// checkVerdictLocked returns an error if the verdict cannot be right: a valid answer makes it valid at once, the
// second of two denials denied; and an answer of that kind was possible when the verdict was last confirmed.
func (w *watched) checkVerdictLocked(r *report) error {
	if r.result == "valid" && r.valid != 1 {
		return fmt.Errorf("%s: appfigures_token_valid is %v after the result valid", w.name, r.valid)
	}
	if math.IsNaN(r.valid) {
		return nil
	}
	if (r.valid == 0) != (r.reason != "") {
		return fmt.Errorf("%s: appfigures_token_valid is %v with the reason %q", w.name, r.valid, r.reason)
	}
	confirmed := span{r.verdictTime.Add(-probeTimeout - blur), r.verdictTime.Add(blur)}
	possible := w.duringLocked(confirmed)
	for _, result := range possible {
		if verdict, decided := verdicts[result]; decided && verdict == r.valid && (verdict == 1 || result == r.reason) {
			return nil
		}
	}
	return fmt.Errorf("%s: appfigures_token_valid is %v %s, last confirmed at %s, when results were %s",
		w.name, r.valid, r.reason, r.verdictTime, possible)
}

// duringLocked returns the results that probes in s can have had.
func (w *watched) duringLocked(s span) []string {
	var possible []string
	for i, change := range slices.Backward(w.changes) {
		lasted := span{change.when.from, s.to}
		if i+1 < len(w.changes) {
			lasted.to = w.changes[i+1].when.to
		}
		if lasted.to.Before(s.from) {
			break
		}
		if lasted.overlaps(s) {
			possible = append(possible, results[change.behavior])
		}
	}
	return possible
}

// settled returns an error if a token's verdict is not yet that of its behavior since calm.
func (w *world) settled(e *exposition) error {
	for _, token := range w.watched {
		token.mu.Lock()
		want := results[token.changes[len(token.changes)-1].behavior]
		token.mu.Unlock()
		r := e.tokens[token.name]
		if r == nil || r.result != want || r.valid != verdicts[want] {
			return fmt.Errorf("%s is not yet %s: %+v", token.name, want, r)
		}
	}
	return nil
}

// checkCounted checks that the exporter has counted each request that came to the API: for the budget of its account,
// which a restart keeps, and, unless it was restarted, for its token.
func (w *world) checkCounted(t *testing.T, e *exposition, restarted bool) {
	t.Helper()
	came := make(map[string]float64) // by account
	for _, token := range w.watched {
		requests := 0.0
		for _, secret := range token.secrets {
			requests += float64(w.api.Requests(secret))
		}
		came[token.account] += requests
		if counted := e.tokens[token.name].requests; requests > counted && !restarted {
			t.Errorf("%s: %.0f requests came, %.0f were counted", token.name, requests, counted)
		}
	}
	for _, account := range slices.Sorted(maps.Keys(came)) {
		t.Logf("%s: %.0f requests came, %.0f were counted", account, came[account], e.used[account])
		if came[account] > e.used[account] {
			t.Errorf("%s: %.0f requests came, the budget counts %.0f", account, came[account], e.used[account])
		}
	}
}

// leak reports whether text contains a part of any secret.
func (w *world) leak(text string) bool { return strings.Contains(text, secretPrefix) }
