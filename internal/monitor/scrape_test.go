package monitor

import (
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// TestScrape checks that a scrape probes every new token once, first one of the account alone, whose answer reports
// the account's use, and that the next scrapes wait for their turns.
func TestScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{latency: time.Second, answer: always(probe.Valid)}
		m := start(t, configOf("a/one", "a/two", "a/three"), api, nil)
		s := m.Scrape(t.Context())
		slices.Sort(api.requests)
		if got := strings.Join(api.requests, ", "); got != "one 0s, three 1s, two 1s" {
			t.Errorf("requests %s", got)
		}
		one, a := s.Tokens[0], s.Accounts[0]
		if one.Verdict != probe.VerdictValid || one.Last.Duration != time.Second || one.Results[probe.Valid] != 1 {
			t.Errorf("token %+v", one)
		}
		if a.BudgetUsed != 3 || a.Budget != 250 || a.Quota.Used != 1 || a.Held != NotHeld || a.Durations.GetSampleCount() != 3 {
			t.Errorf("account %+v", a)
		}
		if interval := 3 * day / 200; a.Interval != interval || !one.NextProbe.Equal(one.Configured.Add(interval/3)) {
			t.Errorf("interval %s, next probe at %s", a.Interval, one.NextProbe)
		}
		m.Scrape(t.Context()) // it is nobody's turn
		time.Sleep(one.Interval / 3)
		if m.Scrape(t.Context()); len(api.requests) != 4 || m.accounts["a"].inFlight != 0 {
			t.Errorf("%d probes after the first turn, want 4; %d in flight", len(api.requests), m.accounts["a"].inFlight)
		}
		midnight := one.Configured.Truncate(day).Add(day)
		time.Sleep(time.Until(midnight)) // all are due, and the use of the new day is not known
		if m.Scrape(t.Context()); time.Since(midnight) != 2*time.Second {
			t.Errorf("the first scrape of a day took %s", time.Since(midnight))
		}
	})
}

// TestOrder checks who gets the extra turns of a day if they do not suffice for all.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid)}
		cfg := configOf("a/rest", "a/again", "a/new")
		cfg.Pacing.QuotaShare = 0.005 // one extra turn
		m := start(t, cfg, api, nil)
		m.accounts["a"].started = m.Now()
		m.tokens[0].SecretTried, m.tokens[1].SecretTried, m.tokens[1].LookAgain = true, true, true
		m.tokens[0].Requested = time.Time{}
		for range 3 {
			m.accounts["a"].ExtraUsed = 0
			m.Scrape(t.Context())
		}
		if got := strings.Join(api.requests, ", "); got != "new 0s, again 0s, rest 0s" {
			t.Errorf("requests %s", got)
		}
	})
}

// TestProbesOutliveScrapes checks that scrapes return at their deadline, and share the probes under way, which go on
// when nobody waits. Those that wait for the first probe of their account begin when it has ended, whatever it answered.
func TestProbesOutliveScrapes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Timeout), latency: 10 * time.Second}
		m := start(t, configOf("a/one", "a/two", "b/other"), api, nil)
		began := time.Now()
		for _, names := range [][]string{{"one"}, {"two"}, nil} {
			go scrapeFor(t, m, 4*time.Second, names...)
			synctest.Wait()
		}
		if s := scrapeFor(t, m, 5*time.Second); time.Since(began) != 5*time.Second || s.Tokens[0].Probed {
			t.Errorf("the scrape took %s: %+v", time.Since(began), s.Tokens[0])
		}
		time.Sleep(15 * time.Second)
		synctest.Wait()
		slices.Sort(api.requests)
		if got := strings.Join(api.requests, ", "); got != "one 0s, other 0s, two 10s" {
			t.Errorf("requests %s", got)
		}
		if s := m.Snapshot(); !s.Tokens[0].Probed || !s.Tokens[1].Probed || !s.Tokens[2].Probed {
			t.Errorf("after the probes ended: %+v", s.Tokens)
		}
	})
}

