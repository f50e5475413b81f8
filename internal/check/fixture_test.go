package check

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// found is a scraper that takes a while and finds what it is told to.
type found struct {
	snapshot monitor.Snapshot
	after    time.Duration
}

func (f found) Scrape(context.Context, time.Time, ...string) monitor.Snapshot {
	time.Sleep(f.after)
	return f.snapshot
}

// probed is a token with the result of a probe that took 12 ms and, for those that the API answers, its quota.
func probed(name string, result probe.Result, status int, message string) monitor.TokenState {
	state := monitor.TokenState{
		Token:  config.Token{Name: name, Account: "acme"},
		Probed: true,
		Last: probe.Outcome{
			Result: result, HTTPStatus: status, Message: message, Start: noon, Duration: 12 * time.Millisecond,
		},
	}
	if result.Answered() {
		state.Quota = probe.Quota{Limit: 1000, LimitOK: true, Used: 125, UsedOK: true}
	}
	return state
}

func valid(name string) monitor.TokenState { return probed(name, probe.Valid, 200, "") }

func expiring(token monitor.TokenState, in time.Duration) monitor.TokenState {
	token.ExpiresAt = noon.Add(in)
	return token
}

func withQuota(token monitor.TokenState, used, limit int64) monitor.TokenState {
	token.Quota = probe.Quota{Used: used, UsedOK: true, Limit: limit, LimitOK: true}
	return token
}

// unasked is a token that the round did not probe.
func unasked(name, account string, reasons ...monitor.Reason) monitor.TokenState {
	token := monitor.TokenState{Token: config.Token{Name: name, Account: account}}
	for _, reason := range reasons {
		token.Skipped[reason]++
	}
	return token
}

func at(when time.Time, tokens ...monitor.TokenState) monitor.Snapshot {
	return monitor.Snapshot{Time: when, Tokens: tokens, Accounts: []monitor.AccountState{
		{Name: "acme", Budget: 250, BudgetKnown: true, Used: 10},
		{Name: "burst", Budget: 250, BudgetKnown: true, Used: 2, HeldUntil: noon.Add(15 * time.Minute), HeldFor: probe.SlowDown},
		{Name: "tiny", Budget: 5, BudgetKnown: true, Used: 5},
	}}
}

// everything is a round in which all happens that can happen.
func everything() monitor.Snapshot {
	slow := valid("warehouse")
	slow.Last.Duration = 1530 * time.Millisecond
	usedOnly := valid("no-limit")
	usedOnly.Quota.LimitOK = false
	limitOnly := valid("no-usage")
	limitOnly.Quota.UsedOK = false
	unreported := valid("no-quota")
	unreported.Quota = probe.Quota{}
	long := probed(strings.Repeat("very-long-", 20), probe.Rejected, 403, "AccessToken invalid: "+strings.Repeat("x", 150))
	return at(noon,
		valid("reporting"), slow, usedOnly, limitOnly, unreported,
		expiring(valid("partner-feed"), 5*24*time.Hour),
		expiring(valid("outlived"), -3*24*time.Hour),
		withQuota(valid("crowded"), 950, 1000),
		probed("mobile-old", probe.Rejected, 401, "Unauthorized: The access token was revoked."),
		long,
		probed("報告トークン", probe.Rejected, 401, "認証に失敗しました。"+strings.Repeat("漢字", 40)),
		probed("old-campaign", probe.Locked, 403, "No API Access: Your account is locked due to an unpaid balance."),
		probed("intern", probe.Forbidden, 403, ""),
		expiring(probed("lapsed", probe.Forbidden, 403, "Not for you."), -30*time.Minute),
		withQuota(probed("bulk-import", probe.RateLimited, 420, "Chill Out!"), 1000, 1000),
		unasked("webhooks", "burst", monitor.RateLimited),
		probed("nightly", probe.ServerError, 503, "try again later"),
		probed("office", probe.Unexpected, 200, "an HTML page with status 200, not an answer of the API"),
		probed("export", probe.Timeout, 0, "no complete answer in time"),
		probed("vpn", probe.Unreachable, 0, "dial tcp 192.0.2.1:443: connect: connection refused"),
		probed("forgotten", probe.NoToken, 0, "reading the token file: no such file; create it, or correct the path"),
		unasked("sixth", "tiny", monitor.Budget),
		unasked("last-in-line", "acme", monitor.Deadline),
		unasked("interrupted", "acme"),
	)
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
		t.Errorf("not as in %s (go test -update writes it anew); got:\n%s", path, got)
	}
}
