package monitor

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

// TestVerdictProperty drives random sequences of answers: whatever the undecided ones are, the verdict is that of the
// last decided one, and there is none before the first.
func TestVerdictProperty(t *testing.T) {
	for range 50 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 0))
				var result appfigures.Result
				api := &fakeAPI{answer: func(string) appfigures.Outcome { return answers(result, 0) }}
				m := newMonitor(tokens("a"), api)
				defer m.Stop()
				want := appfigures.Undecided
				var given, since time.Time
				var ground Ground
				verdicts, results := 0, 0 // that differed from those before them
				var last appfigures.Result
				for i := range 200 {
					result = appfigures.Result(random.IntN(appfigures.NumResults - 1)) // no_token is not an answer
					got := scrape(m).Tokens[0]
					if verdict := result.Verdict(); verdict != appfigures.Undecided {
						if verdict != want {
							since, verdicts = time.Now(), verdicts+1
						}
						want, given, ground.Result = verdict, time.Now(), result
					}
					if i == 0 || result != last {
						results++
					}
					last = result
					if got.Verdict != want || !got.VerdictTime.Equal(given) || !got.Since.Equal(since) {
						t.Fatalf("after %s: verdict %s of %s since %s, want %s of %s since %s", result, got.Verdict, got.VerdictTime, got.Since, want, given, since)
					}
					if first := (FirstSeen{Verdict: verdicts == 1, Result: results == 1}); got.Ground != ground || got.FirstSeen != first {
						t.Fatalf("after %s: ground %v, first seen %v; want %v, %v", result, got.Ground, got.FirstSeen, ground, first)
					}
					if got.Last.Result != result {
						t.Fatalf("the last result is %s, want %s", got.Last.Result, result)
					}
					time.Sleep(time.Minute)
				}
			})
		})
	}
}

// TestOrder holds who comes first when there is no place for all.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		rotated := filepath.Join(dir, "rotated")
		writeFile(t, rotated, "first")
		results := map[string]appfigures.Result{}
		api := &fakeAPI{answer: func(token string) appfigures.Outcome { return answers(results[token], 40) }} // 10 a day
		cfg := tokens("old", "older", "changed", "rotated")
		cfg.MaxConcurrency = 1
		cfg.Tokens[3].Source = config.FileSource(rotated)
		m := newMonitor(cfg, api)
		defer m.Stop()
		scrape(m, "older")
		scrape(m, "old", "changed", "rotated")
		time.Sleep(6 * time.Hour) // one place in the bucket
		results["changed"] = appfigures.ServerError
		scrape(m, "changed")
		api.asked = nil
		writeFile(t, rotated, "second")
		cfg.Tokens = append(cfg.Tokens, tokens("new").Tokens...)
		m.Reload(cfg)
		scrape(m)
		if got, want := api.order(), []string{"new", "second", "changed"}; !slices.Equal(got, want) {
			t.Errorf("probed %q, want %q: the urgent ones, then no place is left", got, want)
		}
		api.asked = nil
		time.Sleep(10 * time.Hour) // two probes are left of the day, so a place takes nine hours
		scrape(m)
		if got, want := api.order(), []string{"older"}; !slices.Equal(got, want) {
			t.Errorf("probed %q, want %q: the one that waited longest", got, want)
		}
	})
}

