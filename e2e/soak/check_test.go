package soak

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// check says what is untrue in what an exposition says of a token.
func (w *world) check(name string, r *report, tally *tally) error {
	token := w.byName[name]
	if token == nil || r.result == "" {
		return nil // one that comes and goes, or was not probed yet
	}
	token.mu.Lock()
	defer token.mu.Unlock()
	probed := span{r.probe.from.Add(-blur), r.probe.to.Add(blur)}
	expected := token.during(probed)
	network := r.result == "timeout" || r.result == "unreachable"
	tally.result(r.result, network && !slices.Contains(expected, r.result) && !w.inOutage(probed))
	switch {
	case network, slices.Contains(expected, r.result):
	case r.result == "unexpected" && w.inOutage(probed):
	case r.result == "no_token" && slices.ContainsFunc(token.missing, span{probed.from.Add(-scrapeTimeout), probed.to}.overlaps):
		// A scrape reads all secrets as it begins.
	default:
		return fmt.Errorf("%s: result %s of a probe at %s, want one of %s", name, r.result, r.probe.from, expected)
	}

	if verdict, decided := verdicts[r.result]; decided && r.valid != verdict {
		return fmt.Errorf("%s: appfigures_token_valid is %v after the result %s", name, r.valid, r.result)
	}
	if math.IsNaN(r.valid) {
		if token.seen {
			return fmt.Errorf("%s: there is no verdict any more", name)
		}
		return nil
	}
	token.seen = true
	given := span{r.verdictTime.Add(-probeTimeout - blur), r.verdictTime.Add(blur)}
	for _, result := range token.during(given) {
		if verdict, decided := verdicts[result]; decided && verdict == r.valid {
			return nil
		}
	}
	return fmt.Errorf("%s: appfigures_token_valid is %v since %s, when the API said %s", name, r.valid, r.verdictTime, token.during(given))
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

// checkCounted holds that no request came to the API that the exporter has not counted.
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
