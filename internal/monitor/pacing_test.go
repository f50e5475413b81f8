package monitor

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

var defaults = config.Pacing{QuotaShare: 0.25, AssumedDailyLimit: 1000, Reserve: 0.05}

func at(t time.Time) instant { return instant{t, t} }

// TestBudget checks the numbers that follow from the limit.
func TestBudget(t *testing.T) {
	for _, test := range []struct {
		share                                   float64
		limit                                   int64
		tokens                                  int
		budget, capacity, urgent, refill, burst int64
	}{
		{0.25, 1000, 1, 250, 12, 12, 226, 12},
		{0.25, 1000, 20, 250, 12, 40, 198, 12},
		{0.25, 1000, 500, 250, 12, 62, 176, 12},
		{0.29, 100, 1, 29, 1, 2, 26, 1},
		{0.01, 100, 1, 1, 1, 0, 1, 1},
		{0.5, 4, 1, 2, 1, 1, 1, 1},
		{0.1, 9, 1, 1, 1, 0, 1, 1},
	} {
		p := newPacer(config.Pacing{QuotaShare: test.share, AssumedDailyLimit: test.limit}, midnight)
		p.configure(config.Pacing{QuotaShare: test.share, AssumedDailyLimit: test.limit}, test.tokens, midnight)
		got := []int64{p.budget(), p.capacity(), p.urgentBudget(), p.refill()}
		if want := []int64{test.budget, test.capacity, test.urgent, test.refill}; !slices.Equal(got, want) {
			t.Errorf("%+v: %v, want %v", test, got, want)
		}
		now, burst := midnight.Add(2*day), int64(0)
		for burst < 1000 {
			if _, ok := p.allow(at(now), routine, 0); !ok {
				break
			}
			p.take(now)
			p.complete(instant{midnight, midnight}, false)
			burst++
		}
		if burst != test.burst {
			t.Errorf("%+v: %d routine probes at once", test, burst)
		}
	}
}

// TestLimitChanges checks that a limit that changes neither stops routine probes nor gives them permits at once.
func TestLimitChanges(t *testing.T) {
	for _, test := range []struct{ before, after int64 }{{1_000_000, 1000}, {1000, 1_000_000}, {20_000, 1000}, {1000, 20}} {
		p := newPacer(config.Pacing{QuotaShare: 0.25, AssumedDailyLimit: test.before}, midnight)
		p.take(midnight)
		p.complete(instant{midnight, midnight}, false)
		p.learn(at(midnight), probe.Outcome{Quota: probe.Quota{Limit: test.after, LimitOK: true}}, 0)
		if got := p.permits(midnight); got > 0.001 || got < -1.001 {
			t.Errorf("%+v: %v permits", test, got)
		}
		if wait := p.next(at(midnight), 1).Sub(midnight); wait > 2*p.interval()+time.Second {
			t.Errorf("%+v: the next routine probe is %s away, at an interval of %s", test, wait, p.interval())
		}
	}
}

// TestPacerHold checks how long an answer stops an account.
func TestPacerHold(t *testing.T) {
	noon := midnight.Add(12 * time.Hour)
	for _, test := range []struct {
		name     string
		throttle probe.Throttle
		reason   HoldReason
		want     time.Duration
	}{
		{"420", probe.Throttle{Kind: probe.DailyLimit}, DailyLimit, 12 * time.Hour},
		{"420 by the API's clock", probe.Throttle{Kind: probe.DailyLimit, RetryAfter: 11 * time.Hour, RetryAfterOK: true},
			DailyLimit, 11 * time.Hour},
		{"429", probe.Throttle{Kind: probe.SlowDown}, SlowDown, 15 * time.Minute},
		{"429 with Retry-After", probe.Throttle{Kind: probe.SlowDown, RetryAfter: time.Minute, RetryAfterOK: true}, SlowDown, time.Minute},
		{"429 with Retry-After: 0", probe.Throttle{Kind: probe.SlowDown, RetryAfterOK: true}, NotHeld, 0},
		{"none", probe.Throttle{}, NotHeld, 0},
	} {
		p := newPacer(defaults, noon.Add(-day))
		p.hold(at(noon), test.throttle)
		if reason, until := p.held(at(noon)); reason != test.reason || reason != NotHeld && until.Sub(noon) != test.want {
			t.Errorf("%s: held by %q for %s", test.name, reason, until.Sub(noon))
		}
		for _, step := range []time.Duration{0, 2 * day, -2 * day} { // of the wall clock
			almost, after := noon.Add(test.want-time.Second), noon.Add(test.want)
			if reason, _ := p.held(instant{almost.Add(step), almost}); reason != test.reason {
				t.Errorf("%s: held by %q a second before the end, with a step of %s", test.name, reason, step)
			}
			if reason, _ := p.held(instant{after.Add(step), after}); reason != NotHeld {
				t.Errorf("%s: held by %q at the end, with a step of %s", test.name, reason, step)
			}
		}
	}
}