// TestChangeIsConfirmed holds that a new result is confirmed or cleared by the next scrape, without a place in the
// bucket, and that results that keep changing do not eat the budget.
func TestChangeIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var script []appfigures.Result
		api := &fakeAPI{answer: func(string) appfigures.Outcome {
			next := script[0]
			script = append(script[1:], next)
			return answers(next, 1000)
		}}
		m := newMonitor(tokens("a"), api)
		defer m.Stop()
		probesIn := func(scrapes int) int {
			before := api.count("")
			for range scrapes {
				scrape(m)
				time.Sleep(time.Second)
			}
			return api.count("") - before
		}
		script = []appfigures.Result{appfigures.Valid}
		probesIn(100) // empties the bucket
		for _, test := range []struct {
			name   string
			script []appfigures.Result
			want   int // probes, of which the first takes the place that was waited for
		}{
			{"nothing new", []appfigures.Result{appfigures.Valid}, 1},
			{"revoked", []appfigures.Result{appfigures.Rejected}, 2},
			{"restored", []appfigures.Result{appfigures.Valid}, 2},
			{"a single odd rejection", []appfigures.Result{appfigures.Rejected, appfigures.Valid, appfigures.Valid, appfigures.Valid}, 2},
			{"a brownout", []appfigures.Result{appfigures.Timeout, appfigures.ServerError}, 1 + maxConfirmations},
		} {
			time.Sleep(7 * time.Minute) // one place
			script = test.script
			if got := probesIn(20); got != test.want {
				t.Errorf("%s: %d probes in 20 scrapes, want %d", test.name, got, test.want)
			}
		}
	})
}

// TestVerdictAfterBrownout holds that a change of verdict is confirmed by the next scrape also when results have been
// changing for long.
func TestVerdictAfterBrownout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		results, n := []appfigures.Result{appfigures.Timeout, appfigures.ServerError}, 0
		revoked := false
		api := &fakeAPI{answer: func(string) appfigures.Outcome {
			if n++; revoked {
				return answers(appfigures.Rejected, 1000)
			}
			return answers(results[n%2], 1000)
		}}
		m := newMonitor(tokens("a"), api)
		defer m.Stop()
		for range 300 {
			scrape(m)
			time.Sleep(time.Minute)
		}
		revoked = true
		before := api.count("")
		for m.Snapshot().Tokens[0].Verdict != appfigures.Denied {
			scrape(m)
			time.Sleep(time.Second)
		}
		scrape(m)
		if got := api.count("") - before; got != 2 {
			t.Errorf("%d probes, want the one that was due and the one that confirms it", got)
		}
	})
}

// TestReloadKeepsTheBound holds that reloads do not let more probes run at once than max_concurrency.
func TestReloadKeepsTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(appfigures.Valid, 0), delay: func(string) time.Duration { return time.Minute }}
		var names []string
		for i := range 40 {
			names = append(names, fmt.Sprint("account", i, "/token"))
		}
		cfg := tokens(names...)
		cfg.MaxConcurrency = 2
		m := newMonitor(cfg, api)
		defer m.Stop()
		for range 8 {
			go m.Scrape(t.Context(), time.Now().Add(30*time.Second))
			time.Sleep(time.Second)
			m.Reload(cfg)
		}
		if n := api.count(""); n != 2 {
			t.Errorf("%d probes are under way, want 2", n)
		}
	})
}

// TestNoBudgetIsTold holds that a limit which leaves no probe stops them, is logged, and that a larger share helps.
func TestNoBudgetIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(appfigures.Valid, 3)}
		var logs bytes.Buffer
		cfg := tokens("a")
		m := New(cfg, api.connect, slog.New(slog.NewTextHandler(&logs, nil)))
		defer m.Stop()
		for range 5 {
			scrape(m)
			time.Sleep(10 * time.Hour)
		}
		if n := api.count(""); n != 1 {
			t.Errorf("%d probes, want the one that learnt the limit", n)
		}
		if n := strings.Count(logs.String(), "raise pacing.quota_share"); n != 1 {
			t.Errorf("logged %d times, want once:\n%s", n, logs.String())
		}
		cfg.Pacing.QuotaShare = 0.5
		m.Reload(cfg)
		for range 48 {
			scrape(m)
			time.Sleep(time.Hour)
		}
		if n := api.count(""); n < 2 || n > 4 {
			t.Errorf("%d probes in the two days after the share was raised to one a day", n-1)
		}
	})
}

