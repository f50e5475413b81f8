package monitor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

// midnight is where a synctest bubble's clock begins, 2000-01-01 00:00 UTC.
var midnight = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// TestSpreadOverTheDay holds that one token with the defaults, scraped each minute, is probed all day long: no gap is
// much longer than a day divided by the day's budget, on the first day and on those that follow.
func TestSpreadOverTheDay(t *testing.T) {
	for _, test := range []struct {
		name  string
		start time.Duration // into the first day
		want  int           // probes by the end of the second day
	}{
		{"from midnight", 0, 500},
		{"from the evening", 18 * time.Hour, 25 + 62 + 250}, // a full bucket, a quarter of a day, a day
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(test.start)
				api := &fakeAPI{answer: always(appfigures.Valid, 1000)}
				m := newMonitor(tokens("a"), api)
				defer m.Stop()
				for time.Now().Before(midnight.Add(2 * day)) {
					scrape(m)
					time.Sleep(time.Minute)
				}
				if n := api.count(""); n > test.want || n < test.want*9/10 {
					t.Errorf("%d probes, want almost %d", n, test.want)
				}
				for i := 1; i < len(api.asked); i++ {
					if gap := api.asked[i].at.Sub(api.asked[i-1].at); gap > 8*time.Minute {
						t.Errorf("no probe for %s at %s", gap, api.asked[i].at)
					}
				}
			})
		})
	}
}

// TestCapHolds drives random days. In no UTC day does an account get more probes than its share of the largest limit
// that was in force on it.
func TestCapHolds(t *testing.T) {
	for range 25 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulateDays(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

// world is a random API and the probes that it saw.
type world struct {
	t      *testing.T
	random *rand.Rand
	share  float64
	limits map[string]int64           // each account's, as it would report it now
	silent bool                       // whether it reports none at the moment
	known  map[string]int64           // each account's, as last reported
	cap    map[string]map[int64]int64 // by account and day: the budget of the largest limit known on it
	used   map[string]map[int64]int64
}

func simulateDays(t *testing.T, random *rand.Rand) {
	w := &world{
		t: t, random: random, share: 0.05 + 0.95*random.Float64(),
		limits: make(map[string]int64), known: make(map[string]int64),
		cap: make(map[string]map[int64]int64), used: make(map[string]map[int64]int64),
	}
	names := w.someTokens()
	api := &fakeAPI{answer: w.answer}
	cfg := tokens(names...)
	cfg.Pacing.QuotaShare = w.share
	m := newMonitor(cfg, api)
	defer m.Stop()
	interval := time.Second * time.Duration(math.Exp(random.Float64()*math.Log(3600)))
	for end := time.Now().Add(2*day + day/2); time.Now().Before(end); {
		scrape(m)
		time.Sleep(max(interval, time.Duration(random.Int64N(int64(2*interval)))))
		if random.IntN(200) == 0 {
			w.silent = !w.silent
		}
		if random.IntN(200) == 0 {
			for account := range w.limits {
				w.limits[account] = w.someLimit()
			}
		}
		if random.IntN(500) == 0 { // tokens come, go and move
			next := tokens(w.someTokens()...)
			next.Pacing.QuotaShare = w.share
			m.Reload(next)
		}
		if random.IntN(2000) == 0 { // a gap of hours, as when the machine sleeps
			time.Sleep(time.Duration(random.Int64N(int64(20 * time.Hour))))
		}
	}
}

func (w *world) someLimit() int64 { return 20 + w.random.Int64N(2000) }

// someTokens returns 1 to 400 tokens in 1 to 5 accounts.
func (w *world) someTokens() []string {
	accounts := 1 + w.random.IntN(5)
	names := make([]string, 1+w.random.IntN(1<<w.random.IntN(9)))
	for i := range names {
		account := fmt.Sprintf("account%d", i%accounts)
		names[i] = fmt.Sprintf("%s/token%d", account, i)
		if w.limits[account] == 0 {
			w.limits[account] = w.someLimit()
		}
	}
	return names
}

// answer notes a probe and checks the cap at the moment of it.
func (w *world) answer(token string) appfigures.Outcome {
	account, today := token[:len("account0")], dayOf(time.Now())
	if w.used[account] == nil {
		w.used[account], w.cap[account] = make(map[int64]int64), make(map[int64]int64)
	}
	w.used[account][today]++
	budget := func(limit int64) int64 { return int64(math.Floor(w.share*float64(limit) + 1e-9)) }
	if known := w.known[account]; known > 0 {
		w.cap[account][today] = max(w.cap[account][today], budget(known))
		if used := w.used[account][today]; used > w.cap[account][today] {
			w.t.Errorf("%s: probe %d of day %d, with a budget of %d", account, used, today, w.cap[account][today])
		}
	}
	limit := w.limits[account]
	if w.known[account] > 0 && (w.silent || w.random.IntN(20) == 0) {
		limit = 0 // it has reported one before, and that one stays in force
	}
	if limit > 0 {
		w.known[account] = limit
	}
	results := []appfigures.Result{appfigures.Valid, appfigures.Valid, appfigures.Valid, appfigures.Rejected, appfigures.ServerError}
	return answers(results[w.random.IntN(len(results))], limit)
}

// TestNoTokenStarves holds that each token of an account gets its turn, also beside one whose result changes with
// every probe and one whose secret does.
func TestNoTokenStarves(t *testing.T) {
	for _, n := range []int{3, 20, 120} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				names := make([]string, n)
				for i := range names {
					names[i] = fmt.Sprintf("token%03d", i)
				}
				flaps := 0
				api := &fakeAPI{answer: func(token string) appfigures.Outcome {
					if token == "token000" {
						flaps++
						return answers([]appfigures.Result{appfigures.ServerError, appfigures.Rejected, appfigures.Valid}[flaps%3], 1000)
					}
					return answers(appfigures.Valid, 1000)
				}}
				m := newMonitor(tokens(names...), api)
				defer m.Stop()
				last := make(map[string]time.Time)
				for time.Now().Before(midnight.Add(3 * day)) {
					scrape(m)
					time.Sleep(time.Minute)
				}
				// Each turn costs one place, those of the flapping token up to four. On the first day, the first
				// probe of each token is gone from the budget at once.
				longest := time.Duration(n+3)*day/time.Duration(250-n) + 2*time.Hour
				for _, ask := range api.asked {
					if wait := ask.at.Sub(last[ask.token]); !last[ask.token].IsZero() && wait > longest {
						t.Errorf("%s waited %s, longer than %s", ask.token, wait, longest)
					}
					last[ask.token] = ask.at
				}
				for _, name := range names {
					if wait := time.Since(last[name]); wait > longest {
						t.Errorf("%s has been waiting for %s", name, wait)
					}
				}
			})
		})
	}
}