// TestClockSteps checks that no step of the wall clock gives an account a day's budget twice.
func TestClockSteps(t *testing.T) {
	for _, step := range []time.Duration{day, -day, 365 * day, -365 * day} {
		p := newPacer(defaults, midnight)
		used := 0
		for i := range 2 * 24 * 60 {
			now := instant{midnight.Add(time.Duration(i) * time.Minute), midnight.Add(time.Duration(i) * time.Minute)}
			if i%60 > 30 {
				now.wall = now.wall.Add(step)
			}
			for range 20 {
				if _, ok := p.allow(now, confirmation, 0); ok && i < 24*60 {
					p.take(now.steady)
					p.complete(instant{midnight, midnight}, false)
					used++
				}
			}
		}
		if used != 250 {
			t.Errorf("clock steps of %s: %d requests in a day", step, used)
		}
	}
}

// TestSlowerPace checks that a bucket which was overdrawn at a fast pace is full two days after a change to a slow one.
func TestSlowerPace(t *testing.T) {
	p := newPacer(defaults, midnight)
	for range 1000 {
		p.take(midnight)
	}
	slow := defaults
	slow.QuotaShare = 0.01
	p.configure(slow, 5, midnight)
	if permits := p.permits(midnight.Add(2 * day)); permits < 1 {
		t.Errorf("%.0f permits two days later", permits)
	}
}

// TestCountOverMidnight checks that a count which a request of yesterday got is not today's, and that a lower count of a
// later request replaces a higher one: the API has begun another day.
func TestCountOverMidnight(t *testing.T) {
	p := newPacer(defaults, midnight)
	report := func(at time.Time, took time.Duration, used int64) probe.Outcome {
		return probe.Outcome{
			Result: probe.Valid, Start: at.Add(-took), Duration: took, ServerTime: at,
			Quota: probe.Quota{Limit: 1000, LimitOK: true, Used: used, UsedOK: true},
		}
	}
	for _, step := range []struct {
		at   time.Duration // after midnight
		took time.Duration
		used int64
		want int64 // -1: not known
	}{
		{2 * time.Second, 3 * time.Second, 1000, -1},
		{time.Minute, time.Second, 900, 900},
		{time.Minute + time.Second, 5 * time.Second, 890, 900}, // overtaken
		{2 * time.Minute, time.Second, 3, 3},
	} {
		now := at(midnight.Add(step.at))
		p.learn(now, report(now.wall, step.took, step.used), 0)
		if used, known := p.usedToday(now); known != (step.want >= 0) || known && used != step.want {
			t.Errorf("%s after midnight: %d used, known: %v, want %d", step.at, used, known, step.want)
		}
	}
}

// TestStepsOfFullDay checks that no step of our clock makes the exporter forget that the API has shown the limit
// reached, and that the API's own clock tells when the day is over.
func TestStepsOfFullDay(t *testing.T) {
	noon := midnight.Add(day / 2)
	p := newPacer(defaults, midnight)
	ahead := noon.Add(2 * time.Hour) // our clock shows another time zone's time
	p.learn(instant{ahead, noon}, probe.Outcome{
		Result: probe.Valid, ServerTime: noon, Quota: probe.Quota{Limit: 1000, LimitOK: true, Used: 1000, UsedOK: true},
	}, 0)
	for _, step := range []time.Duration{0, 18 * time.Hour, 365 * day, -2 * time.Hour} {
		for hours := range 24 {
			later := noon.Add(time.Duration(hours) * time.Hour)
			want := DailyLimit
			if hours >= 12 {
				want = NotHeld
			}
			if got, _ := p.held(instant{ahead.Add(later.Sub(noon) + step), later}); got != want {
				t.Errorf("%d h after noon, with a step of %s: held by %q, want %q", hours, step, got, want)
			}
		}
	}
}