// TestProbedMeanwhile holds that a scrape does not probe what another has probed since it began.
func TestProbedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(appfigures.Valid, 0), delay: func(string) time.Duration { return time.Second }}
		cfg := tokens("x/a", "y/b", "z/c")
		cfg.MaxConcurrency = 1
		m := newMonitor(cfg, api)
		defer m.Stop()
		go scrape(m)
		time.Sleep(time.Millisecond)
		scrape(m)
		if n := api.count(""); n != 3 {
			t.Errorf("two scrapes that overlapped made %d probes of 3 tokens", n)
		}
	})
}

// TestNotInTheLastMoments holds that no probe begins when it could hardly be answered.
func TestNotInTheLastMoments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(appfigures.Valid, 0), delay: func(string) time.Duration { return 950 * time.Millisecond }}
		cfg := tokens("x/a", "y/b")
		cfg.MaxConcurrency = 1
		m := newMonitor(cfg, api)
		defer m.Stop()
		s := m.Scrape(t.Context(), time.Now().Add(time.Second))
		if api.count("") != 1 || s.Tokens[1].Skipped[Deadline] != 1 || s.Tokens[1].Probed {
			t.Errorf("%d probes, b skipped %v", api.count(""), s.Tokens[1].Skipped)
		}
	})
}

// TestOutageAtTheStart holds that what never became a request does not use up a budget that was not known yet.
func TestOutageAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		result := appfigures.Unreachable
		api := &fakeAPI{answer: func(string) appfigures.Outcome { return answers(result, 1000) }}
		m := newMonitor(tokens("a"), api)
		defer m.Stop()
		for range 1000 {
			scrape(m)
			time.Sleep(time.Second)
		}
		result = appfigures.Valid
		if got := scrape(m); got.Tokens[0].Verdict != appfigures.Works || got.Accounts[0].Used != 1 {
			t.Errorf("verdict %s, used %d", got.Tokens[0].Verdict, got.Accounts[0].Used)
		}
		result = appfigures.Unreachable
		time.Sleep(time.Minute)
		if got := scrape(m); got.Accounts[0].Used != 2 {
			t.Errorf("used %d: once the limit is known every probe counts", got.Accounts[0].Used)
		}
	})
}

// TestHoldIsTheAccounts holds that 420 stops one account, until midnight, and is logged once each way.
func TestHoldIsTheAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(20 * time.Hour)
		limited := true
		api := &fakeAPI{answer: func(token string) appfigures.Outcome {
			if limited && strings.HasPrefix(token, "spent/") {
				o := answers(appfigures.RateLimited, 1000)
				o.HTTPStatus, o.Throttle = 420, appfigures.Throttle{Kind: appfigures.DailyLimit}
				return o
			}
			return answers(appfigures.Valid, 1000)
		}}
		var logs bytes.Buffer
		m := New(tokens("spent/a", "spent/b", "fine/a"), api.connect, slog.New(slog.NewTextHandler(&logs, nil)))
		defer m.Stop()
		for range 10 {
			scrape(m)
			time.Sleep(time.Minute)
		}
		if n := api.count("spent/a") + api.count("spent/b"); n != 1 {
			t.Errorf("the account that is held got %d probes, want 1", n)
		}
		if n := api.count("fine/a"); n != 10 {
			t.Errorf("the other account got %d probes, want 10", n)
		}
		s := m.Snapshot()
		if !s.Accounts[1].HeldUntil.Equal(midnight.Add(day)) || s.Accounts[1].HeldFor != appfigures.DailyLimit || !s.Accounts[0].HeldUntil.IsZero() {
			t.Errorf("accounts %+v", s.Accounts)
		}
		if got := s.Tokens[1].Skipped[RateLimited]; got != 10 {
			t.Errorf("spent/b was skipped %d times, want 10", got)
		}
		if !s.Tokens[1].NextDue.Equal(midnight.Add(day)) {
			t.Errorf("spent/b is due at %s, want midnight", s.Tokens[1].NextDue)
		}
		limited = false
		time.Sleep(time.Until(midnight.Add(day)))
		scrape(m)
		if api.count("spent/a") != 2 || api.count("spent/b") != 1 {
			t.Errorf("after midnight: %d and %d probes, want both probed again", api.count("spent/a"), api.count("spent/b"))
		}
		for _, line := range []string{"asked for a pause", "pause that the API asked for is over"} {
			if n := strings.Count(logs.String(), line); n != 1 {
				t.Errorf("%q is logged %d times, want once:\n%s", line, n, logs.String())
			}
		}
	})
}

