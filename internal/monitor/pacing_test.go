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
	a := &account{settings: settings}
	for range n {
		a.tokens = append(a.tokens, &token{account: a})
	}
	for i, t := range a.tokens {
		t.Configured, t.LastTurn = noon, a.initialLastTurn(i, noon)
	}
	return a
}

var usual = config.Pacing{QuotaShare: 0.25, AssumedDailyLimit: 1000, Reserve: 0.05}

func TestBudgetAndInterval(t *testing.T) {
	for _, test := range []struct {
		tokens        int
		share         float64
		limit         int64
		minInterval   time.Duration
		budget, extra int64
		interval      time.Duration
	}{
		{10, 0.25, 1000, 0, 250, 50, 72 * time.Minute},
		{1, 0.25, 1000, time.Hour, 250, 50, time.Hour},
		{1, 0.29, 100, 0, 29, 6, 24 * time.Hour / 23},
		{1, 0.01, 10, 0, 1, 1, 24 * time.Hour},
		{2, 0.25, 8, 0, 2, 1, 48 * time.Hour},
		{1, 1, 0, 0, 7, 2, 24 * time.Hour / 5}, // before a report, of the assumed limit
		{1, 1, 1_000_000_000, 0, 1_000_000_000, 200_000_000, 108 * time.Microsecond},
	} {
		a := accountOf(test.tokens, config.Pacing{QuotaShare: test.share, AssumedDailyLimit: 7, MinInterval: test.minInterval})
		a.Limit = test.limit
		if b, e, x := a.budget(), a.extra(), a.interval(noon); b != test.budget || e != test.extra || x != test.interval {
			t.Errorf("%+v: budget %d, extra %d, interval %s", test, b, e, x)
		}
	}
}

// TestHolds checks for how long an answer holds the probes of an account. The API's clock is 5 minutes ahead of ours, or
// behind.
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
		{"valid", answer{Result: probe.Valid, Quota: used(500, 1000)}, NotHeld, 0},
		{"420", answer{Result: probe.QuotaExhausted}, QuotaExhausted, 12 * time.Hour},
		{"420, clock ahead", answer{Result: probe.QuotaExhausted, ServerTime: noon.Add(5 * time.Minute)}, QuotaExhausted,
			11*time.Hour + 55*time.Minute},
		{"420 of yesterday's last minutes", answer{Result: probe.QuotaExhausted, ServerTime: noon.Add(-12*time.Hour - 5*time.Minute)},
			QuotaExhausted, 5 * time.Minute},
		{"420 a moment after midnight", answer{Result: probe.QuotaExhausted, ServerTime: noon.Add(-12*time.Hour + 5*time.Second)},
			QuotaExhausted, 15 * time.Minute},
		{"limit reached a moment after midnight", answer{Result: probe.Valid, Quota: used(1000, 1000),
			ServerTime: noon.Add(-12*time.Hour + 5*time.Second)}, QuotaExhausted, 15 * time.Minute},
		{"limit reached", answer{Result: probe.Valid, Quota: used(1000, 1000), ServerTime: noon}, QuotaExhausted, 12 * time.Hour},
		{"assumed limit reached", answer{Result: probe.Valid, Quota: used(1000, 0)}, QuotaExhausted, 12 * time.Hour},
		{"denied at the limit", answer{Result: probe.Rejected, Quota: used(1001, 1000)}, QuotaExhausted, 12 * time.Hour},
		{"429", answer{Result: probe.RateLimited}, RateLimited, 15 * time.Minute},
		{"429 for 20 s", answer{Result: probe.RateLimited, RetryAfter: 20 * time.Second}, RateLimited, 20 * time.Second},
		{"429 for a week", answer{Result: probe.RateLimited, RetryAfter: 7 * day}, RateLimited, day},
		{"reserve", answer{Result: probe.Valid, Quota: used(951, 1000), ServerTime: noon}, Reserve, 12 * time.Hour},
		{"at the reserve", answer{Result: probe.Valid, Quota: used(950, 1000), ServerTime: noon}, NotHeld, 0},
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

// TestHoldsTogether checks that a shorter hold does not end a longer one, and that one that a wrong clock made is dropped.
func TestHoldsTogether(t *testing.T) {
	a := accountOf(1, usual)
	a.learn(probe.Outcome{Result: probe.QuotaExhausted, ServerTime: noon}, noon)
	a.learn(probe.Outcome{Result: probe.RateLimited, RetryAfter: time.Minute}, noon)
	if reason, _ := a.heldBy(noon.Add(time.Hour)); reason != QuotaExhausted {
		t.Errorf("after a 429 the hold of the 420 is %q", reason)
	}
	a.learn(probe.Outcome{Quota: probe.Quota{Used: 999, UsedOK: true, Limit: 1000, LimitOK: true}}, noon)
	if reason, _ := a.heldBy(noon.Add(time.Hour)); reason != QuotaExhausted {
		t.Errorf("after an answer that was under way the hold of the 420 is %q", reason)
	}
	a.Report, a.Hold.Until = state.Report{}, noon.Add(day+1)
	a.rollOver(noon)
	if reason, _ := a.heldBy(noon); reason != NotHeld {
		t.Errorf("held by %q for more than a day", reason)
	}
	a.learn(probe.Outcome{Result: probe.RateLimited}, noon)
	if reason, until := a.heldBy(noon); reason != RateLimited || until.Sub(noon) != defaultPause {
		t.Errorf("held by %q until %s", reason, until)
	}
}

