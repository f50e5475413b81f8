package monitor

import (
	"fmt"
	"log/slog"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// TestOrderOfSaving checks that a permit is on disk before its request is sent, a verdict before it is reported, and
// each result once it is there.
func TestOrderOfSaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store memoryStore
		onDisk := func() (requests int64, first state.Token) {
			store.mu.Lock()
			defer store.mu.Unlock()
			for _, b := range store.saved.Accounts[0].Bins {
				requests += b.Count
			}
			return requests, store.saved.Tokens[0]
		}
		made := int64(0)
		result := probe.Valid
		api := &fakeAPI{answer: func(string) probe.Outcome {
			made++
			if requests, _ := onDisk(); requests < made {
				t.Errorf("request %d was made with %d on disk", made, requests)
			}
			return answers(result, unlimited)
		}, delay: func(string) time.Duration { return time.Second }}
		m := store.restart(unpaced("a", "b", "c"), api)
		defer m.Stop()
		for _, result = range []probe.Result{probe.Valid, probe.Rejected, probe.Valid} {
			verdict := scrapeAll(m).Tokens[0].Verdict.String()
			if _, saved := onDisk(); saved.Verdict != verdict {
				t.Errorf("%s is reported, %s is on disk", verdict, saved.Verdict)
			}
			time.Sleep(time.Minute)
		}
		hasty := time.Now()
		m.Scrape(t.Context(), hasty.Add(100*time.Millisecond))
		time.Sleep(time.Minute)
		if _, saved := onDisk(); !saved.Last.Start.Equal(hasty) {
			t.Errorf("on disk is the result of %s, not that of the hasty scrape at %s", saved.Last.Start, hasty)
		}
		saves := store.saves
		cfg := unpaced("a", "b", "c")
		cfg.Pacing.MinInterval = time.Hour
		m.Reload(cfg)
		scrapeAll(m)
		scrapeAll(m)
		if n := store.saves - saves; n > 1 {
			t.Errorf("%d saves in two scrapes that probed nothing", n)
		}
	})
}

// TestStoreFails checks that the exporter goes on without a disk, at its pace, and reports that.
func TestStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid, unlimited)}
		store := memoryStore{broken: true}
		m := store.restart(unpaced("a"), api)
		defer m.Stop()
		if s := scrapeAll(m); s.Tokens[0].Probed || s.StateFile.Errors == 0 || !s.StateFile.Saved.IsZero() {
			t.Errorf("verdict %s, state file %+v", s.Tokens[0].Verdict, s.StateFile)
		}
		time.Sleep(time.Minute)
		if s := scrapeAll(m); s.Tokens[0].Verdict != probe.VerdictValid {
			t.Errorf("verdict %s a minute later", s.Tokens[0].Verdict)
		}
		store.broken = false
		time.Sleep(time.Minute)
		if s := scrapeAll(m); s.StateFile.Saved.IsZero() {
			t.Errorf("state file %+v", s.StateFile)
		}
	})
}

// TestFullDiskAtStart checks that a disk that is full at the start costs no more than a request per token, and that the
// state is saved once there is room.
func TestFullDiskAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid, 1000)}
		store := memoryStore{broken: true}
		start := func() *Monitor {
			return New(tokens(numbered(20)...), Options{
				Connect: api.connect, Store: &store, Failing: store.broken, State: store.saved,
				Logger: slog.New(slog.DiscardHandler),
			})
		}
		m := start()
		scrapeAll(m)
		if n := api.count(""); n != 20 {
			t.Errorf("%d requests for the first verdicts, want 20", n)
		}
		store.broken = false
		time.Sleep(10 * time.Minute)
		scrapeAll(m)
		m.Stop()
		m = start()
		defer m.Stop()
		if s := m.Snapshot().Accounts[0]; s.BudgetUsed < 20 {
			t.Errorf("%d requests are counted after a restart, of %d", s.BudgetUsed, api.count(""))
		}
	})
}

