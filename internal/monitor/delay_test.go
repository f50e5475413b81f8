package monitor

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// TestDelayTable measures how long a revocation can stay unseen, in simulated days of 60-second scrapes with the API's
// documented limit, and checks that the README has that table.
func TestDelayTable(t *testing.T) { checkTable(t, []int{1, 2, 5, 10, 20, 50}, worstDelay) }

// TestSpreadTable measures how long it takes, from the first probe that meets it, until a denial that hits all tokens of
// an account is known of all, and checks that the README has that table.
func TestSpreadTable(t *testing.T) { checkTable(t, []int{2, 5, 10, 20, 50}, spreadDelay) }

// checkTable checks that the README has the table of what delay returns for each number of tokens and each share.
func checkTable(t *testing.T, tokens []int, delay func(tokens int, share float64) time.Duration) {
	shares := []float64{0.1, 0.25, 0.5, 1}
	var table strings.Builder
	table.WriteString("| tokens in the account |")
	for _, share := range shares {
		fmt.Fprintf(&table, " share %v |", share)
	}
	table.WriteString("\n|---|---|---|---|---|\n")
	for _, n := range tokens {
		fmt.Fprintf(&table, "| %d |", n)
		for _, share := range shares {
			synctest.Test(t, func(*testing.T) { fmt.Fprintf(&table, " %s |", inWords(delay(n, share))) })
		}
		table.WriteString("\n")
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), table.String()) {
		t.Errorf("README.md does not have the table that was measured:\n%s", table.String())
	}
}

// worstDelay returns the longest time between two probes of one of n tokens on the third day: what a revocation just
// after a probe waits to be seen.
func worstDelay(n int, share float64) time.Duration {
	api := &fakeAPI{answer: always(probe.Valid, 1000)}
	cfg := tokens(numbered(n)...)
	cfg.Pacing.QuotaShare = share
	m := newMonitor(cfg, api)
	defer m.Stop()
	for time.Now().Before(midnight.Add(3 * day)) {
		scrapeAll(m)
		time.Sleep(time.Minute)
	}
	last := make(map[string]time.Time)
	var worst time.Duration
	for _, r := range api.requests {
		if r.at.After(midnight.Add(2 * day)) {
			worst = max(worst, r.at.Sub(last[r.token]))
		}
		last[r.token] = r.at
	}
	return worst
}

// numbered returns the names of n tokens.
func numbered(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("token%03d", i)
	}
	return names
}

// inWords writes a duration of whole minutes.
func inWords(d time.Duration) string {
	minutes := int(d.Minutes())
	if minutes < 60 {
		return fmt.Sprintf("%d min", minutes)
	}
	return fmt.Sprintf("%d h %d min", minutes/60, minutes%60)
}

// spreadDelay returns the time from the probe that meets a denial of all n tokens until all are denied, scraped each
// minute.
func spreadDelay(n int, share float64) time.Duration {
	result := probe.Valid
	api := &fakeAPI{answer: func(string) probe.Outcome { return answers(result, 1000) }}
	cfg := tokens(numbered(n)...)
	cfg.Pacing.QuotaShare = share
	m := newMonitor(cfg, api)
	defer m.Stop()
	for range 25 * 60 { // until the requests of the start no longer count
		scrapeAll(m)
		time.Sleep(time.Minute)
	}
	result = probe.Locked
	var met time.Time
	for {
		requests := api.count("")
		snapshot := scrapeAll(m)
		if met.IsZero() && api.count("") > requests {
			met = time.Now()
		}
		denied := 0
		for _, token := range snapshot.Tokens {
			if token.Verdict == probe.VerdictDenied {
				denied++
			}
		}
		if denied == n {
			return time.Since(met)
		}
		time.Sleep(time.Minute)
	}
}

// TestFlappingTokensStayWithinTheirPart checks that tokens that flap, in whatever rhythm, leave the others their pace.
func TestFlappingTokensStayWithinTheirPart(t *testing.T) {
	for _, rhythm := range []string{"vd", "vdd", "vvdd", "vddt"} {
		t.Run(rhythm, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				api := &fakeAPI{answer: func(token string) probe.Outcome {
					result := probe.Valid
					if token == "token000" {
						n++
						result = map[byte]probe.Result{'v': probe.Valid, 'd': probe.Rejected, 't': probe.ServerError}[rhythm[n%len(rhythm)]]
					}
					return answers(result, 1000)
				}}
				m := newMonitor(tokens(numbered(5)...), api)
				defer m.Stop()
				for range 2 * 24 * 60 {
					scrapeAll(m)
					time.Sleep(time.Minute)
				}
				if flapping, all := api.count("token000"), api.count(""); flapping > all/2 {
					t.Errorf("the token that flaps used %d of %d requests", flapping, all)
				}
				last := make(map[string]time.Time)
				for _, r := range api.requests {
					if gap := r.at.Sub(last[r.token]); !last[r.token].IsZero() && gap > 80*time.Minute {
						t.Errorf("%s was not probed for %s", r.token, gap)
					}
					last[r.token] = r.at
				}
			})
		})
	}
}

// TestRestarts checks what crash loops cost: with a state file no more than the budget, without one a request per token
// and restart.
func TestRestarts(t *testing.T) {
	for _, test := range []struct {
		name        string
		state       bool
		result      probe.Result
		atMost, min int
	}{
		{"with state", true, probe.Valid, 10, 10},
		{"with state, in an outage", true, probe.Timeout, 250, 10},
		{"without state", false, probe.Valid, 400, 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &fakeAPI{answer: always(test.result, 0)}
				var store memoryStore
				for range 40 {
					m := newMonitor(tokens(numbered(10)...), api)
					if test.state {
						m = store.restart(tokens(numbered(10)...), api)
					}
					for range 3 {
						scrapeAll(m)
						time.Sleep(time.Second)
					}
					m.Stop()
				}
				if n := api.count(""); n > test.atMost || n < test.min {
					t.Errorf("%d requests in 40 restarts, want %d to %d", n, test.min, test.atMost)
				}
			})
		})
	}
}

// TestNearLimit checks that with 990 of 1,000 requests used the exporter leaves the rest to others: one request to learn
// it, then one per hour.
func TestNearLimit(t *testing.T) {
	for _, test := range []struct {
		used int64
		want int // requests in three hours
	}{{990, 4}, {999, 1}, {1000, 1}} {
		synctest.Test(t, func(t *testing.T) {
			used := test.used
			api := &fakeAPI{delay: func(string) time.Duration { return time.Second }}
			api.answer = func(string) probe.Outcome {
				used++
				o := answers(probe.Valid, 1000)
				o.Quota.Used, o.Quota.UsedOK = min(used, 1000), true
				return o
			}
			m := newMonitor(tokens(numbered(10)...), api)
			defer m.Stop()
			for range 3*60 + 1 {
				scrapeAll(m)
				time.Sleep(time.Minute - time.Second)
			}
			if n := api.count(""); n < test.want-1 || n > test.want {
				t.Errorf("with %d used: %d requests, want %d", test.used, n, test.want)
			}
		})
	}
}