// TestSetBackOverMidnight checks that a report counts that is, by a clock that was set back, of tomorrow.
func TestSetBackOverMidnight(t *testing.T) {
	p := newPacer(defaults, midnight)
	now := instant{midnight.Add(time.Minute), midnight.Add(time.Minute)}
	p.learn(now, probe.Outcome{Quota: probe.Quota{Limit: 100, LimitOK: true, Used: 100, UsedOK: true}}, 0)
	for _, test := range []struct {
		back   time.Duration
		reason HoldReason
	}{{0, DailyLimit}, {2 * time.Minute, DailyLimit}, {2 * day, DailyLimit}} {
		if reason, _ := p.held(instant{now.wall.Add(-test.back), now.steady}); reason != test.reason {
			t.Errorf("set back by %s: held is %q, want %q", test.back, reason, test.reason)
		}
	}
}

// TestTurnsOneByOne checks that tokens that are scraped one by one get their permits in turn.
func TestTurnsOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid, 1000)}
		names := numbered(20)
		m := newMonitor(tokens(names...), api)
		defer m.Stop()
		for range 72 * 60 {
			for _, name := range names {
				scrapeAll(m, name)
			}
			time.Sleep(time.Minute)
		}
		for _, name := range names {
			if n := api.count(name); n < 25 || n > 40 {
				t.Errorf("%s was probed %d times in 72 hours", name, n)
			}
		}
	})
}

// TestUrgentTurns checks that neither two wrong secrets in a row, nor an outage at the start, keep what follows waiting:
// the right secret, and the confirmation of a denial.
func TestUrgentTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outage := true
		api := &fakeAPI{answer: func(secret string) probe.Outcome {
			switch {
			case outage:
				return answers(probe.ServerError, 1000)
			case strings.HasPrefix(secret, "wrong"):
				return answers(probe.Rejected, 1000)
			}
			return answers(probe.Valid, 1000)
		}}
		file := filepath.Join(t.TempDir(), "token")
		writeFile(t, file, "wrong0")
		cfg := tokens(numbered(50)...)
		cfg.Tokens[0].Source = config.FileSource(file)
		m := newMonitor(cfg, api)
		defer m.Stop()
		for range 10 {
			scrapeAll(m)
			time.Sleep(time.Minute)
		}
		if n := api.count("wrong0"); n > urgentBurst {
			t.Errorf("%d requests in an outage, want at most %d", n, urgentBurst)
		}
		outage = false
		for scrapes := 0; m.Snapshot().Tokens[0].Verdict != probe.VerdictDenied; scrapes++ {
			time.Sleep(time.Minute)
			scrapeAll(m)
			time.Sleep(2 * time.Second)
			if m.Snapshot().Tokens[0].Unconfirmed || scrapes > 24*60 {
				t.Fatal("the denial is not confirmed at once")
			}
		}
		time.Sleep(day)
		for _, secret := range []string{"wrong1", "wrong2", "right"} {
			writeFile(t, file, secret)
			scrapeAll(m)
			time.Sleep(time.Minute)
		}
		if s := m.Snapshot().Tokens[0]; s.Verdict != probe.VerdictValid {
			t.Errorf("%s (%s) after the right secret, want valid", s.Verdict, s.Reason)
		}
	})
}

// TestSlowConnection checks that a request counts for 24 hours although it may have been sent long after its permit.
func TestSlowConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid, 0), timeout: 10 * time.Minute, delay: func(string) time.Duration { return 9 * time.Minute }}
		m := newMonitor(tokens("a"), api)
		defer m.Stop()
		m.Scrape(t.Context(), time.Time{})
		time.Sleep(day + 5*time.Minute)
		if used := m.Snapshot().Accounts[0].BudgetUsed; used != 1 {
			t.Errorf("%d requests are counted a day after the answer, want 1", used)
		}
	})
}