// TestFlappingDisk checks that a disk which fails soon after each start brings no second budget.
func TestFlappingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid, 1000)}
		var store memoryStore
		for range 48 {
			store.broken = false
			m := store.restart(tokens(numbered(20)...), api)
			store.broken = true
			for range 30 {
				scrapeAll(m)
				time.Sleep(time.Minute)
			}
			m.Stop()
		}
		if n := api.count(""); n > 250 || n < 100 {
			t.Errorf("%d requests in a day with a budget of 250", n)
		}
	})
}

// TestRestore checks what a restart believes.
func TestRestore(t *testing.T) {
	for _, test := range []struct {
		name    string
		change  func(*state.State, *config.Config)
		verdict probe.Verdict
		used    int64 // requests in the last 24 hours
	}{
		{"unchanged", func(*state.State, *config.Config) {}, probe.VerdictDenied, 4},
		{"a clock that is an hour behind", func(s *state.State, _ *config.Config) {
			s.Boot, s.Saved = "another", s.Saved.Add(59*time.Minute)
		}, probe.VerdictDenied, 4},
		{"from the future", func(s *state.State, _ *config.Config) {
			s.Boot, s.Saved = "another", s.Saved.AddDate(1, 0, 0)
			for i := range s.Accounts {
				s.Accounts[i].Bins[0].Start = s.Accounts[i].Bins[0].Start.AddDate(1, 0, 0)
			}
		}, probe.VerdictUnknown, 4},
		{"another source", func(_ *state.State, cfg *config.Config) {
			cfg.Tokens[0].Source = config.InlineSource(config.NewSecret("other"))
		}, probe.VerdictUnknown, 4},
		{"a result that is not known", func(s *state.State, _ *config.Config) { s.Tokens[0].Reason = "vanished" },
			probe.VerdictUnknown, 4},
		{"a verdict that its reason does not support", func(s *state.State, _ *config.Config) { s.Tokens[0].Verdict = "valid" },
			probe.VerdictUnknown, 4},
		{"garbage", func(s *state.State, _ *config.Config) {
			s.Accounts[0].Bins[0].Count = -1 << 60
			s.Accounts[0].Limit, s.Accounts[0].Used = -5, 1<<62
			s.Accounts[0].Permits = -1e100
			s.Tokens[0].Last.Phases = make([]time.Duration, 50)
			s.Tokens[0].VerdictTime = s.Saved.AddDate(5, 0, 0)
		}, probe.VerdictDenied, 0},
		{"nothing", func(s *state.State, _ *config.Config) { *s = state.State{} }, probe.VerdictUnknown, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &fakeAPI{answer: always(probe.Rejected, 1000)}
				var store memoryStore
				m := store.restart(tokens("a", "b"), api)
				scrapeAll(m)
				time.Sleep(time.Hour) // the requests have overdrawn the bucket, which is over by now
				before := m.Snapshot().Tokens[0]
				m.Stop()
				cfg := tokens("a", "b")
				test.change(&store.saved, cfg)
				m = store.restart(cfg, api)
				defer m.Stop()
				s := m.Snapshot()
				got := s.Tokens[0]
				if got.Verdict != test.verdict || s.Accounts[0].BudgetUsed != test.used {
					t.Errorf("verdict %s with %d requests, want %s with %d", got.Verdict, s.Accounts[0].BudgetUsed, test.verdict, test.used)
				}
				if test.name == "unchanged" {
					before.Created, before.Results, before.Skipped = got.Created, got.Results, got.Skipped
					before.Last.Sent, before.Last.Quota = false, probe.Quota{}
					if fmt.Sprint(before) != fmt.Sprint(got) {
						t.Errorf("before %+v\nafter  %+v", before, got)
					}
				}
				if got.VerdictTime.After(s.Time) {
					t.Errorf("the verdict is of %s, it is %s", got.VerdictTime, s.Time)
				}
				if wait := s.Accounts[0].HeldUntil.Sub(s.Time); wait > day {
					t.Errorf("held for %s", wait)
				}
				time.Sleep(2 * day)
				scrapeAll(m)
				if got := scrapeAll(m).Tokens[0].Verdict; got != probe.VerdictDenied {
					t.Errorf("verdict %s two days later", got)
				}
			})
		})
	}
}

