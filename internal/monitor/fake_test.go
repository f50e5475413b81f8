package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
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
	requests []sentRequest // that were sent
}

type sentRequest struct {
	secret string
	at     time.Time
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
		f.requests = append(f.requests, sentRequest{secret.Reveal(), start})
	}
	return o, nil
}

// count returns how many requests were sent with a secret; with "", how many in all.
func (f *fakeAPI) count(secret string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.requests {
		if secret == "" || r.secret == secret {
			n++
		}
	}
	return n
}

// always answers every request alike.
func always(result probe.Result) func(string) probe.Outcome {
	return func(string) probe.Outcome { return probe.Outcome{Result: result, Sent: true} }
}

// memoryStore keeps the state as it would be on disk.
type memoryStore struct {
	hang chan struct{} // if not nil, Save returns when it is closed

	mu    sync.Mutex
	saved []byte
	saves int
}

// Save implements [Store].
func (s *memoryStore) Save(content state.Content) error {
	if s.hang != nil {
		<-s.hang
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saves++
	data, err := json.Marshal(content)
	s.saved = data
	return err
}

// load returns what was saved last.
func (s *memoryStore) load(t *testing.T) (content state.Content) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.saved) > 0 {
		if err := json.Unmarshal(s.saved, &content); err != nil {
			t.Fatal(err)
		}
	}
	return content
}

// configOf returns a configuration of tokens written as ACCOUNT/NAME. The secret of each is its name.
func configOf(tokens ...string) *config.Config {
	cfg := &config.Config{Timeout: 10 * time.Second, MaxConcurrency: 10, Pacing: usual}
	for _, text := range tokens {
		account, name, _ := strings.Cut(text, "/")
		cfg.Tokens = append(cfg.Tokens, config.Token{
			Name: name, Account: account, Source: config.InlineSource(config.NewSecret(name)),
		})
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

// start returns a monitor that ends with the test.
func start(t *testing.T, cfg *config.Config, api *fakeAPI, store Store, content state.Content) *Monitor {
	t.Helper()
	m := New(cfg, Options{NewProber: api.newProber, Store: store, State: content, Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(m.Close)
	return m
}

// scrapeAll scrapes all tokens without a deadline.
func scrapeAll(t *testing.T, m *Monitor) Snapshot { return m.Scrape(t.Context()) }

// scrapeFor scrapes the named tokens, or all, with a deadline that far ahead.
func scrapeFor(t *testing.T, m *Monitor, timeout time.Duration, names ...string) Snapshot {
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return m.Scrape(ctx, names...)
}
