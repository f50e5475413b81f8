package monitor

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// TestVerdict checks which sequences of answers change the verdict.
func TestVerdict(t *testing.T) {
	results := map[byte]probe.Result{
		'v': probe.Valid, 'r': probe.Rejected, 'l': probe.Locked, 't': probe.Timeout, 'u': probe.Unexpected, 'x': probe.RateLimited,
	}
	for _, test := range []struct {
		answers string
		want    string // verdict, reason, and ? for an unconfirmed denial
	}{
		{"", "unknown"},
		{"t", "unknown"},
		{"v", "valid"},
		{"r", "unknown?"},
		{"rr", "denied rejected"},
		{"rv", "valid"},
		{"vr", "valid?"},
		{"vrv", "valid"},
		{"vrr", "denied rejected"},
		{"vrttuxr", "denied rejected"},
		{"vrttux", "valid?"},
		{"vrtvr", "valid?"},
		{"vrl", "denied locked"},
		{"rrl", "denied rejected?"},
		{"rrlr", "denied rejected"},
		{"rrll", "denied locked"},
		{"rrtttt", "denied rejected"},
		{"rrv", "valid"},
	} {
		var tok token
		for i := range len(test.answers) {
			tok.record(answers(results[test.answers[i]], 0), midnight)
		}
		got := tok.Verdict.String()
		if tok.Verdict == probe.VerdictDenied {
			got += " " + tok.Reason.String()
		}
		if tok.Unconfirmed {
			got += "?"
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.answers, got, test.want)
		}
	}
}

// TestConfirmation checks that a first denial is confirmed or cleared a second later, also when nobody waits.
func TestConfirmation(t *testing.T) {
	for _, test := range []struct {
		name    string
		second  probe.Result
		verdict probe.Verdict
	}{
		{"revoked", probe.Rejected, probe.VerdictDenied},
		{"one odd answer", probe.Valid, probe.VerdictValid},
		{"an outage begins", probe.ServerError, probe.VerdictValid},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := []probe.Result{probe.Valid, probe.Rejected, test.second}
				api := &fakeAPI{answer: func(string) probe.Outcome {
					next := script[0]
					if len(script) > 1 {
						script = script[1:]
					}
					return answers(next, 1000)
				}}
				m := newMonitor(tokens("a"), api)
				defer m.Stop()
				scrapeAll(m)
				time.Sleep(time.Hour)
				m.Scrape(t.Context(), time.Now().Add(100*time.Millisecond)) // does not wait
				if got := m.Snapshot().Tokens[0]; got.Verdict != probe.VerdictValid || !got.Unconfirmed {
					t.Errorf("after the first answer: %s, unconfirmed %v", got.Verdict, got.Unconfirmed)
				}
				time.Sleep(2 * time.Second)
				if got := m.Snapshot().Tokens[0].Verdict; got != test.verdict || api.count("") != 3 {
					t.Errorf("verdict %s after %d requests, want %s after 3", got, api.count(""), test.verdict)
				}
				if gap := api.requests[2].at.Sub(api.requests[1].at); gap != confirmAfter {
					t.Errorf("the second answer came %s after the first", gap)
				}
			})
		})
	}
}

// TestOddDenialBeforeOutage checks that the confirmation is retried, but not without bound.
func TestOddDenialBeforeOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		api := &fakeAPI{answer: func(string) probe.Outcome {
			n++
			switch n {
			case 1:
				return answers(probe.Valid, 1000)
			case 2:
				return answers(probe.Rejected, 1000)
			}
			return answers(probe.ServerError, 0)
		}}
		m := newMonitor(tokens("a"), api)
		defer m.Stop()
		scrapeAll(m)
		time.Sleep(time.Hour)
		for range 4 * 60 {
			scrapeAll(m)
			time.Sleep(time.Minute)
		}
		if got := m.Snapshot().Tokens[0].Verdict; got != probe.VerdictValid {
			t.Errorf("verdict %s, want valid", got)
		}
		if n := api.count(""); n < 35 || n > 60 {
			t.Errorf("%d requests in four hours, want about those of the pace", n)
		}
	})
}