// TestConfirmation checks that a first denial is confirmed a second later, whether or not the scrape waits, and that the
// account's other tokens are looked at next, but not over and over because of each other.
func TestConfirmation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{latency: time.Second, answer: always(probe.Valid)}
		m := start(t, configOf("a/one", "a/two", "a/three"), api, nil)
		s := m.Scrape(t.Context())
		api.answer = always(probe.Rejected)
		time.Sleep(time.Until(s.Tokens[0].NextProbe))
		began := time.Now()
		scrapeFor(t, m, 500*time.Millisecond)
		time.Sleep(3 * time.Second)
		one := m.Snapshot().Tokens[0]
		if one.Verdict != probe.VerdictDenied || one.Reason != probe.Rejected || one.VerdictSince.Sub(began) != 3*time.Second {
			t.Errorf("after the second denial: %+v", one)
		}
		s = m.Scrape(t.Context()) // at 3.5 s, which takes another 3 s for both
		if s.Tokens[1].Verdict != probe.VerdictDenied || s.Tokens[2].VerdictSince.Sub(began) != 6500*time.Millisecond {
			t.Errorf("the other tokens: %+v", s.Tokens)
		}
		if m.Scrape(t.Context()); len(api.requests) != 3+6 {
			t.Errorf("%q: want two for each denial", api.requests)
		}
	})
}

// TestUnsent checks that a request that did not leave costs nothing and is tried again by the next scrape.
func TestUnsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		api := &fakeAPI{answer: func(string) probe.Outcome {
			tries++
			return probe.Outcome{Result: probe.Unreachable}
		}}
		m := start(t, configOf("a/one"), api, nil)
		for range 3 {
			m.Scrape(t.Context())
			time.Sleep(time.Minute)
		}
		s := m.Scrape(t.Context())
		if tries != 4 || s.Accounts[0].BudgetUsed != 0 || s.Unanswered.Probes != 4 || s.Unanswered.Since != s.Tokens[0].Configured {
			t.Errorf("%d tries, %d requests counted, %+v", tries, s.Accounts[0].BudgetUsed, s.Unanswered)
		}
		api.answer = always(probe.Valid)
		s = m.Scrape(t.Context())
		if s.Unanswered.Probes != 0 || s.Tokens[0].Verdict != probe.VerdictValid || s.CertificateExpiry != noon {
			t.Errorf("after an answer: %+v", s)
		}
	})
}

// TestSlots checks that max_concurrency bounds the probes under way, that waiting is not in the duration, and that probes
// that wait are given back once an answer holds the account.
func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid), latency: time.Second}
		cfg := configOf(numbered(7)...)
		cfg.MaxConcurrency = 2
		m := start(t, cfg, api, nil)
		began := time.Now()
		s := m.Scrape(t.Context())
		took, last := time.Since(began), s.Tokens[6].Last.Duration
		if took != 4*time.Second || last != time.Second { // one, then six by two
			t.Errorf("the scrape took %s, its last probe %s", took, last)
		}
		time.Sleep(2 * s.Tokens[0].Interval) // all are due
		api.answer = func(string) probe.Outcome {
			api.answer = always(probe.QuotaExhausted)
			return outcome(probe.Valid)
		}
		s = m.Scrape(t.Context())
		if n := len(api.requests) - 7; n > 3 || s.Accounts[0].BudgetUsed != int64(7+n) {
			t.Errorf("%d requests, %d counted", n, s.Accounts[0].BudgetUsed-7)
		}
	})
}