// nobody has waited longer.
func nobody() int { return 0 }

// TestTurnsOneByOne holds that tokens which are scraped one by one, each at its own moment of the minute as Prometheus
// does with service discovery, get their turns as if they were scraped together.
func TestTurnsOneByOne(t *testing.T) {
	for _, n := range []int{2, 5, 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(rand.Uint64(), 0))
				var names []string
				var offsets []time.Duration
				for i := range n {
					names = append(names, fmt.Sprint("token", i))
					offsets = append(offsets, time.Duration(random.Int64N(int64(50*time.Second))))
				}
				slices.Sort(offsets)
				api := &fakeAPI{answer: always(appfigures.Valid, 1000)}
				cfg := tokens(names...)
				cfg.Pacing.QuotaShare = 0.24 // a place each 6 minutes: in step with the scrapes
				m := newMonitor(cfg, api)
				defer m.Stop()
				for minute := range 3 * 24 * 60 {
					for i, name := range names {
						time.Sleep(time.Until(midnight.Add(time.Duration(minute)*time.Minute + offsets[i])))
						scrape(m, name)
					}
				}
				last := make(map[string]time.Time)
				longest := time.Duration(n)*day/240*12/10 + 10*time.Minute
				for _, ask := range api.asked {
					if wait := ask.at.Sub(last[ask.token]); !last[ask.token].IsZero() && wait > longest {
						t.Errorf("%s waited %s, longer than %s", ask.token, wait, longest)
					}
					last[ask.token] = ask.at
				}
				if total := api.count(""); total < 3*240*9/10 {
					t.Errorf("only %d of %d probes were made", total, 3*240)
				}
			})
		})
	}
}

// TestClockSteps holds that a clock that steps over midnight, forth and back, gives no day its budget twice, and that
// one that steps back does not stop the probes.
func TestClockSteps(t *testing.T) {
	random := rand.New(rand.NewPCG(rand.Uint64(), 0))
	p := pacer{share: 0.25}
	now := midnight.Add(20 * time.Hour)
	p.report(now, 1000)
	made := make(map[int64]int64)
	for range 200_000 {
		now = now.Add(time.Duration(random.Int64N(int64(2 * time.Minute))))
		if random.IntN(300) == 0 {
			now = now.Add(time.Duration(random.Int64N(int64(12*time.Hour))) - 6*time.Hour)
		}
		u := routine
		if random.IntN(10) == 0 {
			u = justChanged
		}
		if _, ok := p.allow(now, u, nobody); ok {
			p.take(now)
			made[dayOf(now)]++
		}
	}
	for d, n := range made {
		if n > 250 {
			t.Errorf("%d probes on day %d, with a budget of 250", n, d)
		}
	}
	back := pacer{share: 0.25}
	back.report(midnight.Add(400*day), 1000)
	back.hold(midnight.Add(400*day), midnight.Add(400*day), appfigures.Throttle{Kind: appfigures.DailyLimit})
	if _, ok := back.allow(midnight.Add(time.Hour), routine, nobody); !ok {
		t.Error("a clock that was a year ahead leaves a hold behind when it steps back")
	}
}