// TestAnsweredQuestion checks that a probe that is to ask for how long the system was off is stopped by a hold once
// that is known.
func TestAnsweredQuestion(t *testing.T) {
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	a := &account{pacer: newPacer(defaults, now)}
	a.pacer.take(now)
	a.pacer.hold(at(now), probe.Throttle{Kind: probe.DailyLimit})
	p := &permit{token: &token{account: a}, account: a, asks: true}
	a.pacer.unverify(&unverified{at: now})
	if _, stopped := p.stopped(at(now)); stopped {
		t.Error("the question is stopped")
	}
	a.pacer.unverify(nil)
	if reason, stopped := p.stopped(at(now)); !stopped || reason != SkipRateLimited {
		t.Errorf("stopped %t (%v) after the answer, want it to be", stopped, reason)
	}
}

// TestOvertakenRead checks that a scrape that waited for other sources does not bring back the secret that it has read.
func TestOvertakenRead(t *testing.T) {
	r := &reading{done: make(chan struct{})}
	r.read(config.InlineSource(config.NewSecret("old")))
	tok := &token{hasSecret: true, secret: config.NewSecret("new")}
	tok.finishReadingLocked(r, nil)
	if !tok.secret.Equal(config.NewSecret("new")) {
		t.Error("the old secret is back")
	}
}

// TestNextInReserve checks that no probe, urgent ones included, is announced before the reserve's hour is over.
func TestNextInReserve(t *testing.T) {
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	p := newPacer(defaults, now)
	p.take(now)
	p.complete(at(now), true)
	o := answers(probe.Valid, 1000)
	o.Quota.Used, o.Quota.UsedOK = 960, true
	p.learn(at(now), o, 0)
	for n := range 2 {
		if next := p.next(at(now), n); next.Before(now.Add(reserveInterval)) {
			t.Errorf("probe %d is announced for %s", n, next)
		}
	}
}

// TestAttempts checks that probes of which nothing was sent do not end the time in which an account's probes go one by one.
func TestAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Unreachable, 0), delay: func(string) time.Duration { return time.Second }}
		m := newMonitor(unpaced(numbered(100)...), api)
		defer m.Stop()
		scrapeAll(m)
		full := answers(probe.RateLimited, unlimited)
		full.Throttle = probe.Throttle{Kind: probe.DailyLimit}
		time.Sleep(time.Minute)
		synctest.Wait()
		api.answer = func(string) probe.Outcome { return full }
		scrapeAll(m)
		if n := api.count(""); n != 1 {
			t.Errorf("%d requests to an account whose limit is reached", n)
		}
	})
}

// TestSilentAnswers checks that requests whose answers tell no use are added to a report that is older than they.
func TestSilentAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var used int64
		api := &fakeAPI{
			answer: func(token string) probe.Outcome {
				used++
				if token != "slow" {
					return answers(probe.Rejected, 0)
				}
				o := answers(probe.Valid, 1000)
				o.Quota.Used, o.Quota.UsedOK = used, true
				return o
			},
			delay: slow,
		}
		m := newMonitor(tokens("slow", "a", "b", "c"), api)
		defer m.Stop()
		m.Scrape(t.Context(), time.Time{}) // the first goes alone
		time.Sleep(3 * time.Hour)
		m.Scrape(t.Context(), time.Time{})
		if got, _ := m.accounts["default"].pacer.usedToday(m.clock()); got < used {
			t.Errorf("%d requests used, want %d or more", got, used)
		}
	})
}

// TestReserveTurns checks that the hourly probes of the reserve are shared by all tokens, and not lost if nothing is sent.
func TestReserveTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := false
		api := &fakeAPI{answer: func(token string) probe.Outcome {
			if down {
				return answers(probe.Unreachable, 0)
			}
			o := answers(probe.Valid, 1000)
			o.Quota.Used, o.Quota.UsedOK = 970, true
			if token == "undecided" {
				o.Result = probe.Unexpected
			}
			return o
		}}
		m := newMonitor(tokens("undecided", "good"), api)
		defer m.Stop()
		for minute := range 10 * 60 {
			down = minute%60 < 5
			scrapeAll(m)
			time.Sleep(time.Minute)
		}
		if undecided, good := api.count("undecided"), api.count("good"); undecided < 3 || good < 3 || undecided+good > 11 {
			t.Errorf("%d and %d requests in ten hours", undecided, good)
		}
	})
}

