package check

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// token returns the state of a token whose results have been the same for two hours, the last one two minutes ago.
func token(name string, result probe.Result, httpStatus int, message string) monitor.TokenState {
	t := monitor.TokenState{
		Token: config.Token{Name: name, Account: "acme"}, Configured: noon.Add(-2 * time.Hour),
		Probed: true, Interval: 6 * time.Minute, VerdictDue: noon.Add(4 * time.Minute), NextProbe: noon.Add(4 * time.Minute),
		Last: probe.Outcome{
			Result: result, HTTPStatus: httpStatus, Message: message,
			Start: noon.Add(-2 * time.Minute), Duration: 12 * time.Millisecond,
		},
		History: []monitor.PastResult{
			{Time: noon.Add(-2 * time.Hour), Result: result}, {Time: noon.Add(-2 * time.Minute), Result: result},
		},
	}
	if t.Verdict = result.Verdict(); t.Verdict != probe.VerdictUnknown {
		t.Reason, t.Message, t.VerdictTime, t.VerdictSince = result, message, t.Last.Start, noon.Add(-2*time.Hour)
	}
	return t
}

func valid(name string) monitor.TokenState { return token(name, probe.Valid, 200, "") }

func unprobed(name string) monitor.TokenState {
	return monitor.TokenState{
		Token: config.Token{Name: name, Account: "acme"}, Configured: noon.Add(-2 * time.Hour),
		VerdictDue: noon.Add(time.Minute), NextProbe: noon.Add(12 * time.Minute),
	}
}

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
		Name: name, Tokens: 1, Budget: 250, BudgetUsed: 31, Interval: 6 * time.Minute,
		Quota: probe.Quota{Used: used, UsedOK: true, Limit: limit, LimitOK: limit > 0},
	}
}

// at returns the snapshot at noon of these tokens and their accounts.
func at(tokens ...monitor.TokenState) monitor.Snapshot {
	held := account("burst", 200, 1000)
	held.Held, held.HeldUntil = monitor.RateLimited, noon.Add(15*time.Minute)
	slow := account("slow", 0, 0)
	slow.Quota, slow.Limit, slow.LimitAssumed, slow.Interval = probe.Quota{}, 1000, true, 70*time.Minute
	accounts := []monitor.AccountState{account("acme", 125, 1000), held, account("crowded", 950, 1000), slow}
	accounts = slices.DeleteFunc(accounts, func(a monitor.AccountState) bool {
		return !slices.ContainsFunc(tokens, func(t monitor.TokenState) bool { return t.Account == a.Name })
	})
	return monitor.Snapshot{Time: noon, Tokens: tokens, Accounts: accounts}
}

// everything is a snapshot of all that can be.
func everything() monitor.Snapshot {
	lasting := valid("nightly") // whose last probe failed
	lasting.Last.Result, lasting.Last.HTTPStatus, lasting.Last.Message = probe.ServerError, 503, "try again later"
	lasting.VerdictTime = noon.Add(-20 * time.Minute)
	longest := token(strings.Repeat("very-long-", 4), probe.Rejected, 403, "AccessToken invalid")
	longest.SinceStart = true
	return at(
		valid("reporting"), lasting, of("burst", unprobed("webhooks")), of("slow", valid("t10")),
		expiring(valid("partner-feed"), 5*24*time.Hour), of("crowded", valid("import")),
		token("mobile-old", probe.Rejected, 401, "Unauthorized: The access token was revoked."), longest,
		token("報告", probe.Locked, 403, "No API Access: Your account is locked due to an unpaid balance."),
		token("bulk-import", probe.QuotaExhausted, 420, "Chill Out!"),
		token("forgotten", probe.NoToken, 0, "reading the token file: no such file; create it, or correct the path"),
	)
}

// unanswered returns the snapshot while the API has not answered for 12 minutes.
func unanswered(snapshot monitor.Snapshot) monitor.Snapshot {
	snapshot.Unanswered = monitor.Unanswered{Probes: status.UnansweredLimit, Since: noon.Add(-12 * time.Minute)}
	return snapshot
}

// options returns the options of a check that finds the snapshot.
func options(snapshot monitor.Snapshot, format Format) Options {
	return Options{
		Load: func(context.Context) (status.Report, []*dto.MetricFamily, error) {
			return status.NewReport(snapshot, status.DefaultThresholds), []*dto.MetricFamily{}, nil
		},
		Timeout: time.Minute, Format: format, Thresholds: status.DefaultThresholds, Stdout: new(bytes.Buffer), Stderr: new(bytes.Buffer),
	}
}

// run runs a check whose streams are buffers.
func run(t *testing.T, o Options) (code int, stdout, stderr string) {
	t.Helper()
	code = Run(t.Context(), o)
	return code, o.Stdout.(*bytes.Buffer).String(), o.Stderr.(*bytes.Buffer).String()
}
