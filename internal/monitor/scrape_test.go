package monitor

import (
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// answerWithUse answers as valid and reports an account with plenty left.
func answerWithUse(string) probe.Outcome {
	return probe.Outcome{
		Result: probe.Valid, Sent: true, Quota: probe.Quota{Limit: 1000, LimitOK: true, Used: 1, UsedOK: true},
	}
}

// TestScrape checks that a scrape probes every new token once, first one of the account alone, whose answer reports
// the account's use, and that the next scrape waits for their turns.
func TestScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Duration
		began := time.Now()
		api := &fakeAPI{latency: time.Second, answer: func(secret string) probe.Outcome {
			times = append(times, time.Since(began))
			return answerWithUse(secret)
		}}
		m := start(t, configOf("a/one", "a/two", "a/three"), api, nil, state.Content{})
		s := scrapeAll(t, m)
		if want := []time.Duration{1 * time.Second, 2 * time.Second, 2 * time.Second}; !slices.Equal(times, want) {
			t.Errorf("probes ended after %v, want %v", times, want)
		}
		one, a := s.Tokens[0], s.Accounts[0]
		if one.Verdict != probe.VerdictValid || one.Last.Duration != time.Second || one.Results[probe.Valid] != 1 {
			t.Errorf("token %+v", one)
		}
		if a.BudgetUsed != 3 || a.Budget != 250 || a.Quota.Used != 1 || a.Held != NotHeld || a.Durations.GetSampleCount() != 3 {
			t.Errorf("account %+v", a)
		}
		if first := one.Configured.Add(one.Interval / 3); !one.NextProbe.Equal(first) {
			t.Errorf("next probe at %s, want %s", one.NextProbe, first)
		}
		scrapeAll(t, m) // it is nobody's turn
		time.Sleep(one.Interval / 3)
		if scrapeAll(t, m); len(times) != 4 {
			t.Errorf("%d probes after the first turn, want 4", len(times))
		}
	})
}

// TestUnknownUse checks that the tokens that wait for the first probe of their account are probed when it has ended,
// whatever it answered and whether or not a scrape still waits, also if each is scraped alone.
func TestUnknownUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Timeout), latency: 10 * time.Second}
		m := start(t, configOf("a/one", "a/two", "b/other"), api, nil, state.Content{})
		began := time.Now()
		var scrapes sync.WaitGroup
		for _, name := range []string{"one", "two", "other"} {
			scrapes.Go(func() { scrapeFor(t, m, 5*time.Second, name) })
			synctest.Wait()
		}
		if scrapes.Wait(); time.Since(began) != 5*time.Second {
			t.Errorf("the scrapes took %s, want their deadline", time.Since(began))
		}
		time.Sleep(16 * time.Second)
		synctest.Wait()
		var order []string
		for _, r := range api.requests {
			order = append(order, r.secret+" "+r.at.Sub(began).String())
		}
		slices.Sort(order)
		if got := strings.Join(order, ", "); got != "one 0s, other 0s, two 10s" {
			t.Errorf("requests %s", got)
		}
	})
}

// TestProbeOutlivesScrape checks that a scrape returns at its deadline or with its client, and that the next one shares
// the probe that went on, and shows its result.
func TestProbeOutlivesScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: answerWithUse, latency: 8 * time.Second}
		m := start(t, configOf("a/one"), api, nil, state.Content{})
		began := time.Now()
		s := scrapeFor(t, m, 2*time.Second)
		if time.Since(began) != 2*time.Second || s.Tokens[0].Probed {
			t.Errorf("the scrape took %s: %+v", time.Since(began), s.Tokens[0])
		}
		if scrapeFor(t, m, time.Second); time.Since(began) != 3*time.Second {
			t.Errorf("the scrape whose client left ended after %s", time.Since(began))
		}
		if s := scrapeAll(t, m); s.Tokens[0].Verdict != probe.VerdictValid || api.count("") != 1 {
			t.Errorf("after the probe ended: %+v, %d requests", s.Tokens[0], api.count(""))
		}
	})
}