// TestRestartsKeepTheCount checks that restarts do not age the count of requests, although times are not saved exactly.
func TestRestartsKeepTheCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid, 4)} // a budget of 1
		cfg := tokens("a", "b")
		cfg.Pacing.AssumedDailyLimit = 4
		var store memoryStore
		time.Sleep(9 * time.Minute)
		for restart := range 24*60 - 1 {
			jitter := time.Duration(restart%2) * time.Millisecond // of a clock that is read a little later than the other
			m := New(cfg, Options{
				Connect: api.connect, Logger: slog.New(slog.DiscardHandler), Store: &store, State: store.saved,
				clock: func() instant { now := time.Now(); return instant{now.Add(-jitter), now} },
			})
			scrapeAll(m)
			m.dirty = true
			m.persist()
			m.Stop()
			time.Sleep(time.Minute)
		}
		if n := api.count(""); n != 1 {
			t.Errorf("%d requests in a day with a budget of 1", n)
		}
	})
}

// TestHoldSurvivesKill checks that what stops an account's probes is saved at once, although a probe is under way.
func TestHoldSurvivesKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		used := int64(10)
		api := &fakeAPI{
			answer: func(string) probe.Outcome {
				o := answers(probe.Valid, 1000)
				o.Quota.Used, o.Quota.UsedOK = used, true
				return o
			},
			delay: slow,
		}
		var store memoryStore
		m := store.restart(tokens("fast", "slow"), api)
		scrapeAll(m)
		time.Sleep(3 * time.Hour)
		used = 1000
		go scrapeAll(m)
		time.Sleep(time.Second)
		made := api.count("")
		m.Stop()
		m = store.restart(tokens("fast", "slow"), api)
		defer m.Stop()
		if scrapeAll(m); api.count("") > made {
			t.Errorf("%d requests after the limit was reached", api.count("")-made)
		}
	})
}

// TestBucketOverRestarts checks that restarts neither fill nor empty the bucket, however many tokens there are.
func TestBucketOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid, 1000)}
		cfg := tokens(numbered(60)...)
		var store memoryStore
		m := store.restart(cfg, api)
		scrapeAll(m)
		before := m.accounts["default"].pacer.permits(m.clock().steady)
		for range 30 {
			m.Stop()
			m = store.restart(cfg, api)
			m.dirty = true
			m.persist()
		}
		if after := m.accounts["default"].pacer.permits(m.clock().steady); math.Abs(after-before) > 0.01 {
			t.Errorf("%v permits before, %v after", before, after)
		}
	})
}

