package monitor

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

// fakeAPI answers probes in virtual time. answer is called for each with the token's text.
type fakeAPI struct {
	answer func(token string) appfigures.Outcome // one call at a time
	delay  func(token string) time.Duration      // nil: none; longer than the probe's time: a timeout

	mu       sync.Mutex
	asked    []ask
	sessions int // open
}

type ask struct {
	token string
	at    time.Time
}

// session is one of fakeAPI's. It stands in for internal/appfigures, down to what the end of a context means.
type session struct{ api *fakeAPI }

func (a *fakeAPI) connect(*config.Config) Open {
	return func(context.Context) Session {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.sessions++
		return session{a}
	}
}

func (s session) Close() {
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	s.api.sessions--
}

func (s session) Probe(ctx context.Context, secret config.Secret) (appfigures.Outcome, error) {
	token, start := secret.Reveal(), time.Now()
	s.api.mu.Lock()
	s.api.asked = append(s.api.asked, ask{token, start})
	s.api.mu.Unlock()
	if s.api.delay != nil {
		timer := time.NewTimer(s.api.delay(token))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			if ctx.Err() == context.Canceled {
				return appfigures.Outcome{}, ctx.Err()
			}
			return appfigures.Outcome{Result: appfigures.Timeout, Sent: true, Start: start, Duration: time.Since(start)}, nil
		}
	}
	s.api.mu.Lock()
	outcome := s.api.answer(token)
	s.api.mu.Unlock()
	outcome.Start, outcome.Duration = start, time.Since(start)
	return outcome, nil
}

// count returns how many probes were made, of one token or, with "", of all.
func (a *fakeAPI) count(token string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, ask := range a.asked {
		if token == "" || ask.token == token {
			n++
		}
	}
	return n
}

// answers returns an outcome as the API gives it, with a status that fits and a quota when limit is not 0.
func answers(result appfigures.Result, limit int64) appfigures.Outcome {
	o := appfigures.Outcome{Result: result, Sent: true, HTTPStatus: 200}
	switch result {
	case appfigures.Timeout:
		o.HTTPStatus = 0
	case appfigures.Unreachable:
		o.HTTPStatus, o.Sent = 0, false
	}
	if limit > 0 && o.HTTPStatus != 0 {
		o.Quota = appfigures.Quota{Limit: limit, LimitOK: true}
	}
	return o
}

func always(result appfigures.Result, limit int64) func(string) appfigures.Outcome {
	return func(string) appfigures.Outcome { return answers(result, limit) }
}

// tokens returns a configuration of inline tokens, each named by its text. "ACCOUNT/NAME" names an account too.
func tokens(names ...string) *config.Config {
	cfg := &config.Config{Timeout: 10 * time.Second, MaxConcurrency: 50, Pacing: config.Pacing{QuotaShare: 0.25}}
	for _, name := range names {
		account, _, found := strings.Cut(name, "/")
		if !found {
			account = "default"
		}
		cfg.Tokens = append(cfg.Tokens, config.Token{Name: name, Account: account, Source: config.InlineSource(config.NewSecret(name))})
	}
	return cfg
}

func newMonitor(cfg *config.Config, api *fakeAPI) *Monitor {
	return New(cfg, api.connect, slog.New(slog.DiscardHandler))
}

// scrape scrapes with a deadline of nine and a half seconds, as Prometheus does by default.
func scrape(m *Monitor, names ...string) Snapshot {
	return m.Scrape(context.Background(), time.Now().Add(9500*time.Millisecond), names...)
}
