package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// session answers the n-th probe of a check (counted from 0) with what answer returns, after as long as that says.
type session struct {
	probes atomic.Int64
	answer func(n int) (probe.Outcome, time.Duration)
}

func (s *session) Probe(ctx context.Context, _ config.Secret) (probe.Outcome, error) {
	outcome, after := s.answer(int(s.probes.Add(1)) - 1)
	outcome.Sent, outcome.Start, outcome.Duration = true, time.Now(), after
	select {
	case <-time.After(after):
		return outcome, nil
	case <-ctx.Done():
		return probe.Outcome{}, context.Cause(ctx)
	}
}

func (*session) Close() {}

// checkWith runs a check, by a real monitor, of tokens that have the accounts named.
func checkWith(ctx context.Context, cfg *config.Config, accounts []string, answer func(n int) (probe.Outcome, time.Duration)) (int, jsonReport) {
	for i, account := range accounts {
		cfg.Tokens = append(cfg.Tokens, config.Token{
			Name: fmt.Sprintf("t%d", i), Account: account, Source: config.InlineSource(config.NewSecret("secret")),
		})
	}
	one := &session{answer: answer}
	open := func(*config.Config) monitor.Open { return func(context.Context) monitor.Session { return one } }
	m := monitor.New(cfg, open, slog.New(slog.DiscardHandler))
	defer m.Stop()
	var stdout bytes.Buffer
	code := Run(ctx, Options{
		Config: cfg, Scraper: m, Format: JSON, Stdout: Screen{Writer: &stdout}, Stderr: Screen{Writer: io.Discard}, Getenv: noEnv,
	})
	var report jsonReport
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		panic(err)
	}
	return code, report
}

func noEnv(string) string { return "" }

// resultOf returns the result of a token, "null" for none.
func resultOf(token jsonToken) string {
	if token.Result == nil {
		return "null"
	}
	return *token.Result
}

func TestThereIsTimeForEveryTokenWhenAllHang(t *testing.T) {
	for _, test := range []struct{ tokens, concurrency, accounts int }{
		{1, 50, 1}, {50, 50, 1}, {51, 50, 1}, {40, 1, 1}, {100, 2, 1}, {100, 3, 7}, {60, 2, 60},
	} {
		synctest.Test(t, func(t *testing.T) {
			cfg := &config.Config{Timeout: 10 * time.Second, MaxConcurrency: test.concurrency, Pacing: config.Pacing{QuotaShare: 0.25}}
			accounts := make([]string, test.tokens)
			for i := range accounts {
				accounts[i] = fmt.Sprintf("account%d", i%test.accounts)
			}
			code, report := checkWith(t.Context(), cfg, accounts, func(int) (probe.Outcome, time.Duration) {
				return probe.Outcome{Result: probe.Timeout}, cfg.Timeout
			})
			for _, token := range report.Tokens {
				if got := resultOf(token); got != "timeout" {
					t.Errorf("%+v: %s ended as %s: %s", test, token.Name, got, token.Message)
				}
			}
			if code != Unknown || len(report.Tokens) != test.tokens {
				t.Errorf("%+v: exit code %d with %d tokens, want %d with all", test, code, len(report.Tokens), Unknown)
			}
		})
	}
}

func TestPatience(t *testing.T) {
	for _, test := range []struct {
		timeout             time.Duration
		tokens, concurrency int
		want                time.Duration
	}{
		{9 * time.Second, 1, 50, 30 * time.Second},
		{9 * time.Second, 50, 50, 30 * time.Second},
		{9 * time.Second, 51, 50, 40 * time.Second},
		{9 * time.Second, 7, 1, 90 * time.Second},
		{1<<63 - 1, 1000, 1, 24 * time.Hour},
	} {
		cfg := &config.Config{Timeout: test.timeout, MaxConcurrency: test.concurrency, Tokens: make([]config.Token, test.tokens)}
		if got := patience(cfg); got != test.want {
			t.Errorf("%+v: patience = %v", test, got)
		}
	}
}

