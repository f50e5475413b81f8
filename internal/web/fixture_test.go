package web

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// threeAtNight is when the tests look at the page.
var threeAtNight = time.Date(2026, 5, 4, 3, 0, 0, 0, time.UTC)

// sentinel begins every token's inline secret, which no response may contain.
const sentinel = "pat_SENTINEL"

// fakeScraper has a state that probes do not change, and counts scrapes.
type fakeScraper struct {
	snapshot monitor.Snapshot
	scrapes  atomic.Int32
	onScrape func(ctx context.Context, deadline time.Time) // nil: return at once
}

func (f *fakeScraper) Scrape(ctx context.Context, deadline time.Time, names ...string) monitor.Snapshot {
	f.scrapes.Add(1)
	if f.onScrape != nil {
		f.onScrape(ctx, deadline)
	}
	return f.Snapshot(names...)
}

func (f *fakeScraper) Snapshot(names ...string) monitor.Snapshot {
	selected := f.snapshot
	if len(names) > 0 {
		selected.Tokens = slices.DeleteFunc(slices.Clone(selected.Tokens), func(token monitor.TokenState) bool {
			return !slices.Contains(names, token.Name)
		})
	}
	return selected
}

func (f *fakeScraper) Has(name string) bool {
	return slices.ContainsFunc(f.snapshot.Tokens, func(token monitor.TokenState) bool { return token.Name == name })
}

// unprobed returns a token of which nothing is known.
func unprobed(name string) monitor.TokenState {
	return monitor.TokenState{
		Token: config.Token{
			Name: name, Account: "acme", Source: config.InlineSource(config.NewSecret(sentinel + name)),
		},
		Interval: 29 * time.Minute,
	}
}

// probed returns a token whose probes have had this result for three hours. The last one was two minutes ago.
func probed(name string, result probe.Result, httpStatus int, message string) monitor.TokenState {
	since := threeAtNight.Add(-3 * time.Hour)
	last := threeAtNight.Add(-2 * time.Minute)
	token := unprobed(name)
	token.Probed = true
	token.Last = probe.Outcome{
		Result: result, HTTPStatus: httpStatus, Message: message, Start: last, Duration: 83 * time.Millisecond,
	}
	token.ResultSince = since
	token.NextProbe = threeAtNight.Add(4 * time.Minute)
	if verdict := result.Verdict(); verdict != probe.VerdictUnknown {
		token.Verdict, token.Reason, token.Message = verdict, result, message
		token.VerdictTime, token.VerdictSince = last, since
	}
	return token
}

// decided returns the token with a verdict that is older than its last result.
func decided(token monitor.TokenState, reason probe.Result, message string, ago time.Duration) monitor.TokenState {
	token.Verdict, token.Reason, token.Message = reason.Verdict(), reason, message
	token.VerdictTime = threeAtNight.Add(-ago)
	token.VerdictSince = threeAtNight.Add(-40 * 24 * time.Hour)
	return token
}

func reported(used, limit int64) probe.Quota {
	return probe.Quota{Limit: limit, Used: used, LimitOK: true, UsedOK: true}
}