// TestOrder checks who comes first when there are not enough permits.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rotated := filepath.Join(t.TempDir(), "rotated")
		writeFile(t, rotated, "first")
		api := &fakeAPI{answer: always(probe.Valid, 160)} // 40 per day: a permit each 40 minutes
		cfg := tokens("older", "old", "rotated")
		cfg.MaxConcurrency = 1
		cfg.Tokens[2].Source = config.FileSource(rotated)
		m := newMonitor(cfg, api)
		defer m.Stop()
		scrapeAll(m, "older")
		time.Sleep(time.Second)
		scrapeAll(m, "old", "rotated")
		api.forget()
		time.Sleep(161 * time.Minute) // the three permits are earned again, and one more
		writeFile(t, rotated, "second")
		cfg.Tokens = append(cfg.Tokens, tokens("new").Tokens...)
		m.Reload(cfg)
		scrapeAll(m)
		if got, want := api.order(), []string{"second", "new"}; !slices.Equal(got[:2], want) {
			t.Errorf("requests %q, want the urgent %q first", got, want)
		}
		api.forget()
		for api.count("") == 0 {
			time.Sleep(time.Minute)
			scrapeAll(m)
		}
		if got, want := api.order(), []string{"older"}; !slices.Equal(got, want) {
			t.Errorf("requests %q, want %q: the one that waited longest", got, want)
		}
	})
}

// TestDeadlineBoundsTheAnswer checks that a hasty scraper gets its answer in time, and leaves no trace in the results.
func TestDeadlineBoundsTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid, unlimited), delay: func(string) time.Duration { return 700 * time.Millisecond }}
		m := newMonitor(unpaced("a", "b"), api)
		defer m.Stop()
		for range 200 {
			start := time.Now()
			ctx, hangUp := context.WithTimeout(t.Context(), 150*time.Millisecond)
			m.Scrape(ctx, start.Add(100*time.Millisecond))
			hangUp()
			m.Scrape(t.Context(), time.Now().Add(time.Millisecond)) // has no time for anything
			if took := time.Since(start); took > 101*time.Millisecond {
				t.Errorf("the answers took %s", took)
			}
			time.Sleep(4 * time.Second)
		}
		for _, token := range scrapeAll(m).Tokens {
			if got := token.Results[probe.Valid]; got < 200 || got != uint64(api.count(token.Name)) {
				t.Errorf("%s: %d valid results of %d requests", token.Name, got, api.count(token.Name))
			}
			if token.Results[probe.Timeout] != 0 || token.Last.Result != probe.Valid {
				t.Errorf("%s: results %v", token.Name, token.Results)
			}
		}
		synctest.Wait()
		if api.sessions != 0 {
			t.Errorf("%d sessions are open", api.sessions)
		}
	})
}

// TestOverlappingScrapesShare checks that scrapes wait for each other's probes, also in the order of a reload.
func TestOverlappingScrapesShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid, unlimited), delay: func(string) time.Duration { return 3 * time.Second }}
		cfg := unpaced("a", "b", "c")
		cfg.MaxConcurrency = 1
		m := newMonitor(cfg, api)
		defer m.Stop()
		snapshots := make(chan Snapshot, 20)
		for range cap(snapshots) {
			go func() { snapshots <- m.Scrape(t.Context(), time.Time{}) }()
			time.Sleep(100 * time.Millisecond)
		}
		for range cap(snapshots) {
			for _, token := range (<-snapshots).Tokens {
				if token.Verdict != probe.VerdictValid {
					t.Errorf("%s: verdict %s", token.Name, token.Verdict)
				}
			}
		}
		if n := api.count(""); n != 3 {
			t.Errorf("%d requests by 20 scrapes that overlapped, want 3", n)
		}
	})
}

// TestHangingTokens checks that tokens that hang keep nobody waiting once everyone has had a turn.
func TestHangingTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for i := range 990 {
			names = append(names, fmt.Sprintf("hanging%03d", i))
		}
		var good []string
		for i := range 10 {
			good = append(good, fmt.Sprintf("good%d", i))
		}
		names = append(names, good...)
		api := &fakeAPI{answer: always(probe.Valid, unlimited), delay: func(token string) time.Duration {
			if strings.HasPrefix(token, "good") {
				return 50 * time.Millisecond
			}
			return time.Hour
		}}
		m := newMonitor(unpaced(names...), api)
		defer m.Stop()
		m.Scrape(t.Context(), time.Now().Add(5*time.Minute)) // everyone has a turn
		for range 10 {
			start := time.Now()
			s := m.Scrape(t.Context(), start.Add(3*time.Second))
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("a scrape took %s", took)
			}
			for _, token := range s.Tokens[990:] {
				if token.Last.Result != probe.Valid || time.Since(token.Last.Start) > 5*time.Second {
					t.Errorf("%s: %s, %s ago", token.Name, token.Last.Result, time.Since(token.Last.Start))
				}
			}
			time.Sleep(12 * time.Second)
		}
		m.Stop()
		synctest.Wait()
		if api.sessions != 0 {
			t.Errorf("%d sessions are open", api.sessions)
		}
	})
}