// TestConfirmation checks that a first denial is confirmed a second later, whether or not the scrape waits, and that the
// account's other tokens are looked at next.
func TestConfirmation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		revoked := false
		api := &fakeAPI{latency: time.Second, answer: func(secret string) probe.Outcome {
			o := answerWithUse(secret)
			if revoked {
				o.Result = probe.Rejected
			}
			return o
		}}
		m := start(t, configOf("a/one", "a/two"), api, nil, state.Content{})
		s := scrapeAll(t, m)
		revoked = true
		time.Sleep(time.Until(s.Tokens[0].NextProbe))
		began := time.Now()
		scrapeFor(t, m, 500*time.Millisecond)
		time.Sleep(2 * time.Second)
		if one := m.Snapshot().Tokens[0]; one.Pending != probe.Rejected || one.Verdict != probe.VerdictValid {
			t.Errorf("after the first denial: %+v", one)
		}
		time.Sleep(time.Second)
		s = m.Snapshot()
		one, two := s.Tokens[0], s.Tokens[1]
		if one.Verdict != probe.VerdictDenied || one.Reason != probe.Rejected || one.VerdictSince.Sub(began) != 3*time.Second {
			t.Errorf("after the second denial: %+v", one)
		}
		if two.NextProbe.After(time.Now()) {
			t.Errorf("the other token is probed only at %s", two.NextProbe)
		}
		if two = scrapeAll(t, m).Tokens[1]; two.Verdict != probe.VerdictDenied {
			t.Errorf("the other token: %+v", two)
		}
	})
}

// TestWholeAccountDenied checks that the denials of all tokens of an account cost two requests each, and no third one
// because of each other.
func TestWholeAccountDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Locked), latency: 300 * time.Millisecond}
		m := start(t, configOf(numbered(10)...), api, nil, state.Content{})
		for range 3 {
			scrapeAll(t, m)
			time.Sleep(time.Second)
		}
		if n := api.count(""); n != 20 {
			t.Errorf("%d requests for 10 tokens that are denied, want 20", n)
		}
	})
}

// TestUnsent checks that a request that did not leave costs nothing and is tried again by the next scrape.
func TestUnsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		api := &fakeAPI{answer: func(string) probe.Outcome {
			tries++
			return probe.Outcome{Result: probe.Unreachable, Message: "no route"}
		}}
		m := start(t, configOf("a/one"), api, nil, state.Content{})
		for range 3 {
			scrapeAll(t, m)
			time.Sleep(time.Minute)
		}
		s := scrapeAll(t, m)
		if tries != 4 || s.Accounts[0].BudgetUsed != 0 || s.Unanswered.Probes != 4 || s.Unanswered.Since != s.Tokens[0].Configured ||
			len(s.Tokens[0].History) != 1 {
			t.Errorf("%d tries, %d requests counted, %+v, history %v",
				tries, s.Accounts[0].BudgetUsed, s.Unanswered, s.Tokens[0].History)
		}
		api.answer = answerWithUse
		if s := scrapeAll(t, m); s.Unanswered.Probes != 0 || s.Tokens[0].Verdict != probe.VerdictValid {
			t.Errorf("after an answer: %+v", s)
		}
	})
}

// TestSlots checks that max_concurrency bounds the probes under way, that waiting is not in the duration, and that probes
// that wait are given back once an answer holds the account.
func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: answerWithUse, latency: time.Second}
		cfg := configOf(numbered(7)...)
		cfg.MaxConcurrency = 2
		m := start(t, cfg, api, nil, state.Content{})
		began := time.Now()
		s := scrapeAll(t, m)
		if took := time.Since(began); took != 4*time.Second { // one, then six by two
			t.Errorf("the scrape took %s", took)
		}
		for _, tok := range s.Tokens {
			if tok.Last.Duration != time.Second {
				t.Errorf("the duration of %s is %s", tok.Name, tok.Last.Duration)
			}
		}
		answers := 0
		api.answer = func(string) probe.Outcome {
			if answers++; answers > 1 {
				return probe.Outcome{Result: probe.QuotaExhausted, Sent: true}
			}
			return answerWithUse("")
		}
		time.Sleep(2 * s.Tokens[0].Interval) // all are due
		s = scrapeAll(t, m)
		if answers > 3 || s.Accounts[0].BudgetUsed != int64(7+answers) {
			t.Errorf("%d answers, %d requests counted", answers, s.Accounts[0].BudgetUsed)
		}
	})
}