// TestOwnRequestsCount checks that requests since the last report count, so that the last requests of the day are left
// even if answers are slow, and that a request that waits for a slot is given back once an answer stops it.
func TestOwnRequestsCount(t *testing.T) {
	a := accountOf(5, config.Pacing{QuotaShare: 1, AssumedDailyLimit: 1000})
	a.learn(probe.Outcome{Quota: probe.Quota{Used: 997, UsedOK: true, Limit: 1000, LimitOK: true}}, noon)
	var granted []grant
	for _, tok := range a.tokens {
		if r, ok := a.take(tok, noon); ok {
			granted = append(granted, r)
		}
	}
	if len(granted) != 3 {
		t.Fatalf("%d requests are granted, want the 3 that are left", len(granted))
	}
	a.learn(probe.Outcome{Quota: probe.Quota{Used: 999, UsedOK: true}}, noon) // another program was faster
	for i, want := range []bool{false, false, true} {
		a.inFlight--
		a.giveBack(a.tokens[i], granted[i])
		if _, ok := a.take(a.tokens[i], noon); ok != want {
			t.Errorf("request %d is sent: %v, want %v", i, ok, want)
		}
	}
	if a.Used != 1 || a.ExtraUsed != 1 || a.Report.Since != 1 || a.inFlight != 1 {
		t.Errorf("used %d, extra %d, since the report %d, in flight %d; one was sent",
			a.Used, a.ExtraUsed, a.Report.Since, a.inFlight)
	}
}

// TestGiveBack checks that a request that was not sent leaves no trace, but for news that came meanwhile.
func TestGiveBack(t *testing.T) {
	before := state.Turns{LastTurn: noon.Add(-time.Hour), Sent: true, Missed: true, Requested: noon.Add(-time.Minute)}
	withNews, unsent := before, before
	withNews.LookAgain, unsent.Sent = true, false
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
		test.meanwhile(a, tok)
		a.giveBack(tok, r)
		if !ok || tok.Turns != test.want || a.Used != test.used {
			t.Errorf("%s: %+v, %d used, want %+v, %d used", test.name, tok.Turns, a.Used, test.want, test.used)
		}
	}
}

// TestMissed checks that a token whose answer decided nothing is looked at again when an answer to another token does:
// once, and not in an outage.
func TestMissed(t *testing.T) {
	results := map[byte]probe.Result{'v': probe.Valid, 'r': probe.Rejected, 't': probe.Timeout}
	for _, test := range []struct {
		answers string // a digit is a token's place, the letter behind it its answer
		want    bool   // whether token 0 is looked at again
	}{
		{"0v1v", false},
		{"0t1t", false},
		{"0t1v", true},
		{"0v0t1v", true},
		{"0t1v0v1v", false},
		{"0t1v0t1v", false},
		{"0t1v0t0t1v", true},
		{"0r0t1v", true},
	} {
		a, now := accountOf(2, usual), noon
		for i := 0; i < len(test.answers); i += 2 {
			now = now.Add(a.interval(now))
			tok := a.tokens[test.answers[i]-'0']
			g, ok := a.take(tok, now)
			if !ok {
				t.Fatalf("%s: request %d is not granted", test.answers, i/2)
			}
			a.record(tok, g, probe.Outcome{Result: results[test.answers[i+1]], Sent: true, Start: now}, now)
		}
		if got := a.tokens[0].LookAgain; got != test.want {
			t.Errorf("%s: look again %v, want %v", test.answers, got, test.want)
		}
	}
}

// TestVerdictDue checks by when an answer should confirm a verdict: used-up quotas and budgets excuse, also afterwards.
func TestVerdictDue(t *testing.T) {
	interval, midnight := accountOf(1, usual).interval(noon), noon.Add(12*time.Hour)
	type answer = probe.Outcome
	for _, test := range []struct {
		name    string
		verdict time.Time
		used    int64
		answers []answer // at noon, and an hour after midnight
		want    time.Time
	}{
		{"no verdict", time.Time{}, 0, nil, noon.Add(interval)},
		{"verdict", noon.Add(time.Hour), 0, nil, noon.Add(time.Hour + interval)},
		{"quota", noon, 0, []answer{{Result: probe.QuotaExhausted}}, midnight},
		{"quota, then a pause", noon, 0, []answer{{Result: probe.QuotaExhausted}, {Result: probe.RateLimited}}, midnight},
		{"pause", noon, 0, []answer{{Result: probe.RateLimited, RetryAfter: time.Hour}}, noon.Add(interval)},
		{"budget", noon, 250, nil, midnight},
		{"budget, confirmed since", midnight.Add(time.Hour), 250, nil, midnight.Add(time.Hour + interval)},
	} {
		a := accountOf(1, usual)
		a.rollOver(noon)
		a.Used, a.tokens[0].VerdictTime = test.used, test.verdict
		for i, o := range test.answers {
			now := noon.Add(time.Duration(i) * 13 * time.Hour)
			a.learn(o, now)
			a.rollOver(now) // as each scrape does
		}
		for _, now := range []time.Time{noon, midnight.Add(2 * time.Hour)} {
			a.rollOver(now)
			if due := a.verdictDue(a.tokens[0], now); !due.Equal(test.want) {
				t.Errorf("%s: at %s due at %s, want %s", test.name, now, due, test.want)
			}
		}
	}
}
