package monitor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// TestRenamedAccount checks that an account gets no second budget by another name, however often it is renamed, with
// the exporter restarted or not.
func TestRenamedAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid, 1000)}
		var store memoryStore
		under := func(account string) *config.Config {
			cfg := tokens(account+"/a", account+"/b")
			for i := range cfg.Tokens {
				cfg.Tokens[i].Source = config.InlineSource(config.NewSecret(fmt.Sprint(i)))
			}
			return cfg
		}
		m := store.restart(under("first"), api)
		defer func() { m.Stop() }()
		for i := range 23 {
			account := []string{"first", "second", "first", fmt.Sprint("account", i)}[i%4]
			if i%3 == 0 {
				m.Stop()
				m = store.restart(under(account), api)
			} else {
				m.Reload(under(account))
			}
			for range 60 {
				scrapeAll(m)
				time.Sleep(time.Minute)
			}
			if got, want := m.Snapshot(account + "/a").Accounts[0].BudgetUsed, int64(api.count("")); got != want || got > 250 {
				t.Fatalf("hour %d: %s has used %d of 250, the API has seen %d", i, account, got, want)
			}
		}
	})
}

// TestMoveBetweenProbes checks that an account which gave away a token teaches the other nothing from then on.
func TestMoveBetweenProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := answers(probe.RateLimited, 1000)
		full.Throttle = probe.Throttle{Kind: probe.DailyLimit}
		api := &fakeAPI{answer: always(probe.Valid, 1000)}
		m := newMonitor(grouped("A", "A", "B"), api)
		defer m.Stop()
		scrapeAll(m)
		m.Reload(grouped("A", "B", "B"))
		time.Sleep(time.Hour)
		api.answer = func(string) probe.Outcome { return full }
		for _, a := range scrapeAll(m, "token0").Accounts {
			if a.Held != DailyLimit {
				t.Errorf("A is not held")
			}
		}
		if a := m.Snapshot("token2").Accounts[0]; a.Held != NotHeld {
			t.Errorf("B is held by %q, of which no probe was made", a.Held)
		}
	})
}

// grouped returns a configuration of tokens in these accounts, each with the same name and secret in all of them.
func grouped(accounts ...string) *config.Config {
	cfg := tokens(accounts...)
	for i := range cfg.Tokens {
		cfg.Tokens[i].Name = fmt.Sprint("token", i)
		cfg.Tokens[i].Account = accounts[i]
		cfg.Tokens[i].Source = config.InlineSource(config.NewSecret(fmt.Sprint(i)))
	}
	return cfg
}

// TestRegrouped checks that tokens that move to another account bring their requests along. All are of one quota.
func TestRegrouped(t *testing.T) {
	for _, after := range [][]string{
		{"A", "A", "A", "A"}, {"B", "B", "B", "B"}, {"C", "C", "C", "C"}, {"B", "B", "A", "A"}, {"B", "B", "C", "C"}, {"A", "B", "B", "A"},
	} {
		synctest.Test(t, func(t *testing.T) {
			api := &fakeAPI{answer: always(probe.Valid, 40)} // a budget of 10
			m := newMonitor(grouped("A", "A", "B", "B"), api)
			defer m.Stop()
			scrape := func(hours int) {
				for range hours * 60 {
					scrapeAll(m)
					time.Sleep(time.Minute)
				}
			}
			scrape(23)
			made := api.count("")
			m.Reload(grouped(after...))
			for _, a := range m.Snapshot().Accounts {
				if int(a.BudgetUsed) != made && after[0] == after[1] && after[2] == after[0] {
					t.Errorf("%q: %s counts %d requests of %d", after, a.Name, a.BudgetUsed, made)
				}
			}
			scrape(1)
			if n := api.count(""); n > made {
				t.Errorf("%q: %d requests after %d of two accounts with a budget of 10", after, n-made, made)
			}
		})
	}
}

