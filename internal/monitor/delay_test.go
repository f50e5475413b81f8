package monitor

import (
	"cmp"
	"flag"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// delays measures the tables of docs/pacing.md: go test ./internal/monitor -run TestDelays -v -delays 20
var delays = flag.Int("delays", 0, "measure the tables of docs/pacing.md, with this many random starts")

// TestDelays checks how soon a revocation is a verdict, with a limit of 1,000 requests per day and a scrape every minute:
// that of one token within its interval and a scrape, while extra turns last, and that of a whole account as soon as
// that of a lone token, for the first of them.
func TestDelays(t *testing.T) {
	sizes, shares, starts := []int{1, 10, 50}, []float64{0.25}, 1
	if *delays > 0 {
		sizes, shares, starts = []int{1, 2, 5, 10, 20, 50}, []float64{0.1, 0.25, 0.5, 1}, *delays
	} else if testing.Short() {
		sizes = []int{10}
	}
	for _, n := range sizes {
		for _, share := range shares {
			var worst, sum, worstFirst, worstRest time.Duration
			for range starts {
				verdict, _ := revoke(t, n, share, 1)
				worst, sum = max(worst, verdict), sum+verdict
				verdict, rest := revoke(t, n, share, n)
				worstFirst, worstRest = max(worstFirst, verdict), max(worstRest, rest)
			}
			a := accountOf(n, config.Pacing{QuotaShare: share, AssumedDailyLimit: 1000})
			interval, scrape := a.interval(noon), time.Minute+2*time.Second
			if worst > interval+scrape {
				t.Errorf("%d tokens, share %v: a lone revocation took %s, the interval is %s", n, share, worst, interval)
			}
			if alone := interval / time.Duration(n); worstFirst > alone+scrape {
				t.Errorf("%d tokens, share %v: the first verdict took %s, want at most %s", n, share, worstFirst, alone)
			}
			if int64(2*n) < a.extra() && worstRest > scrape {
				t.Errorf("%d tokens, share %v: the other verdicts took %s", n, share, worstRest)
			}
			t.Logf("%d tokens, share %v: a lone revocation, worst %s, mean %s; all revoked, first verdict %s, last %s later",
				n, share, worst, sum/time.Duration(starts), worstFirst, worstRest)
		}
	}
}

// revoke lets n tokens of an account be valid for two or three days, so that the extra turns of the first ones are over,
// then revokes some. It returns the time until the first verdict, and from there until the last.
func revoke(t *testing.T, n int, share float64, some int) (first, rest time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Duration(rand.Int64N(int64(day)))) // starts at any time of the day
		var revoked []string
		api := &fakeAPI{answer: func(secret string) probe.Outcome {
			if slices.Contains(revoked, secret) {
				return outcome(probe.Rejected)
			}
			return outcome(probe.Valid)
		}}
		cfg := configOf(numbered(n)...)
		cfg.Pacing.QuotaShare = share
		m := start(t, cfg, api, nil)
		m.BeginSetUp()
		for end := time.Now().Add(2*day + time.Duration(rand.Int64N(int64(day)))); time.Now().Before(end); time.Sleep(time.Minute) {
			m.Scrape(t.Context())
		}
		for _, i := range rand.Perm(n)[:some] {
			revoked = append(revoked, cfg.Tokens[i].Name)
		}
		began, denied := time.Now(), 0
		time.Sleep(time.Duration(rand.Int64N(int64(time.Minute))))
		for ; denied < some && time.Since(began) < 8*day; time.Sleep(time.Minute) {
			tokens := m.Scrape(t.Context()).Tokens
			denied = len(slices.DeleteFunc(tokens, func(s TokenState) bool { return s.Verdict != probe.VerdictDenied }))
			if denied > 0 {
				first = cmp.Or(first, time.Since(began))
				rest = time.Since(began) - first
			}
		}
	})
	return first, rest
}
