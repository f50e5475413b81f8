package check

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// token returns the state of a token whose first and only probe ended two minutes ago, after 12 ms.
func token(name string, result probe.Result, httpStatus int, message string) monitor.TokenState {
	t := monitor.TokenState{
		Token:    config.Token{Name: name, Account: "acme"},
		Probed:   true,
		Interval: 6 * time.Minute,
		Last: probe.Outcome{
			Result: result, HTTPStatus: httpStatus, Message: message,
			Start: noon.Add(-2 * time.Minute), Duration: 12 * time.Millisecond,
		},
	}
	t.ResultSince = t.Last.Start
	if t.Verdict = result.Verdict(); t.Verdict != probe.VerdictUnknown {
		t.Reason, t.Message, t.VerdictTime, t.VerdictSince = result, message, t.Last.Start, t.Last.Start
	}
	return t
}

func valid(name string) monitor.TokenState { return token(name, probe.Valid, 200, "") }

func expiring(t monitor.TokenState, in time.Duration) monitor.TokenState {
	t.ExpiresAt = noon.Add(in)
	return t
}

func of(account string, t monitor.TokenState) monitor.TokenState {
	t.Account = account
	return t
}

func account(name string, used, limit int64) monitor.AccountState {
	return monitor.AccountState{
		Name: name, Budget: limit / 4, Quota: probe.Quota{Used: used, UsedOK: used >= 0, Limit: limit, LimitOK: limit > 0},
	}
}

// at returns the snapshot at noon of these tokens and their accounts.
func at(tokens ...monitor.TokenState) monitor.Snapshot {
	held := account("burst", 200, 1000)
	held.Held, held.HeldUntil = monitor.SlowDown, noon.Add(15*time.Minute)
	accounts := []monitor.AccountState{
		account("acme", 125, 1000), held, account("crowded", 950, 1000),
		account("no-limit", 125, 0), account("no-usage", -1, 1000), account("silent", -1, 0),
	}
	accounts = slices.DeleteFunc(accounts, func(a monitor.AccountState) bool {
		return !slices.ContainsFunc(tokens, func(t monitor.TokenState) bool { return t.Account == a.Name })
	})
	return monitor.Snapshot{Time: noon, Tokens: tokens, Accounts: accounts}
}

// everything is a snapshot of all that can be.
func everything() monitor.Snapshot {
	slow := valid("warehouse")
	slow.Last.Duration = 1530 * time.Millisecond
	lasting := valid("nightly") // whose last probe failed
	lasting.Last.Result, lasting.Last.HTTPStatus, lasting.Last.Message = probe.ServerError, 503, "try again later"
	lasting.VerdictTime = noon.Add(-20 * time.Minute)
	stale := valid("stale")
	stale.Last.Start, stale.VerdictTime = noon.Add(-30*time.Hour), noon.Add(-30*time.Hour)
	once := valid("odd")
	once.Last.Result, once.Last.HTTPStatus, once.Last.Message, once.Unconfirmed = probe.Rejected, 401, "Unauthorized", true
	waiting := monitor.TokenState{Token: config.Token{Name: "waiting", Account: "acme"}}
	waiting.NextProbe = noon.Add(12 * time.Minute)
	held := monitor.TokenState{Token: config.Token{Name: "webhooks", Account: "burst"}}
	held.NextProbe = noon.Add(15 * time.Minute)
	return at(
		valid("reporting"), slow, lasting, stale, once, waiting, held,
		of("no-limit", valid("t10")), of("no-usage", valid("t9")), of("silent", valid("t1")),
		expiring(valid("partner-feed"), 5*24*time.Hour),
		expiring(valid("outlived"), -3*24*time.Hour),
		of("crowded", valid("import")),
		token("mobile-old", probe.Rejected, 401, "Unauthorized: The access token was revoked."),
		token(strings.Repeat("very-long-", 20), probe.Rejected, 403, "AccessToken invalid: "+strings.Repeat("x", 150)),
		token("報告トークン", probe.Rejected, 401, "認証に失敗しました。"+strings.Repeat("漢字", 40)),
		token("old-campaign", probe.Locked, 403, "No API Access: Your account is locked due to an unpaid balance."),
		token("intern", probe.Forbidden, 403, ""),
		expiring(token("lapsed", probe.Forbidden, 403, "Not for you."), -30*time.Minute),
		token("bulk-import", probe.RateLimited, 420, "Chill Out!"),
		token("broken", probe.ServerError, 503, "try again later"),
		token("office", probe.Unexpected, 200, "an HTML page with status 200, not an answer of the API"),
		token("export", probe.Timeout, 0, "no complete answer in time"),
		token("vpn", probe.Unreachable, 0, "dial tcp 192.0.2.1:443: connect: connection refused"),
		token("forgotten", probe.NoToken, 0, "reading the token file: no such file; create it, or correct the path"),
	)
}

// options returns the options of a check that finds the snapshot.
func options(snapshot monitor.Snapshot, format Format) Options {
	return Options{
		Load: func(context.Context) (status.Report, error) {
			return status.NewReport(snapshot, status.DefaultThresholds), nil
		},
		Format: format, Thresholds: status.DefaultThresholds,
		Stdout: Terminal{Writer: new(bytes.Buffer)}, Stderr: Terminal{Writer: new(bytes.Buffer)},
		Getenv: func(string) string { return "" },
	}
}

// withoutWords returns options whose report has placeholders for the sentences about causes and accounts, which are not
// this package's.
func withoutWords(o Options) Options {
	load := o.Load
	o.Load = func(ctx context.Context) (status.Report, error) {
		report, err := load(ctx)
		for i := range report.Tokens {
			token := &report.Tokens[i]
			token.Why = "Meaning of " + token.Cause + "."
			if token.Advice != nil {
				token.Advice = new("Advice on " + token.Cause + ".")
			}
		}
		for i := range report.Accounts {
			account := &report.Accounts[i]
			account.Notes = []string{"Notes on " + account.Name + ".", status.PaceAdvice}
		}
		return report, err
	}
	return o
}

// run runs a check whose streams are buffers.
func run(t *testing.T, o Options) (code int, stdout, stderr string) {
	t.Helper()
	code = Run(t.Context(), o)
	return code, o.Stdout.Writer.(*bytes.Buffer).String(), o.Stderr.Writer.(*bytes.Buffer).String()
}

// golden compares got with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s (go test -update rewrites it); got:\n%s", path, got)
	}
}