// TestDenialInBatch checks that a denial spreads to tokens that were permitted with the denied one, but asked before.
func TestDenialInBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		revoked := midnight.Add(3*time.Hour + 3500*time.Millisecond)
		api := &fakeAPI{
			answer: func(string) probe.Outcome {
				if time.Now().After(revoked) {
					return answers(probe.Rejected, 1000)
				}
				return answers(probe.Valid, 1000)
			},
			delay: func(string) time.Duration { return time.Second },
		}
		cfg := tokens(numbered(6)...)
		cfg.MaxConcurrency = 1
		m := newMonitor(cfg, api)
		defer m.Stop()
		m.Scrape(t.Context(), time.Time{})
		time.Sleep(time.Until(midnight.Add(3 * time.Hour)))
		for range 3 {
			m.Scrape(t.Context(), time.Time{})
		}
		for _, s := range m.Snapshot().Tokens {
			if s.Verdict != probe.VerdictDenied {
				t.Errorf("%s is %s", s.Name, s.Verdict)
			}
		}
	})
}

// TestTinyLimit checks that a limit that is reported too small does not stop probes for good.
func TestTinyLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid, 3)}
		m := newMonitor(tokens("a"), api)
		defer m.Stop()
		scrapeAll(m)
		api.answer = always(probe.Valid, 1000)
		for range 50 {
			time.Sleep(time.Hour)
			scrapeAll(m)
		}
		if got := m.Snapshot().Accounts[0].Limit; got != 1000 {
			t.Errorf("the limit is %d two days later", got)
		}
	})
}

// TestTurnsInOutage checks that a token whose probe could not be sent gives its permit back, but not its turn: more
// tokens than the bucket holds permits are all tried.
func TestTurnsInOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid, 1000)}
		m := newMonitor(tokens(numbered(20)...), api)
		defer m.Stop()
		for range 2 * 24 * 60 {
			if time.Since(midnight) > day {
				api.answer = always(probe.Unreachable, 0)
			}
			scrapeAll(m)
			time.Sleep(time.Minute)
		}
		for _, s := range m.Snapshot().Tokens {
			if age := time.Since(s.Last.Start); age > s.Interval {
				t.Errorf("%s was not tried for %s", s.Name, age)
			}
		}
	})
}

// TestTurnsInSlots checks that the accounts take turns where probes that time out occupy all slots.
func TestTurnsInSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const accounts = 10
		var names []string
		for i := range accounts {
			names = append(names, fmt.Sprintf("account%d/token%d", i, i))
		}
		api := &fakeAPI{answer: always(probe.Valid, 0), delay: func(string) time.Duration { return time.Hour }}
		cfg := unpaced(names...)
		cfg.MaxConcurrency = 1
		m := newMonitor(cfg, api)
		defer m.Stop()
		for range 3 {
			api.forget()
			for range accounts {
				scrapeAll(m)
				time.Sleep(time.Minute)
			}
			for _, name := range names {
				if n := api.count(name); n != 1 {
					t.Errorf("%s had %d slots of %d", name, n, accounts)
				}
			}
		}
	})
}

// TestTurnAfterTimeout checks that a token that timed out once has its turn again where the others occupy all slots.
func TestTurnAfterTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid, 0), delay: func(token string) time.Duration {
			if token == "slow" {
				return time.Hour
			}
			return 3 * time.Second
		}}
		cfg := unpaced(append(numbered(100), "slow")...)
		cfg.MaxConcurrency = 1
		m := newMonitor(cfg, api)
		defer m.Stop()
		for range 200 {
			scrapeAll(m)
			time.Sleep(time.Minute)
		}
		if n := api.count("slow"); n < 3 {
			t.Errorf("the token was probed %d times, the others about %d times", n, api.count("")/100)
		}
	})
}