// TestMinIntervalIsAFloor holds that no way of asking probes a token sooner.
func TestMinIntervalIsAFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "token")
		result := appfigures.Valid
		api := &fakeAPI{answer: func(string) appfigures.Outcome { result = (result + 1) % 2; return answers(result, 0) }}
		cfg := tokens("a")
		cfg.Tokens[0].Source = config.FileSource(file)
		cfg.Pacing.MinInterval = time.Minute
		m := newMonitor(cfg, api)
		defer m.Stop()
		for i := range 600 { // ten minutes
			writeFile(t, file, fmt.Sprint("secret", i))
			scrape(m)
			scrape(m, "a")
			m.Reload(cfg)
			time.Sleep(time.Second)
		}
		if n := api.count(""); n != 10 {
			t.Errorf("%d probes in 10 minutes, want 10", n)
		}
		if got := m.Snapshot().Tokens[0].Skipped[MinInterval]; got != 2*600-10 {
			t.Errorf("skipped %d times, want %d", got, 2*600-10)
		}
	})
}

// TestOverlappingScrapesShare holds that scrapes wait for each other's probes, and that one that hangs up cancels
// nothing for the others.
func TestOverlappingScrapesShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(appfigures.Valid, 0), delay: func(string) time.Duration { return 3 * time.Second }}
		m := newMonitor(tokens("a", "b", "c"), api)
		defer m.Stop()
		impatient, hangUp := context.WithCancel(t.Context())
		snapshots := make(chan Snapshot, 20)
		go m.Scrape(impatient, time.Now().Add(9*time.Second))
		time.Sleep(time.Second)
		for range cap(snapshots) {
			go func() { snapshots <- scrape(m) }()
		}
		synctest.Wait()
		hangUp()
		for range cap(snapshots) {
			for _, token := range (<-snapshots).Tokens {
				if token.Verdict != appfigures.Works {
					t.Errorf("%s: verdict %s", token.Name, token.Verdict)
				}
			}
		}
		for _, name := range []string{"a", "b", "c"} {
			if n := api.count(name); n > 2 {
				t.Errorf("%s was probed %d times by 21 scrapes that overlapped", name, n)
			}
		}
		if n := api.count("a"); n != 1 {
			t.Errorf("the token under way was probed %d times, want once", n)
		}
	})
}

// TestHangUp holds that nothing more begins for a scraper that has gone, and what was begun still counts.
func TestHangUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(appfigures.Valid, 0), delay: func(string) time.Duration { return time.Second }}
		cfg := tokens("a", "b", "c", "d")
		cfg.MaxConcurrency = 2
		m := newMonitor(cfg, api)
		defer m.Stop()
		scrape(m) // from here on the accounts are known
		api.asked = nil
		ctx, hangUp := context.WithCancel(t.Context())
		returned := make(chan struct{})
		go func() { m.Scrape(ctx, time.Now().Add(9*time.Second)); close(returned) }()
		synctest.Wait()
		hangUp()
		<-returned
		time.Sleep(5 * time.Second)
		if n := api.count(""); n != 2 {
			t.Errorf("%d probes were made, want the 2 that were under way", n)
		}
		s := m.Snapshot()
		if got := s.Tokens[0].Results[appfigures.Valid]; got != 2 {
			t.Errorf("a has %d results, want both of its probes'", got)
		}
		if got := s.Tokens[3].Skipped; got != [NumReasons]uint64{} {
			t.Errorf("d counts as skipped: %v", got)
		}
	})
}