// TestReloadKeepsTheBound checks that reloads do not let more probes run at once than max_concurrency.
func TestReloadKeepsTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid, 0), timeout: time.Hour,
			delay: func(string) time.Duration { return time.Minute }}
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

// TestMinInterval checks that no way of asking makes a routine probe sooner, and that a changed secret does not wait.
func TestMinInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "token")
		writeFile(t, file, "first")
		api := &fakeAPI{answer: always(probe.Valid, unlimited)}
		cfg := unpaced("a")
		cfg.Tokens[0].Source = config.FileSource(file)
		cfg.Pacing.MinInterval = time.Minute
		m := newMonitor(cfg, api)
		defer m.Stop()
		for range 600 { // ten minutes
			scrapeAll(m)
			scrapeAll(m, "a")
			m.Reload(cfg)
			time.Sleep(time.Second)
		}
		if n := api.count(""); n != 10 {
			t.Errorf("%d requests in 10 minutes, want 10", n)
		}
		if got := m.Snapshot().Tokens[0].Skipped[SkipMinInterval]; got != 2*600-10 {
			t.Errorf("skipped %d times, want %d", got, 2*600-10)
		}
		writeFile(t, file, "second")
		scrapeAll(m)
		if n := api.count("second"); n != 1 {
			t.Errorf("%d requests with the changed secret, want 1", n)
		}
	})
}

// TestHold checks that 420 stops one account until midnight, and is logged once each way.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(20 * time.Hour)
		limited := true
		api := &fakeAPI{answer: func(token string) probe.Outcome {
			if limited && strings.HasPrefix(token, "spent/") {
				o := answers(probe.RateLimited, 1000)
				o.HTTPStatus, o.Throttle = 420, probe.Throttle{Kind: probe.DailyLimit}
				return o
			}
			return answers(probe.Valid, unlimited)
		}}
		var logs bytes.Buffer
		m := New(unpaced("spent/a", "spent/b", "fine/a"),
			Options{Connect: api.connect, Logger: slog.New(slog.NewTextHandler(&logs, nil))})
		defer m.Stop()
		for range 10 {
			scrapeAll(m)
			time.Sleep(time.Minute)
		}
		if n := api.count("spent/a") + api.count("spent/b"); n != 1 {
			t.Errorf("the account that is held got %d requests, want 1", n)
		}
		if n := api.count("fine/a"); n < 9 {
			t.Errorf("the other account got %d requests, want one per scrape", n)
		}
		s := m.Snapshot()
		if a := s.Accounts[1]; !a.HeldUntil.Equal(midnight.Add(day)) || a.Held != DailyLimit {
			t.Errorf("account %+v", a)
		}
		if s.Accounts[0].Held != NotHeld {
			t.Errorf("account %+v", s.Accounts[0])
		}
		if got := s.Tokens[1].Skipped[SkipRateLimited]; got != 10 {
			t.Errorf("spent/b was skipped %d times, want 10", got)
		}
		if !s.Tokens[1].NextProbe.Equal(midnight.Add(day)) {
			t.Errorf("spent/b is due at %s, want midnight", s.Tokens[1].NextProbe)
		}
		limited = false
		time.Sleep(time.Until(midnight.Add(day)))
		scrapeAll(m)
		if api.count("spent/a")+api.count("spent/b") < 2 {
			t.Error("after midnight the account is not probed again")
		}
		for _, line := range []string{"Pausing probes of account", "Resuming probes of account"} {
			if n := strings.Count(logs.String(), line); n != 1 {
				t.Errorf("%q is logged %d times, want once:\n%s", line, n, logs.String())
			}
		}
	})
}

// TestHoldsAreLogged checks that the log tells what stops an account's probes, whatever answer shows it.
func TestHoldsAreLogged(t *testing.T) {
	for used, want := range map[int64]string{
		940: "", 960: "Probing account only once per hour", 1000: "Pausing probes of account: its daily limit is reached",
	} {
		synctest.Test(t, func(t *testing.T) {
			var logs bytes.Buffer
			o := answers(probe.Valid, 1000)
			o.Quota.Used, o.Quota.UsedOK = used, true
			api := &fakeAPI{answer: func(string) probe.Outcome { return o }}
			m := New(tokens("a"), Options{Connect: api.connect, Logger: slog.New(slog.NewTextHandler(&logs, nil))})
			defer m.Stop()
			for range 5 {
				scrapeAll(m)
				time.Sleep(time.Hour)
			}
			if n := strings.Count(logs.String(), want); want == "" && logs.Len() > 0 || want != "" && n != 1 {
				t.Errorf("%d used: logged %d times:\n%s", used, n, logs.String())
			}
		})
	}
}