// TestLongWaitForSlot checks that requests count from when they were sent, for a day, and after a restart, too.
func TestLongWaitForSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid, 0), delay: func(string) time.Duration { return time.Hour }}
		cfg := tokens(numbered(100)...)
		cfg.MaxConcurrency = 1
		var store memoryStore
		start := func() *Monitor {
			return New(cfg, Options{
				Connect: api.connect, Logger: slog.New(slog.DiscardHandler), Store: &store, State: store.saved,
			})
		}
		m := start()
		go m.Scrape(t.Context(), time.Time{})
		time.Sleep(15 * time.Minute)
		m.Stop()
		synctest.Wait()
		sent := int64(api.count(""))
		m = start()
		defer m.Stop()
		time.Sleep(day - 3*time.Minute)
		lately := sent - 12*6 // 12 minutes of requests have had their day
		if used := m.Snapshot().Accounts[0].BudgetUsed; lately < 10 || used < lately {
			t.Errorf("%d requests of the last 24 hours are counted, of %d", used, lately)
		}
	})
}

func TestWarnings(t *testing.T) {
	for _, test := range []struct {
		tokens int
		share  float64
		want   string
	}{
		{9, 0.25, ""},
		{12, 0.25, `account "default": each of its tokens (12) is probed only every 1h21m0s, because pacing.quota_share 0.25 ` +
			`of 1000 requests leaves 214 routine probes per day for all; to probe each once per hour, raise pacing.quota_share ` +
			`to 0.33, watch fewer of them, or give those of other Appfigures accounts an account of their own`},
		{50, 0.25, `account "default": each of its tokens (50) is probed only every 6h49m0s, because pacing.quota_share 0.25 ` +
			`of 1000 requests leaves 176 routine probes per day for all; watch fewer of them, or give those of other ` +
			`Appfigures accounts an account of their own`},
		{1, 0.0001, `account "default": each of its tokens (1) is probed only every 24h0m0s, because pacing.quota_share 0.0001 ` +
			`of 1000 requests leaves 1 routine probes per day for all; to probe each once per hour, raise pacing.quota_share ` +
			`to 0.03, watch fewer of them, or give those of other Appfigures accounts an account of their own`},
	} {
		cfg := tokens(numbered(test.tokens)...)
		cfg.Pacing.QuotaShare = test.share
		got := Warnings(cfg)
		if test.want == "" && len(got) == 0 || len(got) == 1 && got[0] == test.want {
			continue
		}
		t.Errorf("%d tokens: %q, want %q", test.tokens, got, test.want)
	}
	for n := 10; n < 36; n++ { // what a warning advises is enough
		cfg := tokens(numbered(n)...)
		_, advice, _ := strings.Cut(Warnings(cfg)[0], "quota_share to ")
		if _, err := fmt.Sscanf(advice, "%f,", &cfg.Pacing.QuotaShare); err != nil {
			t.Fatalf("%d tokens: %q: %v", n, advice, err)
		}
		if left := Warnings(cfg); len(left) > 0 {
			t.Errorf("%d tokens: still %q", n, left)
		}
	}
}

// BenchmarkScrape measures a scrape of n tokens in one account and in accounts of ten, per token: all of them probed, and
// none.
func BenchmarkScrape(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10_000, 20_000} {
		for _, accounts := range []int{1, max(1, n/10)} {
			for _, paced := range []bool{false, true} {
				b.Run(fmt.Sprintf("tokens=%d/accounts=%d/paced=%v", n, accounts, paced), func(b *testing.B) {
					var names []string
					for i := range n {
						names = append(names, fmt.Sprintf("account%d/token%d", i%accounts, i))
					}
					cfg := unpaced(names...)
					if paced {
						cfg.Pacing.MinInterval = time.Hour
					}
					api := &fakeAPI{answer: always(probe.Valid, unlimited)}
					m := newMonitor(cfg, api)
					defer m.Stop()
					m.Scrape(b.Context(), time.Time{})
					for b.Loop() {
						for _, a := range m.accounts {
							a.pacer.full = time.Time{} // there are permits for all
						}
						m.Scrape(b.Context(), time.Time{})
						api.forget()
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/token")
				})
			}
		}
	}
}