// TestRenamedDuringProbe checks that what a probe shows reaches the account under its new name: here, that the limit is
// reached.
func TestRenamedDuringProbe(t *testing.T) {
	for _, after := range [][]string{{"B", "B", "B"}, {"B", "C", "C"}} {
		synctest.Test(t, func(t *testing.T) {
			full := answers(probe.RateLimited, 1000)
			full.Throttle, full.Quota.Used, full.Quota.UsedOK = probe.Throttle{Kind: probe.DailyLimit}, 1000, true
			api := &fakeAPI{
				answer: func(string) probe.Outcome { return full },
				delay:  func(string) time.Duration { return 5 * time.Second },
			}
			m := newMonitor(grouped("A", "A", "A"), api)
			defer m.Stop()
			go scrapeAll(m)
			time.Sleep(time.Second)
			m.Reload(grouped(after...))
			scrapeAll(m, "token0")
			time.Sleep(time.Minute)
			scrapeAll(m, "token0")
			if n := api.count(""); n != 1 {
				t.Errorf("%q: %d requests, the first of which showed the limit reached", after, n)
			}
		})
	}
}

// TestMoveIntoHeldAccount checks that an account keeps its own hold when it gets the tokens of another.
func TestMoveIntoHeldAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: func(token string) probe.Outcome {
			o := answers(probe.Valid, 1000)
			o.Quota.UsedOK, o.Quota.Used = true, 10
			if token == "0" {
				o.Quota.Used = 1000
			}
			return o
		}}
		m := newMonitor(grouped("A", "B"), api)
		defer m.Stop()
		scrapeAll(m)
		second := grouped("B", "A")
		second.Tokens = second.Tokens[1:]
		m.Reload(second)
		if held := m.Snapshot().Accounts[0].Held; held != DailyLimit {
			t.Errorf("held by %q, want daily_limit", held)
		}
	})
}

// TestRegroupedAgainAndAgain checks that a request counts once, however often its token moves, and also after the token
// was away for a while: over reloads and restarts.
func TestRegroupedAgainAndAgain(t *testing.T) {
	away := grouped("elsewhere")
	away.Tokens[0].Name, away.Tokens[0].Source = "other", config.InlineSource(config.NewSecret("other"))
	for name, turns := range map[string][]*config.Config{
		"swapped":          {grouped("B", "A"), grouped("A", "B")},
		"split and merged": {grouped("A", "A"), grouped("A", "B")},
		"gone and back":    {away, grouped("C", "D"), away, grouped("A", "B")},
		"of one source":    {grouped("B", "B"), grouped("C", "D")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &fakeAPI{answer: always(probe.Valid, 1000)}
				var store memoryStore
				first := grouped("A", "B")
				if name == "of one source" {
					for _, cfg := range append(turns, first) {
						cfg.Tokens[1].Source = cfg.Tokens[0].Source
					}
				}
				m := store.restart(first, api)
				defer func() { m.Stop() }()
				for range 12 * 60 {
					scrapeAll(m)
					time.Sleep(time.Minute)
				}
				made := int64(api.count(""))
				for i := range 24 {
					if cfg := turns[i%len(turns)]; i%3 == 0 {
						m.Stop()
						m = store.restart(cfg, api)
					} else {
						m.Reload(cfg)
					}
					m.dirty = true
					m.persist()
				}
				for _, a := range scrapeAll(m, "token0", "token1").Accounts { // which reads the secrets
					if a.BudgetUsed > made+2 || a.BudgetUsed < made/2-1 {
						t.Errorf("%s counts %d requests of %d", a.Name, a.BudgetUsed, made)
					}
				}
			})
		})
	}
}

// TestOtherAccountOfSameSecrets checks that a configuration with other names for everything brings no second budget, and
// that what is kept of former tokens is bounded.
func TestOtherAccountOfSameSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid, 1000)}
		var store memoryStore
		m := store.restart(tokens(), api)
		for hour := range 48 {
			cfg := grouped(slices.Repeat([]string{fmt.Sprint("account", hour)}, 20)...)
			for i := range cfg.Tokens {
				path := filepath.Join(t.TempDir(), "token")
				if err := os.WriteFile(path, fmt.Append(nil, "secret", i), 0o600); err != nil {
					t.Fatal(err)
				}
				cfg.Tokens[i].Name, cfg.Tokens[i].Source = fmt.Sprintf("token%d-%d", hour, i), config.FileSource(path)
			}
			if hour%2 == 0 {
				m.Reload(cfg)
			} else {
				m.Stop()
				m = store.restart(cfg, api)
			}
			for range 60 {
				scrapeAll(m)
				time.Sleep(time.Minute)
			}
			if hour == 23 && api.count("") > 250 {
				t.Errorf("%d requests in a day with a budget of 250", api.count(""))
			}
		}
		m.Stop()
		if n := len(m.gone); n > 3*250 {
			t.Errorf("%d keys are kept of former tokens", n)
		}
	})
}

