package monitor

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// midnight is where a synctest bubble's clock begins.
var midnight = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func init() { sinceBoot = func() time.Duration { return time.Duration(time.Now().UnixNano()) } }

// fakeAPI answers probes in virtual time. answer is called once per probe with the token's text, one call at a time.
type fakeAPI struct {
	answer  func(token string) probe.Outcome
	delay   func(token string) time.Duration    // nil: none
	timeout time.Duration                       // of a probe; 0: 10 s
	arrived func(token string, o probe.Outcome) // nil, or called when an answer has arrived, one call at a time
	offset  func() time.Duration                // of the wall clock; nil: none

	mu       sync.Mutex
	requests []request
	sessions int // open
}

type request struct {
	token string
	at    time.Time
}

// session is one of fakeAPI's. It stands in for a session of internal/appfigures.
type session struct{ api *fakeAPI }

func (a *fakeAPI) connect(*config.Config) Session {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions++
	return session{a}
}

func (s session) Close() {
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	s.api.sessions--
}

func (s session) Probe(ctx context.Context, secret config.Secret) (probe.Outcome, error) {
	token, start := secret.Reveal(), time.Now()
	s.api.mu.Lock()
	outcome := s.api.answer(token)
	if outcome.Sent {
		s.api.requests = append(s.api.requests, request{token, start})
	}
	var delay time.Duration
	if s.api.delay != nil {
		delay = s.api.delay(token)
	}
	timeout := s.api.timeout
	s.api.mu.Unlock()
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	if delay > 0 { // a timer of 0 can crash the race detector: https://go.dev/issue/78156
		select {
		case <-time.After(min(delay, timeout)):
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return probe.Outcome{}, ctx.Err()
	}
	if delay > timeout {
		outcome = probe.Outcome{Result: probe.Timeout, Sent: true}
	}
	outcome.Start, outcome.Duration = start, time.Since(start)
	if s.api.offset != nil {
		outcome.Start = start.Add(s.api.offset())
	}
	if s.api.arrived != nil {
		s.api.mu.Lock()
		defer s.api.mu.Unlock()
		s.api.arrived(token, outcome)
	}
	return outcome, nil
}

// count returns how many requests were made, with one token or, with "", with all.
func (a *fakeAPI) count(token string) int {
	n := 0
	for _, name := range a.order() {
		if token == "" || name == token {
			n++
		}
	}
	return n
}

// order returns the tokens of the requests, in order.
func (a *fakeAPI) order() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var names []string
	for _, r := range a.requests {
		names = append(names, r.token)
	}
	return names
}

// forget forgets the requests so far.
func (a *fakeAPI) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests = nil
}

// answers returns an outcome as the API gives it; with a quota if limit is not 0.
func answers(result probe.Result, limit int64) probe.Outcome {
	o := probe.Outcome{Result: result, Sent: true, HTTPStatus: 200}
	switch result {
	case probe.Timeout:
		o.HTTPStatus = 0
	case probe.Unreachable:
		o.HTTPStatus, o.Sent = 0, false
	}
	if limit > 0 && result.Answered() {
		o.Quota = probe.Quota{Limit: limit, LimitOK: true}
	}
	return o
}

// slow delays the answers of the token "slow".
func slow(token string) time.Duration {
	if token == "slow" {
		return 9 * time.Second
	}
	return 0
}

func always(result probe.Result, limit int64) func(string) probe.Outcome {
	return func(string) probe.Outcome { return answers(result, limit) }
}

// unlimited is a limit that pacing does not reach.
const unlimited = 1_000_000_000

// tokens returns a configuration of inline tokens, each named by its text. "ACCOUNT/NAME" names an account, too.
func tokens(names ...string) *config.Config {
	cfg := &config.Config{
		Timeout: 10 * time.Second, MaxConcurrency: 50,
		Pacing: config.Pacing{QuotaShare: 0.25, AssumedDailyLimit: 1000, Reserve: 0.05},
	}
	for _, name := range names {
		account, _, found := strings.Cut(name, "/")
		if !found {
			account = "default"
		}
		source := config.InlineSource(config.NewSecret(name))
		cfg.Tokens = append(cfg.Tokens, config.Token{Name: name, Account: account, Source: source})
	}
	return cfg
}

// unpaced returns the same with a budget that pacing does not reach.
func unpaced(names ...string) *config.Config {
	cfg := tokens(names...)
	cfg.Pacing.AssumedDailyLimit = unlimited
	return cfg
}

func newMonitor(cfg *config.Config, api *fakeAPI) *Monitor {
	return New(cfg, Options{Connect: api.connect, Logger: slog.New(slog.DiscardHandler)})
}

// scrapeAll scrapes with a deadline of nine and a half seconds, as Prometheus does by default.
func scrapeAll(m *Monitor, names ...string) Snapshot {
	return m.Scrape(context.Background(), time.Now().Add(9500*time.Millisecond), names...)
}

// memoryStore is a store whose content a restarted monitor gets.
type memoryStore struct {
	mu     sync.Mutex
	saved  state.State
	saves  int
	broken bool
}

func (s *memoryStore) Save(content state.State) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return errors.New("disk full")
	}
	s.saved = content
	s.saves++
	return nil
}

// restart returns a monitor that begins with what the store holds.
func (s *memoryStore) restart(cfg *config.Config, api *fakeAPI) *Monitor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return New(cfg, Options{Connect: api.connect, Logger: slog.New(slog.DiscardHandler), Store: s, State: s.saved})
}