// everyState returns a snapshot with tokens in each state, in no particular order.
func everyState() monitor.Snapshot {
	expiring := probed("billing", probe.Valid, 200, "OK")
	expiring.ExpiresAt = threeAtNight.Add(5 * 24 * time.Hour)
	expired := probed("backup", probe.Valid, 200, "OK")
	expired.ExpiresAt = threeAtNight.Add(-26 * time.Hour)
	lasting := probed("reporting", probe.Valid, 200, "OK")
	lasting.ExpiresAt = threeAtNight.Add(270 * 24 * time.Hour)
	lasting.Labels = []config.Label{{Name: "env", Value: "prod"}, {Name: "team", Value: "growth"}}
	recent := probed("partner", probe.Valid, 200, "OK")
	recent.SinceStart, recent.NextProbe = true, time.Time{}
	held := decided(probed("etl", probe.RateLimited, 420, "Chill Out!"), probe.Valid, "OK", 10*time.Minute)
	held.Account, held.NextProbe = "globex", time.Date(2026, 5, 5, 0, 0, 0, 0, time.UTC)
	busy := probed("sync", probe.Valid, 200, "OK")
	busy.Account = "initech"
	shared := probed("shop export", probe.Valid, 200, "OK")
	shared.Account = "initech eu"
	odd := decided(probed("widget", probe.Rejected, 401, "Invalid access token"), probe.Valid, "OK", 6*time.Minute)
	odd.Unconfirmed, odd.Last.Start, odd.NextProbe = true, threeAtNight.Add(-time.Second), time.Time{}
	markup := probed(`<script>alert("x")</script>`, probe.Rejected, 403, `<b>AccessToken</b> invalid & "gone"`)
	return monitor.Snapshot{
		Time: threeAtNight,
		Tokens: []monitor.TokenState{
			lasting,
			unprobed("newcomer"),
			probed("mobile10", probe.Rejected, 401, "Invalid access token"),
			probed("mobile2", probe.Rejected, 401, "Invalid access token"),
			probed("dashboard", probe.Locked, 403, "No API Access: this account is locked due to an unpaid balance."),
			probed("export", probe.Forbidden, 403, "You may not do that"),
			held,
			decided(probed("ci", probe.ServerError, 503, "Service Unavailable"), probe.Locked, "No API Access", 4*time.Hour),
			decided(probed("slow", probe.Timeout, 0, "no response within 10s"), probe.Valid, "OK", 4*time.Hour),
			decided(probed("blip", probe.Timeout, 0, "no response within 10s"), probe.Valid, "OK", 5*time.Minute),
			probed("mirror", probe.Unreachable, 0, "dial tcp 192.0.2.1:443: connect: connection refused"),
			probed("staging", probe.Unexpected, 302, ""),
			decided(probed("lost", probe.NoToken, 0, "reading token file /run/secrets/lost: no such file or directory"),
				probe.Valid, "OK", time.Hour),
			expiring, expired, recent, markup, busy, shared, odd,
		},
		Accounts: []monitor.AccountState{
			{Name: "acme", Tokens: 16, Quota: reported(125, 1000), QuotaReset: threeAtNight.Add(21 * time.Hour),
				Limit: 1000, Budget: 250, BudgetUsed: 31},
			{Name: "globex", Tokens: 1, Quota: reported(800, 800), QuotaReset: threeAtNight.Add(21 * time.Hour),
				Limit: 800, Budget: 200, BudgetUsed: 200, Held: monitor.DailyLimit, HeldUntil: threeAtNight.Add(21 * time.Hour)},
			{Name: "initech", Tokens: 1, Quota: reported(901, 1000), QuotaReset: threeAtNight.Add(21 * time.Hour),
				Limit: 1000, Budget: 250, BudgetUsed: 12, SameUserAs: []string{"initech eu"}},
			{Name: "initech eu", Tokens: 1, Limit: 1000, LimitAssumed: true, Budget: 250, BudgetUsed: 3,
				SameUserAs: []string{"initech"}},
		},
		StateFile: monitor.StateFile{Enabled: true, Saved: threeAtNight.Add(-7 * time.Second)},
	}
}

// manyTokens returns a snapshot of n tokens in accounts of ten. Account acct3 was locked, one in 40 tokens was revoked,
// and one in 25 is hit by an outage.
func manyTokens(n int) monitor.Snapshot {
	snapshot := monitor.Snapshot{Time: threeAtNight, StateFile: monitor.StateFile{Enabled: true, Saved: threeAtNight}}
	for i := range n {
		name, account := fmt.Sprintf("store-%d", i+1), fmt.Sprintf("acct%d", i/10+1)
		token := probed(name, probe.Valid, 200, "OK")
		switch {
		case i/10 == 2:
			token = probed(name, probe.Locked, 403, "No API Access: this account is locked due to an unpaid balance.")
		case i%40 == 7:
			token = probed(name, probe.Rejected, 401, "Invalid access token")
		case i%25 == 3:
			token = decided(probed(name, probe.ServerError, 503, "Service Unavailable"), probe.Valid, "OK", 5*time.Minute)
		}
		token.Account = account
		snapshot.Tokens = append(snapshot.Tokens, token)
		if i%10 == 0 {
			snapshot.Accounts = append(snapshot.Accounts, monitor.AccountState{
				Name: account, Tokens: min(10, n-i), Quota: reported(int64(100+i), 1000),
				QuotaReset: threeAtNight.Add(21 * time.Hour), Limit: 1000, Budget: 250, BudgetUsed: 240,
			})
		}
	}
	return snapshot
}