// TestScrapeInTime holds that a scrape of 300 tokens, most of which hang, ends before its two seconds are over, and
// that a few scrapes reach every token.
func TestScrapeInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for i := range 300 {
			names = append(names, fmt.Sprintf("token%03d", i))
		}
		api := &fakeAPI{answer: always(appfigures.Valid, 0), delay: func(token string) time.Duration {
			if strings.HasSuffix(token, "7") {
				return 50 * time.Millisecond
			}
			return time.Hour
		}}
		m := newMonitor(tokens(names...), api)
		defer m.Stop()
		var last Snapshot
		for range 8 {
			start := time.Now()
			last = m.Scrape(t.Context(), start.Add(1500*time.Millisecond))
			if took := time.Since(start); took > 1600*time.Millisecond {
				t.Errorf("a scrape took %s", took)
			}
			time.Sleep(13 * time.Second)
		}
		for _, token := range last.Tokens {
			want := appfigures.Timeout
			if strings.HasSuffix(token.Name, "7") {
				want = appfigures.Valid
			}
			if !token.Probed || token.Last.Result != want {
				t.Errorf("%s: probed %v, result %s, want %s", token.Name, token.Probed, token.Last.Result, want)
			}
		}
		var skipped uint64
		for _, token := range last.Tokens {
			skipped += token.Skipped[Deadline]
		}
		if skipped == 0 {
			t.Error("no token counts as skipped for the deadline")
		}
	})
}

// TestScout holds that while an account's limit is unknown, its first probe goes alone, so that even the first scrape
// stays within the budget, and that one that hangs does not hold up the rest for long.
func TestScout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for i := range 100 {
			names = append(names, fmt.Sprintf("token%03d", i))
		}
		api := &fakeAPI{answer: always(appfigures.Valid, 40), delay: func(string) time.Duration { return time.Second }}
		m := newMonitor(tokens(names...), api)
		scrape(m)
		m.Stop()
		if n := api.count(""); n != 10 {
			t.Errorf("%d probes, with a budget of 10", n)
		}

		hanging := &fakeAPI{answer: always(appfigures.Valid, 0), delay: func(token string) time.Duration {
			if token == "token000" {
				return time.Hour
			}
			return time.Second
		}}
		m = newMonitor(tokens(names...), hanging)
		defer m.Stop()
		scrape(m)
		if n := hanging.count(""); n != 100 {
			t.Errorf("%d probes beside a scout that hangs, want all 100", n)
		}
	})
}

// TestStop holds that probes cut off by the end of the exporter say nothing about their tokens.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(appfigures.Valid, 0), delay: func(string) time.Duration { return 5 * time.Second }}
		m := newMonitor(tokens("a"), api)
		done := make(chan Snapshot)
		go func() { done <- scrape(m) }()
		time.Sleep(time.Second)
		m.Stop()
		if s := <-done; s.Tokens[0].Probed {
			t.Errorf("a probe that was cut off has the result %s", s.Tokens[0].Last.Result)
		}
		synctest.Wait()
		if api.sessions != 0 {
			t.Errorf("%d sessions are still open", api.sessions)
		}
	})
}

// TestReload holds what survives a reload.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(appfigures.Valid, 1000)}
		m := newMonitor(tokens("same", "moved", "gone"), api)
		defer m.Stop()
		scrape(m)
		next := tokens("same", "moved", "new")
		next.Tokens[1].Source = config.InlineSource(config.NewSecret("another"))
		next.Tokens[0].Labels = []config.Label{{Name: "team", Value: "growth"}}
		next.Pacing.QuotaShare = 0.5
		m.Reload(next)
		s := m.Snapshot()
		if got := s.Tokens[0]; got.Verdict != appfigures.Works || len(got.Labels) != 1 {
			t.Errorf("same: verdict %s, labels %v", got.Verdict, got.Labels)
		}
		for _, token := range s.Tokens[1:] {
			if token.Probed || token.Verdict != appfigures.Undecided {
				t.Errorf("%s has a state although it is new", token.Name)
			}
		}
		if a := s.Accounts[0]; a.Used != 3 || a.Budget != 500 {
			t.Errorf("account %+v, want 3 of 500 used", a)
		}
		if m.Has("gone") || !m.Has("new") {
			t.Error("the names are not those of the new configuration")
		}
		m.Reload(tokens("elsewhere/a"))
		m.Reload(tokens("same"))
		if a := m.Snapshot().Accounts[0]; a.Used != 3 {
			t.Errorf("an account that was gone for a while has used %d, want still 3", a.Used)
		}
	})
}