// TestRestartAfterStep checks that a step of the clock before a restart changes nothing, without a boot; nor does one
// back with a boot.
func TestRestartAfterStep(t *testing.T) {
	for _, test := range []struct {
		step  time.Duration
		boots bool
	}{
		{0, false}, {12 * time.Hour, false}, {-12 * time.Hour, false}, {400 * day, false}, {-400 * day, false},
		{-12 * time.Hour, true}, {-72 * time.Hour, true}, {-400 * day, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			step, boot := test.step, 0
			var store memoryStore
			api := &fakeAPI{answer: func(string) probe.Outcome {
				o := answers(probe.Valid, 1000)
				o.ServerTime, o.Quota.Used, o.Quota.UsedOK = time.Now(), 1000, true
				return o
			}}
			start := func() *Monitor {
				return New(tokens("a", "b"), Options{
					Connect: api.connect, Logger: slog.New(slog.DiscardHandler), Store: &store, State: store.saved,
					boot: fmt.Sprint(boot), clock: func() instant { return instant{time.Now().Add(step), time.Now()} },
				})
			}
			clock := step
			step = 0
			time.Sleep(10 * time.Hour)
			m := start()
			scrapeAll(m)
			m.Stop()
			step = clock
			if test.boots {
				boot++
			}
			time.Sleep(time.Hour)
			for hour := 11; hour < 24; hour++ { // until the API's midnight
				m := start()
				s := scrapeAll(m)
				if n := len(api.order()); n != 1 || s.Accounts[0].BudgetUsed != 1 || s.Tokens[0].Verdict != probe.VerdictValid && !test.boots {
					t.Errorf("step of %s, %d h: %d requests, %d counted, verdict %s", step, hour, n, s.Accounts[0].BudgetUsed, s.Tokens[0].Verdict)
				}
				left := s.Accounts[0].HeldUntil.Sub(s.Time).Round(time.Minute)
				if left != time.Duration(24-hour)*time.Hour && !test.boots {
					t.Errorf("step of %s, %d h: held for %s", step, hour, left)
				}
				m.Stop()
				time.Sleep(time.Hour)
			}
			time.Sleep(day / 2)
			if scrapeAll(start()); len(api.order()) != 2 {
				t.Errorf("step of %s: %d requests after midnight, want one more", step, len(api.order())-1)
			}
		})
	}
}

// TestBootWithWrongClock checks that a clock that is ahead when the system boots gives no second budget, nor forgets a
// limit that was reached: whatever happens before the first answer shows how old the state is.
func TestBootWithWrongClock(t *testing.T) {
	for name, start := range map[string]func(m *Monitor, api *fakeAPI) (goesOn bool){
		"answers": func(*Monitor, *fakeAPI) bool { return true },
		"stopped": func(m *Monitor, _ *fakeAPI) bool {
			m.Close()
			return false
		},
		"unreachable": func(m *Monitor, api *fakeAPI) bool {
			api.answer = always(probe.Unreachable, 0)
			scrapeAll(m)
			m.Stop()
			return false
		},
		"outage": func(m *Monitor, api *fakeAPI) bool {
			api.answer = always(probe.ServerError, 0)
			scrapeAll(m)
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ahead time.Duration
				var ticks atomic.Int64
				api := new(fakeAPI)
				var store memoryStore
				cfg := tokens(numbered(20)...)
				for boot := range 48 {
					boots := func() *Monitor {
						return New(cfg, Options{
							Connect: api.connect, Logger: slog.New(slog.DiscardHandler), Store: &store, State: store.saved,
							boot: fmt.Sprint(boot), clock: func() instant {
								now := time.Now().Add(time.Duration(ticks.Add(1)))
								return instant{now.Add(ahead), now}
							},
						})
					}
					ahead = 25 * time.Hour
					m := boots()
					goesOn := start(m, api)
					ahead = 0
					if !goesOn {
						m = boots()
					}
					api.answer = func(string) probe.Outcome {
						o := answers(probe.Valid, 1000)
						o.ServerTime = time.Now()
						return o
					}
					for range 30 {
						scrapeAll(m)
						time.Sleep(time.Minute)
					}
					m.Close()
					if used, n := m.Snapshot().Accounts[0].BudgetUsed, int64(api.count("")); used != n {
						t.Fatalf("boot %d: %d requests were counted of %d", boot, used, n)
					}
				}
				if n := api.count(""); n < 100 || n > 250 {
					t.Errorf("%d requests in a day with a budget of 250", n)
				}
			})
		})
	}
}

