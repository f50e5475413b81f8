package web

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// threeAtNight is when the tests look at the page.
var threeAtNight = time.Date(2026, 5, 4, 3, 0, 0, 0, time.UTC)

// sentinel is what no page may show: every token's inline secret.
const sentinel = "pat_SENTINEL"

// fakeScraper holds a state that probes do not change, and counts them.
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

// probed returns a token whose last probe, two minutes ago, ended so and said so, for three hours now.
func probed(name string, result probe.Result, status int, message string) monitor.TokenState {
	since := threeAtNight.Add(-3 * time.Hour)
	last := threeAtNight.Add(-2 * time.Minute)
	token := unprobed(name)
	token.Probed = true
	token.Last = probe.Outcome{Result: result, HTTPStatus: status, Message: message, Start: last, Duration: 83 * time.Millisecond}
	token.ResultSince = since
	token.Quota = probe.Quota{Limit: 1000, Used: 125, LimitOK: true, UsedOK: true}
	token.NextDue = threeAtNight.Add(4 * time.Minute)
	if verdict := result.Verdict(); verdict != probe.VerdictUnknown {
		token.Verdict, token.VerdictTime, token.Since = verdict, last, since
		token.Ground = monitor.Ground{Result: result, Message: message}
	}
	return token
}

// unprobed returns a token of which nothing is known.
func unprobed(name string) monitor.TokenState {
	return monitor.TokenState{Token: config.Token{
		Name: name, Account: "acme", Source: config.InlineSource(config.NewSecret(sentinel + name)),
	}}
}

// judged returns the token with an older verdict than its last result.
func judged(token monitor.TokenState, verdict probe.Verdict) monitor.TokenState {
	token.Verdict = verdict
	token.VerdictTime = threeAtNight.Add(-4 * time.Hour)
	token.Since = threeAtNight.Add(-40 * 24 * time.Hour)
	token.Ground = monitor.Ground{Result: probe.Valid}
	if verdict == probe.VerdictDenied {
		token.Ground = monitor.Ground{Result: probe.Locked, Message: "No API Access: it says so"}
	}
	return token
}

// everyState is a snapshot with a token in each state there is, in no particular order.
func everyState() monitor.Snapshot {
	expiring := probed("billing", probe.Valid, 200, "OK")
	expiring.ExpiresAt = threeAtNight.Add(5 * 24 * time.Hour)
	expired := probed("backup", probe.Valid, 200, "OK")
	expired.ExpiresAt = threeAtNight.Add(-26 * time.Hour)
	lasting := probed("reporting", probe.Valid, 200, "OK")
	lasting.ExpiresAt = threeAtNight.Add(270 * 24 * time.Hour)
	lasting.Labels = []config.Label{{Name: "env", Value: "prod"}, {Name: "team", Value: "growth"}}
	noQuota := probed("partner", probe.Valid, 200, "OK")
	noQuota.Quota, noQuota.NextDue = probe.Quota{}, time.Time{}
	greedy := judged(probed("etl", probe.RateLimited, 420, "Chill Out!"), probe.VerdictValid)
	greedy.Account, greedy.Quota.Used = "globex", 1000
	noQuota.FirstSeen.Verdict = true
	busy := probed("sync", probe.Valid, 200, "OK")
	busy.Account, busy.Quota.Used = "initech", 901
	markup := probed(`<script>alert("x")</script>`, probe.Rejected, 403, `<b>AccessToken</b> invalid & "gone"`)
	return monitor.Snapshot{
		Time: threeAtNight,
		Tokens: []monitor.TokenState{
			lasting,
			unprobed("newcomer"),
			probed("mobile", probe.Rejected, 401, "Invalid access token"),
			probed("dashboard", probe.Locked, 403, "No API Access: this account is locked due to an unpaid balance."),
			probed("export", probe.Forbidden, 403, "You may not do that"),
			greedy,
			judged(probed("ci", probe.ServerError, 503, "Service Unavailable"), probe.VerdictDenied),
			judged(probed("slow", probe.Timeout, 0, "context deadline exceeded"), probe.VerdictValid),
			probed("mirror", probe.Unreachable, 0, "dial tcp 192.0.2.1:443: connect: connection refused"),
			probed("staging", probe.Unexpected, 302, ""),
			probed("lost", probe.NoToken, 0, "reading token file /run/secrets/lost: no such file or directory"),
			expiring, expired, noQuota, markup, busy,
		},
		Accounts: []monitor.AccountState{
			{Name: "acme", Budget: 250, BudgetKnown: true, Used: 31},
			{Name: "globex", Budget: 250, BudgetKnown: true, Used: 250,
				HeldUntil: time.Date(2026, 5, 5, 0, 0, 0, 0, time.UTC), HeldFor: probe.DailyLimit},
			{Name: "initech"},
		},
	}
}