// TestNoToken holds that a source without a secret makes no request, keeps the verdict, and that the secret's return
// is noticed at once.
func TestNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "token")
		writeFile(t, file, "secret\n")
		api := &fakeAPI{answer: always(appfigures.Valid, 10)} // 2 a day
		cfg := tokens("a")
		cfg.Tokens[0].Source = config.FileSource(file)
		m := newMonitor(cfg, api)
		defer m.Stop()
		scrape(m)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		got := scrape(m).Tokens[0]
		if got.Last.Result != appfigures.NoToken || got.Verdict != appfigures.Works || got.Last.Message == "" {
			t.Errorf("result %s, verdict %s, message %q", got.Last.Result, got.Verdict, got.Last.Message)
		}
		if got.Results[appfigures.NoToken] != 0 || api.count("") != 1 {
			t.Error("a missing secret counts as a request")
		}
		writeFile(t, file, "secret\n")
		if got := scrape(m).Tokens[0]; got.Last.Result != appfigures.Valid || api.count("") != 2 {
			t.Errorf("the secret is back, but the result is %s", got.Last.Result)
		}
	})
}

// TestQuotaIsOfToday holds that a quota is shown on the UTC day it was reported on, and no longer.
func TestQuotaIsOfToday(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(23*time.Hour + 59*time.Minute)
		api := &fakeAPI{answer: always(appfigures.Valid, 1000)}
		m := newMonitor(tokens("a"), api)
		defer m.Stop()
		if q := scrape(m).Tokens[0].Quota; !q.LimitOK || q.Limit != 1000 || q.UsedOK {
			t.Errorf("quota %+v, want a limit of 1000 alone", q)
		}
		time.Sleep(time.Minute)
		if q := m.Snapshot().Tokens[0].Quota; q != (appfigures.Quota{}) {
			t.Errorf("after midnight the quota is %+v, want none", q)
		}
		time.Sleep(day - time.Second)
		api.delay = func(string) time.Duration { return 2 * time.Second }
		if q := scrape(m).Tokens[0].Quota; q != (appfigures.Quota{}) {
			t.Errorf("a probe that spans midnight reports %+v as today's", q)
		}
	})
}

// TestLogs holds that a change of state is one line, and that a scrape without one is none.
func TestLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		result := appfigures.Valid
		api := &fakeAPI{answer: func(string) appfigures.Outcome {
			o := answers(result, 0)
			if result == appfigures.Locked {
				o.HTTPStatus, o.Message = 403, "No API Access"
			}
			return o
		}}
		var logs bytes.Buffer
		m := New(tokens("a"), api.connect, slog.New(slog.NewTextHandler(&logs, nil)))
		defer m.Stop()
		scrape(m)
		scrape(m)
		result = appfigures.Locked
		scrape(m)
		scrape(m)
		want := `time=2000-01-01T00:00:00.000Z level=INFO msg="Token changed state" token=a account=default from=none to=valid http_status=200 message=""
time=2000-01-01T00:00:00.000Z level=WARN msg="Token changed state" token=a account=default from=valid to=locked http_status=403 message="No API Access"
`
		if logs.String() != want {
			t.Errorf("log:\n%s\nwant:\n%s", logs.String(), want)
		}
	})
}

// order returns the tokens that were probed, in order.
func (a *fakeAPI) order() []string {
	var names []string
	for _, ask := range a.asked {
		names = append(names, ask.token)
	}
	return names
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