// TestStop checks that probes cut off by the end of the exporter say nothing about their tokens.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid, 0), delay: func(string) time.Duration { return 5 * time.Second }}
		m := newMonitor(tokens("a"), api)
		done := make(chan Snapshot)
		go func() { done <- scrapeAll(m) }()
		time.Sleep(time.Second)
		m.Stop()
		if s := <-done; s.Tokens[0].Probed {
			t.Errorf("a probe that was cut off has the result %s", s.Tokens[0].Last.Result)
		}
		synctest.Wait()
		if api.sessions != 0 {
			t.Errorf("%d sessions are open", api.sessions)
		}
	})
}

// TestReload checks what survives a reload.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid, 1000)}
		m := newMonitor(tokens("same", "moved", "gone"), api)
		defer m.Stop()
		scrapeAll(m)
		next := tokens("same", "moved", "new")
		next.Tokens[1].Source = config.InlineSource(config.NewSecret("another"))
		next.Tokens[0].Labels = []config.Label{{Name: "team", Value: "growth"}}
		next.Pacing.QuotaShare = 0.5
		m.Reload(next)
		s := m.Snapshot()
		if got := s.Tokens[0]; got.Verdict != probe.VerdictValid || len(got.Labels) != 1 {
			t.Errorf("same: verdict %s, labels %v", got.Verdict, got.Labels)
		}
		for _, token := range s.Tokens[1:] {
			if token.Probed || token.Verdict != probe.VerdictUnknown {
				t.Errorf("%s has a state although it is new", token.Name)
			}
		}
		if a := s.Accounts[0]; a.BudgetUsed != 3 || a.Budget != 500 {
			t.Errorf("account %+v, want 3 of 500 used", a)
		}
		if m.Has("gone") || !m.Has("new") {
			t.Error("the names are not those of the new configuration")
		}
		m.Reload(tokens("elsewhere/a"))
		m.Reload(tokens("same"))
		if a := m.Snapshot().Accounts[0]; a.BudgetUsed != 3 {
			t.Errorf("an account that was gone for a while has used %d, want still 3", a.BudgetUsed)
		}
		m.Reload(tokens("elsewhere/a"))
		time.Sleep(25 * time.Hour)
		m.Reload(tokens("elsewhere/a"))
		if n := len(m.accounts); n != 1 {
			t.Errorf("%d accounts are remembered, want 1", n)
		}
	})
}

// TestNoToken checks that a source without a secret makes no request and keeps the verdict, and that the secret's
// return is noticed at once.
func TestNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "token")
		writeFile(t, file, "secret\n")
		api := &fakeAPI{answer: always(probe.Valid, 40)}
		cfg := tokens("a")
		cfg.Tokens[0].Source = config.FileSource(file)
		m := newMonitor(cfg, api)
		defer m.Stop()
		scrapeAll(m)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		got := scrapeAll(m).Tokens[0]
		if got.Last.Result != probe.NoToken || got.Verdict != probe.VerdictValid || got.Last.Message == "" {
			t.Errorf("result %s, verdict %s, message %q", got.Last.Result, got.Verdict, got.Last.Message)
		}
		if got.Results[probe.NoToken] != 0 || api.count("") != 1 {
			t.Error("a missing secret counts as a request")
		}
		writeFile(t, file, "secret\n")
		if got := scrapeAll(m).Tokens[0]; got.Last.Result != probe.Valid || api.count("") != 2 {
			t.Errorf("the secret is back, but the result is %s", got.Last.Result)
		}
	})
}

// TestQuotaIsOfToday checks that a quota is shown on the API's day on which it was reported, and no longer.
func TestQuotaIsOfToday(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const skew = 5 * time.Minute // our clock is ahead of the API's
		time.Sleep(day - time.Minute)
		api := &fakeAPI{answer: func(string) probe.Outcome {
			o := answers(probe.Valid, 1000)
			o.Quota.Used, o.Quota.UsedOK, o.ServerTime = 900, true, time.Now().Add(-skew)
			return o
		}}
		m := newMonitor(tokens("a"), api)
		defer m.Stop()
		if q := scrapeAll(m).Accounts[0].Quota; q.Limit != 1000 || q.Used != 900 {
			t.Errorf("quota %+v, want 900 of 1000", q)
		}
		time.Sleep(time.Minute + skew - time.Second)
		a := m.Snapshot().Accounts[0]
		if !a.Quota.UsedOK || !a.QuotaReset.Equal(midnight.Add(day+skew)) {
			t.Errorf("before the API's midnight the quota is %+v, reset %s", a.Quota, a.QuotaReset)
		}
		time.Sleep(time.Second)
		if q := m.Snapshot().Accounts[0].Quota; q != (probe.Quota{}) {
			t.Errorf("after the API's midnight the quota is %+v, want none", q)
		}
	})
}