// TestBootAfterPause checks that what stopped the probes is over when the system was off for days, once the wall clock
// shows that, and that neither an outage at the boot, nor the answers of another account before the clock is set, nor a
// changed configuration leave it unknown.
func TestBootAfterPause(t *testing.T) {
	under := func(account string) *config.Config {
		cfg := tokens("free/0", account+"/1", account+"/2", account+"/3")
		for i := range cfg.Tokens {
			cfg.Tokens[i].Source = config.InlineSource(config.NewSecret(fmt.Sprint(i)))
		}
		return cfg
	}
	slowly := under("held")
	slowly.Pacing.MinInterval = 6 * time.Hour
	split := under("held")
	split.Tokens[1].Account = "other"
	for name, stop := range map[string]probe.Outcome{
		"420": {Result: probe.RateLimited, Sent: true, Throttle: probe.Throttle{Kind: probe.DailyLimit}},
		"limit reached": {Result: probe.Valid, Sent: true, Quota: probe.Quota{
			Limit: 1000, LimitOK: true, Used: 1000, UsedOK: true,
		}},
	} {
		for change, cfg := range map[string]*config.Config{
			"none": under("held"), "renamed": under("renamed"), "split": split, "min_interval": slowly,
		} {
			for _, wrong := range []time.Duration{0, -400 * day} {
				for _, outage := range []bool{false, true} {
					synctest.Test(t, func(t *testing.T) {
						var store memoryStore
						var off, step time.Duration
						boot, answer := "first", stop
						api := &fakeAPI{answer: func(token string) probe.Outcome {
							o := answer
							if token == "0" {
								o = answers(probe.Valid, 1000)
							}
							o.ServerTime = time.Now()
							return o
						}}
						start := func(cfg *config.Config) *Monitor {
							return New(cfg, Options{
								Connect: api.connect, Logger: slog.New(slog.DiscardHandler), Store: &store, State: store.saved,
								boot: boot, clock: func() instant { return instant{time.Now().Add(step), time.Now().Add(-off)} },
							})
						}
						m := start(under("held"))
						scrapeAll(m)
						m.Close()
						time.Sleep(3 * day)
						boot, off, step = "second", 3*day, wrong
						m = start(cfg)
						defer m.Stop()
						if step != 0 {
							scrapeAll(m)
							step = 0
						}
						if outage {
							answer = answers(probe.ServerError, 0)
							scrapeAll(m)
							time.Sleep(61 * time.Minute)
						}
						answer = answers(probe.Valid, 1000)
						api.forget()
						scrapeAll(m)
						time.Sleep(2 * time.Minute)
						scrapeAll(m)
						probed := 0
						for i := 1; i <= 3; i++ {
							probed += min(1, api.count(fmt.Sprint(i)))
						}
						if probed != 3 && !(outage && change == "min_interval") {
							t.Errorf("%s, change %s, clock %s wrong, outage %v: %d tokens probed, want 3",
								name, change, wrong, outage, probed)
						}
					})
				}
			}
		}
	}
}

// TestManyBootsWithWrongClock checks that a clock that is ahead at each boot, or more so with each, does not cost a request per
// boot once the limit is reached, or the budget used up.
func TestManyBootsWithWrongClock(t *testing.T) {
	for name, test := range map[string]struct {
		used  int64 // that the API reports, of 1000
		share float64
		gain  time.Duration // of the clock with each boot
		want  int           // requests: at most
	}{
		"limit reached":  {1000, 0.25, 0, 2}, // the first, and one that asks
		"budget used up": {0, 0.004, 25 * time.Hour, 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var store memoryStore
				var ahead time.Duration
				api := &fakeAPI{answer: func(string) probe.Outcome {
					o := answers(probe.Rejected, 1000)
					o.Quota.Used, o.Quota.UsedOK, o.ServerTime = test.used, true, time.Now()
					return o
				}}
				cfg := tokens(numbered(5)...)
				cfg.Pacing.QuotaShare = test.share
				time.Sleep(time.Hour)
				for boot := range 10 {
					ahead = 25*time.Hour + time.Duration(boot)*test.gain
					m := New(cfg, Options{
						Connect: api.connect, Logger: slog.New(slog.DiscardHandler), Store: &store, State: store.saved,
						boot: fmt.Sprint(boot), clock: func() instant { return instant{time.Now().Add(ahead), time.Now()} },
					})
					scrapeAll(m)
					if test.gain == 0 {
						ahead = 0
					}
					scrapeAll(m)
					m.Close()
					time.Sleep(5 * time.Minute)
				}
				if n := api.count(""); n == 0 || n > test.want {
					t.Errorf("%d requests, want at most %d", n, test.want)
				}
			})
		})
	}
}