// TestBudget holds the arithmetic of the share.
func TestBudget(t *testing.T) {
	for _, test := range []struct {
		share  float64
		limit  int64
		budget int64
		bucket float64
	}{
		{0.25, 1000, 250, 25},
		{0.29, 100, 29, 2.9}, // 28.999999999999996 in binary
		{1, 1000, 1000, 100},
		{0.25, 30, 7, 1},
		{0.25, 3, 0, 1},
		{0.001, 1000, 1, 1},
	} {
		p := pacer{share: test.share, limit: test.limit}
		if p.budget() != test.budget || math.Abs(p.capacity()-test.bucket) > 1e-9 {
			t.Errorf("share %v of %d: budget %d, bucket %v, want %d, %v", test.share, test.limit, p.budget(), p.capacity(), test.budget, test.bucket)
		}
	}
}

// TestHold holds how long each demand of the API stops an account, and that a pause is told once.
func TestHold(t *testing.T) {
	evening := midnight.Add(22 * time.Hour)
	for _, test := range []struct {
		name     string
		began    time.Time
		throttle appfigures.Throttle
		want     time.Duration // after evening
	}{
		{"420", evening, appfigures.Throttle{Kind: appfigures.DailyLimit}, 2 * time.Hour},
		{"420 by the API's clock", evening, appfigures.Throttle{Kind: appfigures.DailyLimit, RetryAfter: time.Hour, RetryAfterOK: true}, time.Hour},
		{"420 of a day that is over", evening.Add(-23 * time.Hour), appfigures.Throttle{Kind: appfigures.DailyLimit}, 0},
		{"429", evening, appfigures.Throttle{Kind: appfigures.SlowDown}, 15 * time.Minute},
		{"429 with Retry-After", evening, appfigures.Throttle{Kind: appfigures.SlowDown, RetryAfter: time.Minute, RetryAfterOK: true}, time.Minute},
		{"429 with Retry-After 0", evening, appfigures.Throttle{Kind: appfigures.SlowDown, RetryAfterOK: true}, 0},
		{"none", evening, appfigures.Throttle{}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var p pacer
			if fresh := p.hold(test.began, evening, test.throttle); fresh != (test.want > 0) {
				t.Errorf("told as new: %v", fresh)
			}
			if test.want > 0 {
				if p.hold(evening, evening, test.throttle) {
					t.Error("told a second time")
				}
				if reason, ok := p.allow(evening.Add(test.want-time.Second), neverProbed, nobody); ok || reason != RateLimited {
					t.Errorf("a second before the end: allowed %v, reason %s", ok, reason)
				}
			}
			if _, ok := p.allow(evening.Add(test.want), routine, nobody); !ok {
				t.Error("still held at the end")
			}
			if p.release(evening.Add(test.want)) != (test.want > 0) || p.release(evening.Add(test.want)) {
				t.Error("the end is to be told once")
			}
		})
	}
}

// TestUrgentNeedsNoPlace holds that an urgent probe passes an empty bucket, but not an empty budget.
func TestUrgentNeedsNoPlace(t *testing.T) {
	p := pacer{share: 0.25}
	p.report(midnight, 1000)
	made := 0
	for ; ; made++ {
		if _, ok := p.allow(midnight, routine, nobody); !ok {
			break
		}
		p.take(midnight)
	}
	if made != 25 {
		t.Errorf("a full bucket gave %d probes, want 25", made)
	}
	for ; ; made++ {
		if _, ok := p.allow(midnight, justChanged, nobody); !ok {
			break
		}
		p.take(midnight)
	}
	if made != 250 {
		t.Errorf("the day's budget gave %d probes, want 250", made)
	}
	if _, ok := p.allow(midnight.Add(day+6*time.Minute), routine, nobody); !ok {
		t.Error("the next day has a budget of its own")
	}
}

// TestWarnings holds when a configuration is warned about.
func TestWarnings(t *testing.T) {
	for _, test := range []struct {
		tokens int
		share  float64
		want   string // "" for none
	}{
		{10, 0.25, ""},
		{11, 0.25, `account "default": 11 tokens share 250 probes a day (quota_share 0.25 of the API's 1000 requests), so each waits 1h3m0s for its turn; raise pacing.quota_share to 0.26 for a wait of an hour, watch fewer tokens, or name the accounts that they really belong to`},
		{100, 1, `account "default": 100 tokens share 1000 probes a day (quota_share 1 of the API's 1000 requests), so each waits 2h24m0s for its turn; watch fewer tokens, or name the accounts that they really belong to`},
		{1, 0.0005, `account "default": a quota_share of 0.0005 leaves no probe a day of the API's 1000 requests; raise pacing.quota_share`},
	} {
		cfg := &config.Config{Pacing: config.Pacing{QuotaShare: test.share}, Tokens: make([]config.Token, test.tokens)}
		for i := range cfg.Tokens {
			cfg.Tokens[i].Account = "default"
		}
		got := Warnings(cfg)
		switch {
		case test.want == "" && len(got) == 0:
		case len(got) == 1 && got[0] == test.want:
		default:
			t.Errorf("%d tokens, share %v: warnings %q, want %q", test.tokens, test.share, got, test.want)
		}
	}
}