// TestSameUser checks that accounts whose tokens belong to one user are reported, once.
func TestSameUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: func(token string) probe.Outcome {
			o := answers(probe.Valid, 1000)
			if o.User = 1; token == "third/c" {
				o.User = 2
			}
			return o
		}}
		var logs bytes.Buffer
		m := New(tokens("first/a", "second/b", "third/c"),
			Options{Connect: api.connect, Logger: slog.New(slog.NewTextHandler(&logs, nil))})
		defer m.Stop()
		for range 10 {
			scrapeAll(m)
			time.Sleep(time.Hour)
		}
		var got [][]string
		for _, a := range m.Snapshot().Accounts {
			got = append(got, a.SameUserAs)
		}
		if fmt.Sprint(got) != "[[second] [first] []]" {
			t.Errorf("same user as %q", got)
		}
		if n := strings.Count(logs.String(), "belong to one Appfigures user"); n != 1 {
			t.Errorf("logged %d times, want once", n)
		}
	})
}

// TestLogs checks that a change is one line, that good news of a first scrape is none, and that nothing is logged under
// the monitor's lock.
func TestLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		result := probe.Valid
		api := &fakeAPI{answer: func(string) probe.Outcome {
			o := answers(result, unlimited)
			if result == probe.Locked {
				o.HTTPStatus, o.Message = 403, "No API Access"
			}
			return o
		}}
		var logs bytes.Buffer
		var m *Monitor
		handler := slog.NewTextHandler(&logs, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				m.mu.Lock() // for ever if the lock is held by who logs; others may have it for a moment
				defer m.mu.Unlock()
				return slog.Attr{}
			}
			return a
		}})
		m = New(unpaced("a"), Options{Connect: api.connect, Logger: slog.New(handler)})
		defer m.Stop()
		for _, result = range []probe.Result{probe.Valid, probe.Valid, probe.Locked, probe.Locked, probe.Unreachable, probe.Valid} {
			scrapeAll(m)
			time.Sleep(time.Minute)
		}
		want := `level=INFO msg="Token was denied; probing again to confirm" token=a account=default result=locked ` +
			`http_status=403 reason="No API Access"
level=WARN msg="Token is denied" token=a account=default result=locked http_status=403 reason="No API Access"
level=WARN msg="Probe got no verdict" token=a account=default result=unreachable
level=INFO msg="Token is valid" token=a account=default result=valid http_status=200
`
		if logs.String() != want {
			t.Errorf("log:\n%s\nwant:\n%s", logs.String(), want)
		}
	})
}

// TestHealthy checks that health fails while the lock is held, or a probe does not end.
func TestHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid, 0), timeout: day, delay: func(string) time.Duration { return 5 * time.Minute }}
		m := newMonitor(tokens("a"), api)
		defer m.Stop()
		scrapeAll(m)
		if err := m.Healthy(); err != nil {
			t.Error(err)
		}
		m.mu.Lock()
		if m.Healthy() == nil {
			t.Error("healthy although the state is locked")
		}
		m.mu.Unlock()
		time.Sleep(2 * time.Minute)
		if m.Healthy() == nil {
			t.Error("healthy although a probe does not end")
		}
		time.Sleep(5 * time.Minute)
		if err := m.Healthy(); err != nil {
			t.Error(err)
		}
	})
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestMoveDuringConfirmation checks that a token that moves to a held account while its denial awaits confirmation
// makes no request there.
func TestMoveDuringConfirmation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: func(token string) probe.Outcome {
			o := answers(probe.Rejected, 0)
			if token == "y" {
				o.Result, o.Throttle = probe.RateLimited, probe.Throttle{Kind: probe.SlowDown}
			}
			return o
		}}
		cfg := tokens("x", "held/y")
		cfg.Tokens[1].Name = "y"
		cfg.Tokens[1].Source = tokens("y").Tokens[0].Source
		m := newMonitor(cfg, api)
		defer m.Stop()
		go scrapeAll(m)
		time.Sleep(500 * time.Millisecond)
		moved := *cfg
		moved.Tokens = append(moved.Tokens[:0:0], cfg.Tokens...)
		moved.Tokens[0].Account = "held"
		m.Reload(&moved)
		time.Sleep(10 * time.Second)
		if n := api.count("x"); n != 1 {
			t.Errorf("%d requests of the moved token, the second during the hold of its account", n)
		}
	})
}