// TestSecrets checks a source that cannot be read, one that can again, and a secret that changes, also during a hold.
func TestSecrets(t *testing.T) {
	t.Setenv("TEST_SECRET", "")
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: answerWithUse}
		cfg := configOf("a/one")
		cfg.Tokens[0].Source = config.EnvSource("TEST_SECRET")
		m := start(t, cfg, api, nil, state.Content{})
		set := func(secret string) TokenState {
			_ = os.Setenv("TEST_SECRET", secret)
			time.Sleep(10 * time.Second)
			return scrapeAll(t, m).Tokens[0]
		}
		s := set("")
		if s.Last.Result != probe.NoToken || s.Last.Message == "" || api.count("") != 0 || m.Snapshot().Unanswered.Probes != 0 {
			t.Errorf("an empty source: %+v, %d requests", s, api.count(""))
		}
		if s = set("first"); s.Verdict != probe.VerdictValid {
			t.Errorf("a source that can be read: %+v", s)
		}
		if s = set(""); s.Verdict != probe.VerdictValid || s.Last.Result != probe.NoToken {
			t.Errorf("a source that cannot be read any more: %+v", s)
		}
		if s = set("first"); s.Last.Result != probe.Valid || api.count("first") != 2 {
			t.Errorf("a source that can be read again: %+v, %d requests", s, api.count("first"))
		}
		api.answer = always(probe.QuotaExhausted)
		if s = set("second"); s.Verdict != probe.VerdictUnknown || s.Last.Result != probe.QuotaExhausted {
			t.Errorf("another secret: %+v", s)
		}
		if s = set("third"); s.Verdict != probe.VerdictUnknown || !s.SecretChanged() || api.count("third") != 0 {
			t.Errorf("another secret during a hold: %+v", s)
		}
	})
}

// TestSecretChangesDuringProbe checks that an answer to the old secret says nothing about the new one.
func TestSecretChangesDuringProbe(t *testing.T) {
	t.Setenv("TEST_SECRET", "old")
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{latency: 5 * time.Second, answer: func(secret string) probe.Outcome {
			if secret == "old" {
				return probe.Outcome{Result: probe.Rejected, Sent: true}
			}
			return answerWithUse(secret)
		}}
		cfg := configOf("a/one")
		cfg.Tokens[0].Source = config.EnvSource("TEST_SECRET")
		m := start(t, cfg, api, nil, state.Content{})
		scrapeFor(t, m, time.Second)
		_ = os.Setenv("TEST_SECRET", "new")
		s := scrapeAll(t, m) // the probe of the old secret is under way
		if s.Tokens[0].Verdict != probe.VerdictUnknown {
			t.Errorf("during the change: %+v", s.Tokens[0])
		}
		if s = scrapeAll(t, m); s.Tokens[0].Verdict != probe.VerdictValid || s.Tokens[0].Pending != probe.Valid {
			t.Errorf("after the change: %+v", s.Tokens[0])
		}
	})
}

// TestSetUp checks that after a start or a reload every scrape probes every token, for ten minutes and as far as half of
// the extra turns allow, and that a token that is not valid is looked at again.
func TestSetUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: answerWithUse}
		cfg := configOf("a/one")
		m := start(t, cfg, api, nil, state.Content{})
		m.BeginSetUp()
		for range 30 {
			scrapeAll(t, m)
			time.Sleep(5 * time.Second)
		}
		if n := api.count(""); n != 15 {
			t.Errorf("%d requests by 30 scrapes in 150 s, want one every 10 s", n)
		}
		time.Sleep(8 * time.Minute)
		scrapeAll(t, m) // its turn
		m.LookAgain()
		if scrapeAll(t, m); api.count("") != 16 {
			t.Errorf("%d requests after ten minutes, want one: the token is valid", api.count("")-15)
		}
		m.Reload(cfg)
		if time.Sleep(10 * time.Second); scrapeAll(t, m).Tokens[0].Results[probe.Valid] != 17 {
			t.Error("a reload does not probe again, or loses the counters")
		}
	})
}