// TestSecrets checks a source that cannot be read, one that can again, and a secret that changes, also during a probe and
// during a hold.
func TestSecrets(t *testing.T) {
	t.Setenv("TEST_SECRET", "")
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid), latency: 5 * time.Second}
		cfg := configOf("a/one")
		cfg.Tokens[0].Source = config.EnvSource("TEST_SECRET")
		m := start(t, cfg, api, nil)
		set := func(secret string) TokenState {
			_ = os.Setenv("TEST_SECRET", secret)
			time.Sleep(10 * time.Second)
			return m.Scrape(t.Context()).Tokens[0]
		}
		s := set("")
		if s.Last.Result != probe.NoToken || s.Last.Message == "" || s.Results[probe.NoToken] != 0 ||
			len(api.requests) != 0 || m.Snapshot().Unanswered.Probes != 0 {
			t.Errorf("an empty source: %+v, %q", s, api.requests)
		}
		set("first")
		if s = set(""); s.Verdict != probe.VerdictValid || s.Last.Result != probe.NoToken {
			t.Errorf("a source that cannot be read any more: %+v", s)
		}
		if s = set("first"); s.Last.Result != probe.Valid || len(api.requests) != 2 {
			t.Errorf("a source that can be read again: %+v, %q", s, api.requests)
		}
		api.answer = always(probe.Rejected)
		_ = os.Setenv("TEST_SECRET", "second")
		scrapeFor(t, m, time.Second)
		_ = os.Setenv("TEST_SECRET", "third")
		if s = m.Scrape(t.Context()).Tokens[0]; s.Verdict != probe.VerdictUnknown || s.Pending != probe.Valid || s.Probed {
			t.Errorf("another secret during a probe: %+v", s)
		}
		api.answer = always(probe.QuotaExhausted)
		if s = set("third"); s.Verdict != probe.VerdictUnknown || s.Last.Result != probe.QuotaExhausted {
			t.Errorf("another secret: %+v", s)
		}
		if s = set("fourth"); !s.SecretChanged() || time.Since(s.Configured) != 0 || len(api.requests) != 4 {
			t.Errorf("another secret during a hold: %+v, %q", s, api.requests)
		}
	})
}

// TestSetUp checks that after a start or a reload every scrape probes every token, and that a person can have those that
// are not valid looked at again. Else they wait for their turns.
func TestSetUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		results := map[string]probe.Result{"one": probe.Valid, "two": probe.Rejected}
		api := &fakeAPI{answer: func(secret string) probe.Outcome { return outcome(results[secret]) }}
		cfg := configOf("a/one", "a/two")
		m := start(t, cfg, api, nil)
		for _, step := range []struct {
			why      string
			do       func()
			wait     time.Duration
			one, two uint64 // probes since the start
		}{
			{"start", m.BeginSetUp, 0, 1, 2},
			{"set-up time", func() {}, setUpPause, 2, 3},
			{"turn", func() {}, day, 3, 4},
			{"nothing", func() {}, setUpPause, 3, 4},
			{"look again", m.LookAgain, 0, 3, 5},
			{"reload", func() { m.Reload(cfg) }, 0, 4, 6},
		} {
			step.do()
			time.Sleep(step.wait)
			s := m.Scrape(t.Context())
			if one, two := s.Tokens[0].Results[probe.Valid], s.Tokens[1].Results[probe.Rejected]; one != step.one || two != step.two {
				t.Errorf("%s: %d and %d probes, want %d and %d", step.why, one, two, step.one, step.two)
			}
		}
	})
}

// TestReload checks what tokens and accounts keep.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := start(t, configOf("a/one", "a/two", "b/three"), &fakeAPI{answer: always(probe.Valid)}, nil)
		m.Scrape(t.Context())
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
		if len(m.Snapshot("two").Tokens) != 0 || len(m.Snapshot("four").Tokens) != 1 {
			t.Errorf("tokens %+v", s.Tokens)
		}
		if len(s.Accounts) != 2 || s.Accounts[0].BudgetUsed != 2 || s.Accounts[1].BudgetUsed != 0 {
			t.Errorf("accounts %+v", s.Accounts)
		}
		m.Reload(configOf("b/three"))
		if used := m.Snapshot().Accounts[0].BudgetUsed; used != 1 {
			t.Errorf("an account that came back has used %d requests, want 1", used)
		}
	})
}

// TestReserve checks that within the reserve the tokens of an account share one probe per hour, also at their first start,
// and that all are probed when it ends.
func TestReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := make([]int, 24) // by the hour of the day
		api := &fakeAPI{answer: func(string) probe.Outcome {
			requests[time.Now().UTC().Hour()]++
			o := outcome(probe.Valid)
			if o.ServerTime = time.Now(); o.ServerTime.UTC().Day() == 1 {
				o.Quota.Used = 951
			}
			return o
		}}
		time.Sleep(20 * time.Hour)
		m := start(t, configOf(numbered(10)...), api, nil)
		for range 241 {
			m.Scrape(t.Context())
			time.Sleep(time.Minute)
		}
		if want := [24]int{0: 10, 20: 1, 21: 1, 22: 1, 23: 1}; [24]int(requests) != want {
			t.Errorf("requests by the hour %v, want %v", requests, want)
		}
	})
}

