package monitor

import (
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// TestRestart checks that a restart changes nothing that a snapshot shows but counters, and that it makes no request.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{latency: time.Second, answer: func(secret string) probe.Outcome {
			o := outcome(probe.Valid)
			o.Phases[probe.TLS] = time.Millisecond
			switch secret {
			case "denied":
				o.Result, o.Message, o.HTTPStatus = probe.Rejected, "gone", 401
			case "limited":
				o = probe.Outcome{Result: probe.RateLimited, Sent: true}
			case "pat_hidden":
				o = probe.Outcome{Result: probe.Unreachable}
			}
			return o
		}}
		cfg := configOf("a/valid", "a/denied", "b/limited", "c/unreachable")
		cfg.Tokens[3].Source = config.InlineSource(config.NewSecret("pat_hidden"))
		store := &memoryStore{}
		m := start(t, cfg, api, store)
		m.Scrape(t.Context())
		m.Scrape(t.Context()) // the denial has others looked at again
		m.Close()
		before, requests := store.saved, len(api.requests)

		restarted := start(t, cfg, api, store)
		if s := restarted.Snapshot(); s.Tokens[1].Message != "gone" || s.Accounts[1].Held != RateLimited {
			t.Errorf("after a restart: %+v", s)
		}
		if restarted.Close(); store.saved != before { // it saves what was restored
			t.Errorf("a restart changes the state:\n%s\n%s", store.saved, before)
		} else if strings.Contains(before, "hidden") {
			t.Errorf("the state contains a token: %s", before)
		}
		if start(t, cfg, api, store).Scrape(t.Context()); len(api.requests) != requests {
			t.Errorf("a restart costs %d requests", len(api.requests)-requests)
		}
	})
}

// TestSavedBeforeSent checks that counters are on disk before a request, results soon after, and a failed write later.
func TestSavedBeforeSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, requests := &memoryStore{}, int64(0)
		api := &fakeAPI{answer: func(string) probe.Outcome {
			requests++
			if saved := store.load(t); len(saved.Accounts) != 1 || saved.Accounts[0].Used != requests || !saved.Tokens[0].SecretTried {
				t.Errorf("before request %d the state is %+v", requests, saved)
			}
			return outcome(probe.Valid)
		}}
		m := start(t, configOf("a/one"), api, store)
		time.Sleep(time.Until(m.Scrape(t.Context()).Tokens[0].NextProbe))
		m.Scrape(t.Context())
		synctest.Wait()
		if saved := store.load(t); saved.Tokens[0].Verdict != probe.VerdictValid {
			t.Errorf("after the answer the state is %+v", saved)
		}
		store.saved = ""
		m.Scrape(t.Context())
		if synctest.Wait(); store.saved != "" {
			t.Error("a scrape that probes nothing saves")
		}
		m.LookAgain() // which is to be saved
		store.err = io.ErrShortWrite
		m.Scrape(t.Context())
		synctest.Wait()
		store.err = nil
		m.Scrape(t.Context())
		if synctest.Wait(); store.saved == "" {
			t.Error("a write that failed is not tried again")
		}
	})
}

// TestDiskHangs checks that a disk that hangs stops probes, but no scrape beyond its deadline, and not the end.
func TestDiskHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memoryStore{hang: make(chan struct{})}
		api := &fakeAPI{answer: always(probe.Valid)}
		m := start(t, configOf("a/one", "a/two"), api, store)
		goroutines := runtime.NumGoroutine()
		for range 20 {
			began := time.Now()
			if s := scrapeFor(t, m, 9*time.Second); time.Since(began) != 9*time.Second || s.Tokens[0].Probed {
				t.Errorf("the scrape took %s: %+v", time.Since(began), s.Tokens[0])
			}
		}
		if len(api.requests) != 0 {
			t.Error("a request was sent that is not on disk")
		}
		synctest.Wait()
		if n := runtime.NumGoroutine(); n > goroutines+10 { // those of one scrape, and some that may be ending
			t.Errorf("%d goroutines, %d at the start", n, goroutines)
		}
		began := time.Now()
		if m.Close(); time.Since(began) != closeTimeout {
			t.Errorf("closing took %s", time.Since(began))
		}
		close(store.hang)
	})
}