// TestReload checks what tokens and accounts keep.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: answerWithUse}
		m := start(t, configOf("a/one", "a/two", "b/three"), api, nil, state.Content{})
		scrapeAll(t, m)
		changed := configOf("a/one", "c/three", "a/four")
		changed.Tokens[0].Source = config.InlineSource(config.NewSecret("other"))
		changed.Tokens[0].Labels = []config.Label{{Name: "team", Value: "growth"}}
		m.Reload(changed)
		s := m.Snapshot()
		if one := s.Tokens[0]; one.Verdict != probe.VerdictUnknown || len(one.Labels) != 1 {
			t.Errorf("a token of another source: %+v", one)
		}
		if three := s.Tokens[1]; three.Verdict != probe.VerdictValid || three.Account != "c" {
			t.Errorf("a token that moved: %+v", three)
		}
		if len(m.Snapshot("two").Tokens) != 0 || len(m.Snapshot("four").Tokens) != 1 || len(s.Accounts) != 2 || s.Accounts[0].BudgetUsed != 2 || s.Accounts[1].BudgetUsed != 0 {
			t.Errorf("accounts %+v", s.Accounts)
		}
		m.Reload(configOf("b/three"))
		if used := m.Snapshot().Accounts[0].BudgetUsed; used != 1 {
			t.Errorf("an account that came back has used %d requests, want 1", used)
		}
	})
}

// TestClose checks that Close cancels probes, which then have no results, and ends scrapes at once.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Timeout), latency: time.Hour}
		cfg := configOf(numbered(3)...)
		cfg.MaxConcurrency = 1
		store := &memoryStore{}
		m := start(t, cfg, api, store, state.Content{})
		time.AfterFunc(3*time.Minute, m.Close)
		began := time.Now()
		s := scrapeAll(t, m)
		synctest.Wait()
		if time.Since(began) != 3*time.Minute || s.Tokens[0].Probed || m.Snapshot().Tokens[0].Probed {
			t.Errorf("after %s: %+v", time.Since(began), s.Tokens[0])
		}
		// The requests count, but the tokens are as new as before: the next process probes them.
		if saved := store.load(t); saved.Accounts[0].Used != 1 || saved.Tokens[0].Sent || saved.Tokens[1].Sent {
			t.Errorf("saved %+v", saved)
		}
	})
}

// TestLog checks the lines about verdicts and holds: each change is one line, repetition is none.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		script := []probe.Result{
			probe.Valid, probe.Timeout, probe.Timeout, probe.Rejected, probe.Rejected, probe.Valid, probe.Rejected, probe.Valid,
			probe.RateLimited,
		}
		api := &fakeAPI{answer: func(string) probe.Outcome {
			result := script[0]
			script = script[1:]
			return probe.Outcome{Result: result, Sent: true, Message: "said " + result.String()}
		}}
		logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "until" {
				return slog.Attr{}
			}
			return a
		}}))
		m := New(configOf("a/one"), Options{NewProber: api.newProber, Logger: logger})
		defer m.Close()
		for len(script) > 0 {
			m.LookAgain()
			scrapeAll(t, m)
			time.Sleep(10 * time.Minute)
		}
		want := `level=INFO msg="Token is valid" token=one account=a result=valid http_status=0 reason="said valid"
level=WARN msg="Token could not be judged" token=one account=a result=timeout http_status=0 reason="said timeout"
level=INFO msg="Token was denied; probing again to confirm" token=one account=a result=rejected http_status=0 reason="said rejected"
level=WARN msg="Token is denied" token=one account=a result=rejected http_status=0 reason="said rejected"
level=INFO msg="Token is valid" token=one account=a result=valid http_status=0 reason="said valid"
level=INFO msg="Token was denied; probing again to confirm" token=one account=a result=rejected http_status=0 reason="said rejected"
level=INFO msg="Denial was not confirmed; that changes no verdict" token=one account=a result=valid http_status=0 reason="said valid"
level=WARN msg="Probes of the account are held" account=a reason=rate_limited
level=WARN msg="Token could not be judged" token=one account=a result=rate_limited http_status=0 reason="said rate_limited"
`
		if got := log.String(); got != want {
			t.Errorf("logged\n%s\nwant\n%s", got, want)
		}
	})
}