// TestTurnsAreSpread checks that the turns of an account are about evenly apart, also after a reload that adds or removes
// tokens. They should be 7.2 minutes apart, but one may be due just now.
func TestTurnsAreSpread(t *testing.T) {
	for _, test := range []struct{ before, after int }{{10, 20}, {25, 50}, {10, 11}, {20, 10}, {1, 1}} {
		synctest.Test(t, func(t *testing.T) {
			m := start(t, configOf(numbered(test.before)...), &fakeAPI{answer: always(probe.Valid)}, nil)
			for end := time.Now().Add(day); time.Now().Before(end); time.Sleep(time.Minute) {
				m.Scrape(t.Context())
			}
			m.Reload(configOf(numbered(test.after)...))
			var turns []time.Time // the next of each token, and the first one's after that
			for _, s := range m.tokens {
				turns = append(turns, s.LastTurn.Add(m.accounts["a"].interval(m.Now())))
			}
			slices.SortFunc(turns, time.Time.Compare)
			turns = append(turns, turns[0].Add(m.accounts["a"].interval(m.Now())))
			for i := range test.after {
				if apart := turns[i+1].Sub(turns[i]); apart > 15*time.Minute {
					t.Errorf("%d to %d tokens: turns are %s apart", test.before, test.after, apart)
				}
			}
		})
	}
}

// TestClose checks that Close cancels probes, which then have no results, and ends scrapes at once.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Timeout), latency: time.Hour}
		cfg := configOf(numbered(3)...)
		cfg.MaxConcurrency = 1
		store := &memoryStore{}
		m := start(t, cfg, api, store)
		time.AfterFunc(3*time.Minute, m.Close)
		began := time.Now()
		s := m.Scrape(t.Context())
		if synctest.Wait(); time.Since(began) != 3*time.Minute || s.Tokens[0].Probed || m.Snapshot().Tokens[0].Probed {
			t.Errorf("after %s: %+v", time.Since(began), s.Tokens[0])
		}
		// What was sent counts; what waited for a slot is given back.
		if saved := store.load(t); saved.Accounts[0].Used != 1 || !saved.Tokens[0].SecretTried || saved.Tokens[1].SecretTried {
			t.Errorf("saved %+v", saved)
		}
		store.saved = ""
		m.LookAgain()
		m.Scrape(t.Context())
		if synctest.Wait(); store.saved != "" {
			t.Error("something is saved after the end")
		}
	})
}

// TestLog checks the lines about answers and holds. TestRecordTimes has the messages.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		api := &fakeAPI{}
		m := New(configOf("a/one"), Options{NewProber: api.newProber, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		defer m.Close()
		for _, result := range []probe.Result{probe.Valid, probe.Valid, probe.Timeout, probe.Timeout, probe.RateLimited} {
			api.answer = func(string) probe.Outcome {
				return probe.Outcome{Result: result, Sent: true, HTTPStatus: 123, Message: "said"}
			}
			time.Sleep(10 * time.Minute) // a turn
			m.Scrape(t.Context())
		}
		time.Sleep(time.Second) // another answer, which holds the account a second longer
		m.complete(&call{token: m.tokens[0], account: m.accounts["a"]}, outcome(probe.RateLimited), nil)
		want := `level=INFO msg="Token is valid" token=one account=a result=valid http_status=123 message=said
level=WARN msg="Token could not be judged" token=one account=a result=timeout http_status=123 message=said
level=WARN msg="Probes of the account are held" account=a reason=rate_limited
level=WARN msg="Token could not be judged" token=one account=a result=rate_limited http_status=123 message=said
`
		if got := regexp.MustCompile(`time=\S+ | until=\S+`).ReplaceAllString(log.String(), ""); got != want {
			t.Errorf("logged\n%s\nwant\n%s", got, want)
		}
	})
}
