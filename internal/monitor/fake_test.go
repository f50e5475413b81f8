package monitor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// fakeAPI answers probes in virtual time.
type fakeAPI struct {
	answer  func(secret string) probe.Outcome // one call at a time
	latency time.Duration

	mu       sync.Mutex
	requests []string // the secret of each, and when it was sent since the test began
}

func (f *fakeAPI) newProber(*config.Config) Prober { return f }

// Probe implements [Prober].
func (f *fakeAPI) Probe(ctx context.Context, secret config.Secret) (probe.Outcome, error) {
	start := time.Now()
	if f.latency > 0 { // a timer of 0 can crash the race detector: https://go.dev/issue/78156
		select {
		case <-time.After(f.latency):
		case <-ctx.Done():
			return probe.Outcome{Sent: true}, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.answer(secret.Reveal())
	o.Start, o.Duration = start, time.Since(start)
	if o.Sent {
		virtual := start.Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) // where testing/synctest begins
		f.requests = append(f.requests, fmt.Sprintf("%s %s", secret.Reveal(), virtual))
	}
	return o, nil
}

// outcome is an answer with that result; the account has plenty left, if the answer is about it.
func outcome(result probe.Result) probe.Outcome {
	o := probe.Outcome{Result: result, Sent: true, CertificateExpiry: noon}
	if result.Answered() && result != probe.Rejected {
		o.Quota = probe.Quota{Limit: 1000, LimitOK: true, Used: 1, UsedOK: true}
	}
	return o
}

// always answers every request alike.
func always(result probe.Result) func(string) probe.Outcome {
	return func(string) probe.Outcome { return outcome(result) }
}

// memoryStore keeps the state as it would be on disk.
type memoryStore struct {
	hang  chan struct{} // if not nil, Save returns when it is closed
	err   error         // if not nil, Save fails
	saved string
}

// Save implements [Store].
func (s *memoryStore) Save(content state.Content) error {
	if s.hang != nil {
		<-s.hang
	}
	if s.err != nil {
		return s.err
	}
	data, err := json.Marshal(content)
	s.saved = string(data)
	return err
}

// load returns what was saved last.
func (s *memoryStore) load(t *testing.T) (content state.Content) {
	t.Helper()
	if err := json.Unmarshal([]byte(cmp.Or(s.saved, "{}")), &content); err != nil {
		t.Fatal(err)
	}
	return content
}

// configOf returns a configuration of tokens written as ACCOUNT/NAME. The secret of each is its name.
func configOf(tokens ...string) *config.Config {
	cfg := &config.Config{Timeout: 10 * time.Second, MaxConcurrency: 10, Pacing: usual}
	for _, text := range tokens {
		account, name, _ := strings.Cut(text, "/")
		source := config.InlineSource(config.NewSecret(name))
		cfg.Tokens = append(cfg.Tokens, config.Token{Name: name, Account: account, Source: source})
	}
	return cfg
}

// numbered returns n tokens of account a.
func numbered(n int) (tokens []string) {
	for i := range n {
		tokens = append(tokens, fmt.Sprintf("a/t%02d", i))
	}
	return tokens
}

// start returns a monitor that ends with the test, and that goes on from what the store has saved, if there is one.
func start(t *testing.T, cfg *config.Config, api *fakeAPI, store *memoryStore) *Monitor {
	o := Options{NewProber: api.newProber, Logger: slog.New(slog.DiscardHandler)}
	if store != nil {
		o.Store, o.State = store, store.load(t)
	}
	m := New(cfg, o)
	t.Cleanup(m.Close)
	return m
}

// scrapeFor scrapes the named tokens, or all, with a deadline that far ahead.
func scrapeFor(t *testing.T, m *Monitor, timeout time.Duration, names ...string) Snapshot {
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return m.Scrape(ctx, names...)
}

// withSeeds runs a test with n random seeds. Its name has the seed.
func withSeeds(t *testing.T, n int, test func(*testing.T, *rand.Rand)) {
	if testing.Short() {
		n = max(1, n/5)
	}
	for range n {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { test(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}