func TestTokensThatTheRoundDidNotProbe(t *testing.T) {
	quota := probe.Quota{Limit: 8, LimitOK: true, Used: 1, UsedOK: true}
	for _, test := range []struct {
		name    string
		answer  func(n int) (probe.Outcome, time.Duration)
		cancel  time.Duration
		results string
		message string // of the last token
		code    int
	}{
		{
			name: "the account is held",
			answer: func(n int) (probe.Outcome, time.Duration) {
				if n == 0 {
					return probe.Outcome{Result: probe.Valid, HTTPStatus: 200}, 0
				}
				return probe.Outcome{
					Result: probe.RateLimited, HTTPStatus: 429, Throttle: probe.Throttle{Kind: probe.SlowDown},
				}, 0
			},
			results: "[valid rate_limited rate_limited]",
			message: `not asked: the API wants no more requests of the account "acme" before 2000-01-01 00:15 UTC`,
			code:    Unknown,
		},
		{
			name: "the budget is used up",
			answer: func(int) (probe.Outcome, time.Duration) {
				return probe.Outcome{Result: probe.Valid, HTTPStatus: 200, Quota: quota}, 0
			},
			results: "[valid valid null]",
			message: `not asked: probes may make 2 requests a day with the account "acme", and those before this one took them`,
			code:    Unknown,
		},
		{
			name: "interrupted",
			answer: func(n int) (probe.Outcome, time.Duration) {
				return probe.Outcome{Result: probe.Rejected, HTTPStatus: 401}, time.Duration(n) * time.Second
			},
			cancel:  500 * time.Millisecond,
			results: "[rejected null null]",
			message: "no answer: the check ended before the API gave one",
			code:    Critical,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.cancel > 0 {
					time.AfterFunc(test.cancel, cancel)
				}
				cfg := &config.Config{Timeout: 10 * time.Second, MaxConcurrency: 1, Pacing: config.Pacing{QuotaShare: 0.25}}
				code, report := checkWith(ctx, cfg, []string{"acme", "acme", "acme"}, test.answer)
				var results []string
				for _, token := range report.Tokens {
					results = append(results, resultOf(token))
				}
				if got := fmt.Sprint(results); got != test.results {
					t.Errorf("results %s, want %s", got, test.results)
				}
				last := report.Tokens[2]
				if last.Message != test.message || last.Valid != nil || last.HTTPStatus != 0 || last.DurationSeconds != 0 {
					t.Errorf("the last token is %+v, want no verdict and the message %q", last, test.message)
				}
				if code != test.code {
					t.Errorf("exit code %d, want %d", code, test.code)
				}
			})
		})
	}
}

func TestColoursOnlyWhereTheyAreWelcome(t *testing.T) {
	for _, test := range []struct {
		name     string
		terminal bool
		env      map[string]string
		want     bool
	}{
		{"a terminal", true, map[string]string{"TERM": "xterm"}, true},
		{"a pipe", false, map[string]string{"TERM": "xterm"}, false},
		{"NO_COLOR", true, map[string]string{"NO_COLOR": "1"}, false},
		{"NO_COLOR that is empty", true, map[string]string{"NO_COLOR": ""}, true},
		{"a terminal that knows none", true, map[string]string{"TERM": "dumb"}, false},
	} {
		var stdout bytes.Buffer
		Run(t.Context(), Options{
			Config: &config.Config{MaxConcurrency: 1}, Scraper: found{snapshot: everything()}, Format: Table,
			Stdout: Screen{&stdout, test.terminal, 80}, Stderr: Screen{Writer: io.Discard},
			Getenv: func(name string) string { return test.env[name] },
		})
		if got := strings.Contains(stdout.String(), "\x1b["); got != test.want {
			t.Errorf("%s: colours %v, want %v", test.name, got, test.want)
		}
	}
}

func TestTableIsAsWideAsTheTerminalWithinReason(t *testing.T) {
	for _, test := range []struct {
		screen Screen
		want   int
	}{
		{Screen{}, 80},
		{Screen{Width: 200}, 80},
		{Screen{Terminal: true}, 80},
		{Screen{Terminal: true, Width: 100}, 100},
		{Screen{Terminal: true, Width: 300}, 120},
		{Screen{Terminal: true, Width: 20}, 64},
	} {
		if got := test.screen.columns(); got != test.want {
			t.Errorf("%+v: %d columns, want %d", test.screen, got, test.want)
		}
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestFindingsThatNobodyReadAreNoVerdict(t *testing.T) {
	for _, test := range []struct {
		token monitor.TokenState
		want  int
	}{
		{valid("t"), Unknown},
		{probed("t", probe.Rejected, 401, ""), Critical},
	} {
		var stderr bytes.Buffer
		got := Run(t.Context(), Options{
			Config: &config.Config{MaxConcurrency: 1}, Scraper: found{snapshot: at(noon, test.token)}, Format: JSON,
			Stdout: Screen{Writer: brokenPipe{}}, Stderr: Screen{Writer: &stderr}, Getenv: noEnv,
		})
		if want := "Writing the findings: broken pipe\n"; got != test.want || stderr.String() != want {
			t.Errorf("%v: exit code %d and %q, want %d and %q", test.token.Last.Result, got, stderr.String(), test.want, want)
		}
	}
}