// TestRequestsAfterBoot checks that requests count from when they were made, although they were made in the same minute as
// some before the system was off.
func TestRequestsAfterBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store memoryStore
		var off time.Duration
		boot, result := "first", probe.Valid
		api := &fakeAPI{answer: func(string) probe.Outcome {
			o := answers(result, 0)
			o.ServerTime = time.Now()
			return o
		}}
		start := func(names ...string) *Monitor {
			return New(tokens(names...), Options{
				Connect: api.connect, Logger: slog.New(slog.DiscardHandler), Store: &store, State: store.saved,
				boot: boot, clock: func() instant { return instant{time.Now(), time.Now().Add(-off)} },
			})
		}
		m := start(numbered(20)...)
		scrapeAll(m)
		m.Close()
		time.Sleep(3 * day)
		boot, off, result = "second", 3*day, probe.ServerError
		m = start(numbered(40)...)
		defer m.Stop()
		api.forget()
		scrapeAll(m)
		time.Sleep(time.Minute)
		result = probe.Valid
		scrapeAll(m)
		time.Sleep(time.Minute)
		if used, n := m.Snapshot().Accounts[0].BudgetUsed, int64(api.count("")); used != n || n < 20 {
			t.Errorf("%d requests are counted of %d since the boot", used, n)
		}
	})
}

// TestHangingSource checks that a file that hangs stops only its own token, and costs one goroutine.
func TestHangingSource(t *testing.T) {
	api := &fakeAPI{answer: always(probe.Valid, unlimited)}
	m := newMonitor(unpaced("a", "b"), api)
	defer m.Stop()
	hanging := &reading{deadline: time.Now().Add(50 * time.Millisecond), done: make(chan struct{})}
	m.tokens[0].reading = hanging
	m.reads = nil // files that hang take all slots
	for range 3 {
		s := scrapeAll(m)
		if got := s.Tokens[0].Last; got.Result != probe.NoToken || got.Message != errReadTimeout.Error() {
			t.Errorf("the token whose file hangs: %s, %q", got.Result, got.Message)
		}
		if got := s.Tokens[1].Last.Result; got != probe.Valid {
			t.Errorf("the other token: %s", got)
		}
	}
	if m.tokens[0].reading != hanging {
		t.Error("another read was started beside the one that hangs")
	}
	m.reads = make(chan struct{}, 1)
	hanging.secret = config.NewSecret("a")
	close(hanging.done)
	if got := scrapeAll(m).Tokens[0].Last.Result; got != probe.Valid {
		t.Errorf("the file can be read again: %s", got)
	}
}

// TestRestartsWithStaleState checks that restarts that save nothing, because the disk is full, do not each get the full
// bucket that the stored state shows.
func TestRestartsWithStaleState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid, 1000)}
		var store memoryStore
		m := store.restart(tokens("a"), api)
		scrapeAll(m)
		m.Stop()
		time.Sleep(3 * time.Hour)
		api.forget()
		for range 30 {
			m := New(tokens("a"), Options{Connect: api.connect, Logger: slog.New(slog.DiscardHandler), State: store.saved})
			for range 20 {
				scrapeAll(m)
			}
			m.Stop()
		}
		if n := api.count(""); n > 0 {
			t.Errorf("%d requests in 30 restarts that save nothing", n)
		}
	})
}