// TestMoveFromLargeAccount checks that tokens of an account with a large limit bring neither that limit nor, if the
// account is another, its use.
func TestMoveFromLargeAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: func(token string) probe.Outcome {
			limit, used := int64(100_000), int64(5000)
			if token == "2" {
				limit, used = 1000, 50
			}
			o := answers(probe.Valid, limit)
			o.Quota.Used, o.Quota.UsedOK = used, true
			return o
		}}
		m := newMonitor(grouped("large", "large", "small"), api)
		defer m.Stop()
		scrapeAll(m)
		m.Reload(grouped("large", "small", "small"))
		if a := m.Snapshot("token2").Accounts[0]; a.Budget != 250 || a.Held != NotHeld {
			t.Errorf("a known account: a budget of %d, held by %q", a.Budget, a.Held)
		}
		m.Reload(grouped("new", "large", "small"))
		if a := m.Snapshot("token0").Accounts[0]; a.Budget != 250 || a.Held != NotHeld {
			t.Errorf("a new account: a budget of %d, held by %q", a.Budget, a.Held)
		}
	})
}

// TestMoveToSmallAccount checks that the limit of an account is not that of those which get its tokens.
func TestMoveToSmallAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: func(token string) probe.Outcome {
			if token == "0" {
				return answers(probe.Valid, 3) // a budget of nothing
			}
			return answers(probe.Valid, 1000)
		}}
		m := newMonitor(grouped("trial", "trial", "A"), api)
		defer m.Stop()
		scrapeAll(m)
		m.Reload(grouped("trial", "B", "A"))
		m.Reload(grouped("trial", "B", "B"))
		if a := m.Snapshot("token1").Accounts[0]; a.Budget != 250 {
			t.Errorf("the budget of %s is %d, want 250", a.Name, a.Budget)
		}
	})
}

// TestMoveDuringProbes checks that probes under way or waiting when their token moves to an account that is held neither
// free that account nor are sent.
func TestMoveDuringProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: func(token string) probe.Outcome {
			o := answers(probe.Valid, 10_000)
			o.Quota.UsedOK, o.Quota.Used = true, 7
			if token == "0" {
				o = answers(probe.Valid, 1000)
				o.Quota.UsedOK, o.Quota.Used = true, 1000
			}
			return o
		}}
		group := func(account string) *config.Config {
			cfg := grouped("B", account, account, "A")
			cfg.MaxConcurrency = 1
			return cfg
		}
		m := newMonitor(group("A"), api)
		defer m.Stop()
		scrapeAll(m, "token0")
		api.delay = func(string) time.Duration { return 5 * time.Second }
		go scrapeAll(m, "token1", "token2")
		time.Sleep(time.Second)
		m.Reload(group("B"))
		time.Sleep(time.Minute)
		if b := m.Snapshot().Accounts[1]; b.Held != DailyLimit || b.Limit != 1000 {
			t.Errorf("held by %q, limit %d", b.Held, b.Limit)
		}
		if n := api.count(""); n != 2 {
			t.Errorf("%d requests, want those before the move", n)
		}
	})
}

// TestRemovedDuringFirstProbe checks that the request of a token that leaves the configuration meanwhile counts where its
// secret comes back.
func TestRemovedDuringFirstProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: always(probe.Valid, 1000), delay: func(string) time.Duration { return 5 * time.Second }}
		dir := t.TempDir()
		cfg := func(name string) *config.Config {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte("secret"), 0o600); err != nil {
				t.Fatal(err)
			}
			changed := tokens()
			changed.Tokens = []config.Token{{Name: name, Account: name, Source: config.FileSource(path)}}
			return changed
		}
		m := newMonitor(cfg("first"), api)
		defer m.Stop()
		for i := range 5 {
			go scrapeAll(m)
			time.Sleep(time.Second)
			m.Reload(cfg(fmt.Sprint("next", i)))
			time.Sleep(time.Minute)
		}
		scrapeAll(m)
		if used := m.Snapshot().Accounts[0].BudgetUsed; used != int64(api.count("")) {
			t.Errorf("%d requests are counted of %d", used, api.count(""))
		}
	})
}
