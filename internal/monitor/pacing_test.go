package monitor

import (
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// accountOf returns an account with n tokens that were configured at noon.
func accountOf(n int, settings config.Pacing) *account {
	a := (&Monitor{accounts: make(map[string]*account)}).accountLocked("", settings)
	a.tokens = make([]*token, n)
	for i := range a.tokens {
		a.tokens[i] = &token{account: a, place: i}
		a.tokens[i].Configured, a.tokens[i].LastTurn = noon, a.initialLastTurn(i, noon)
	}
	return a
}

var usual = config.Pacing{QuotaShare: 0.25, AssumedDailyLimit: 1000, Reserve: 0.05}

// TestHolds checks for how long an answer holds the probes of an account.
func TestHolds(t *testing.T) {
	used := func(used, limit int64) probe.Quota {
		return probe.Quota{Used: used, UsedOK: true, Limit: limit, LimitOK: limit > 0}
	}
	type answer = probe.Outcome
	for _, test := range []struct {
		name   string
		answer answer
		reason HoldReason
		length time.Duration
	}{
		{"420", answer{Result: probe.QuotaExhausted}, QuotaExhausted, 12 * time.Hour},
		{"420 of yesterday's last minutes", answer{Result: probe.QuotaExhausted, ServerTime: noon.Add(-12*time.Hour - 5*time.Minute)},
			QuotaExhausted, 5 * time.Minute},
		{"limit reached a moment after midnight", answer{Result: probe.Valid, Quota: used(1000, 1000),
			ServerTime: noon.Add(-12*time.Hour + 5*time.Second)}, QuotaExhausted, 15 * time.Minute},
		{"denied at the assumed limit", answer{Result: probe.Locked, Quota: used(1000, 0)}, QuotaExhausted, 12 * time.Hour},
		{"429", answer{Result: probe.RateLimited}, RateLimited, 15 * time.Minute},
		{"429 for 20 s", answer{Result: probe.RateLimited, RetryAfter: 20 * time.Second}, RateLimited, 20 * time.Second},
		{"reserve", answer{Result: probe.Valid, Quota: used(1901, 2000), ServerTime: noon}, Reserve, 12 * time.Hour},
		{"at the reserve", answer{Result: probe.Valid, Quota: used(1900, 2000), ServerTime: noon}, NotHeld, 0},
	} {
		a := accountOf(1, usual)
		a.learn(test.answer, noon)
		reason, until := a.heldBy(noon)
		if reason != test.reason || reason != NotHeld && until.Sub(noon) != test.length {
			t.Errorf("%s: held by %q for %s, want %q for %s", test.name, reason, until.Sub(noon), test.reason, test.length)
		}
		if reason == NotHeld {
			continue
		}
		if _, ok := a.take(a.tokens[0], until.Add(-1)); ok && reason != Reserve {
			t.Errorf("%s: a request is granted during the hold", test.name)
		}
		if _, ok := a.take(a.tokens[0], until); !ok {
			t.Errorf("%s: no request is granted after the hold", test.name)
		}
	}
}

// TestHoldsTogether checks that a shorter hold does not end a longer one, nor does an answer that was under way, and that
// what a wrong clock made is dropped.
func TestHoldsTogether(t *testing.T) {
	a := accountOf(1, usual)
	a.learn(probe.Outcome{Result: probe.QuotaExhausted}, noon)
	for _, answer := range []probe.Outcome{{Result: probe.RateLimited, RetryAfter: time.Minute}, outcome(probe.Valid)} {
		a.learn(answer, noon)
		if reason, _ := a.heldBy(noon.Add(time.Hour)); reason != QuotaExhausted {
			t.Errorf("held by %q after %+v", reason, answer)
		}
	}
	a.Hold.Until, a.Excused, a.Report = noon.Add(day+1), noon.Add(day+1), state.Report{Used: 999, Until: noon.Add(day + 1)}
	a.rollOver(noon)
	if reason, until := a.heldBy(noon); reason != NotHeld || !a.Excused.IsZero() {
		t.Errorf("held by %q until %s", reason, until)
	}
}

// TestOwnRequestsCount checks that requests since the last report count, so that the last requests of the day are left
// even if answers are slow, and that a request that waits for a slot is given back once an answer stops it.
func TestOwnRequestsCount(t *testing.T) {
	a := accountOf(5, config.Pacing{QuotaShare: 1, AssumedDailyLimit: 1000})
	a.learn(probe.Outcome{Quota: probe.Quota{Used: 997, UsedOK: true}}, noon)
	var grants []grant
	for _, tok := range a.tokens {
		if g, ok := a.take(tok, noon); ok {
			grants = append(grants, g)
		}
	}
	a.learn(probe.Outcome{Quota: probe.Quota{Used: 999, UsedOK: true}}, noon) // another program was faster
	for i, g := range grants {
		a.inFlight--
		a.giveBack(a.tokens[i], g)
		if _, ok := a.take(a.tokens[i], noon); ok != (i == 2) {
			t.Errorf("request %d of 3 is sent: %v", i, ok)
		}
	}
	if len(grants) != 3 || a.Used != 1 || a.ExtraUsed != 1 || a.Report.Since != 1 || a.inFlight != 1 {
		t.Errorf("one was sent: %+v, %d in flight", a.Account, a.inFlight)
	}
}

// TestGiveBack checks that a request that was not sent leaves no trace, but for news that came meanwhile.
func TestGiveBack(t *testing.T) {
	before := state.Turns{LastTurn: noon.Add(-time.Hour), SecretTried: true, Missed: true, Requested: noon.Add(-time.Minute)}
	withNews, unsent := before, before
	withNews.LookAgain, unsent.SecretTried = true, false
	for _, test := range []struct {
		name      string
		meanwhile func(*account, *token)
		want      state.Turns
		used      int64
	}{
		{"nothing", func(*account, *token) {}, before, 0},
		{"news", func(a *account, _ *token) { a.lookAgain(func(*token) bool { return true }) }, withNews, 0},
		{"midnight", func(a *account, _ *token) { a.take(a.tokens[1], noon.Add(13*time.Hour)) }, before, 1},
		{"another secret", func(_ *account, tok *token) { tok.useSecret("two", noon) }, unsent, 0},
	} {
		a := accountOf(2, usual)
		tok := a.tokens[0]
		tok.useSecret("one", noon)
		tok.Turns = before
		r, ok := a.take(tok, noon)
		ok = ok && !tok.Missed // while it is under way, no other answer calls for another look
		test.meanwhile(a, tok)
		a.giveBack(tok, r)
		if !ok || tok.Turns != test.want || a.Used != test.used || a.ExtraUsed != 0 {
			t.Errorf("%s: %+v, %+v, want %+v, %d used", test.name, tok.Turns, a.Account, test.want, test.used)
		}
	}
}

// TestVerdictDue checks by when an answer should confirm a verdict: used-up quotas and budgets excuse, also afterwards.
func TestVerdictDue(t *testing.T) {
	interval, midnight := accountOf(1, usual).interval(noon), noon.Add(12*time.Hour)
	for _, test := range []struct {
		name    string
		verdict time.Time
		used    int64
		answers []probe.Result // at noon and 13 hours later
		want    time.Time
	}{
		{"no verdict", time.Time{}, 0, nil, noon.Add(interval)},
		{"verdict", noon.Add(time.Hour), 0, nil, noon.Add(time.Hour + interval)},
		{"quota, then a pause", noon, 0, []probe.Result{probe.QuotaExhausted, probe.RateLimited}, midnight},
		{"pause", noon, 0, []probe.Result{probe.RateLimited}, noon.Add(interval)},
		{"budget", noon, 250, nil, midnight},
		{"budget, confirmed since", midnight.Add(time.Hour), 250, nil, midnight.Add(time.Hour + interval)},
	} {
		a, now := accountOf(1, usual), noon
		a.rollOver(now)
		a.Used, a.tokens[0].VerdictTime = test.used, test.verdict
		for _, result := range append(test.answers, probe.ServerError) {
			a.learn(probe.Outcome{Result: result}, now)
			a.rollOver(now) // as each scrape does
			now = now.Add(13 * time.Hour)
		}
		if due := a.verdictDue(a.tokens[0], now); !due.Equal(test.want) {
			t.Errorf("%s: due at %s, want %s", test.name, due, test.want)
		}
	}
}
