package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/appfigures-exporter/appfigures_exporter/collector"
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

// testOptions are those of a healthy exporter; the process' own metrics are one gauge.
func testOptions(scraper Scraper) Options {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "go_info", Help: "Of the process."}))
	return Options{
		Scraper: scraper,
		Exporter: func() collector.Exporter {
			file := monitor.StateFile{Enabled: true, Saved: threeAtNight.Add(-7 * time.Second)}
			return collector.Exporter{ReloadSuccessful: true, StateFile: file}
		},
		Registry:        registry,
		TimeoutOffset:   500 * time.Millisecond,
		TokensOnMetrics: true,
		Healthy:         func() error { return nil },
		Ready:           func() bool { return true },
		Reload:          func() error { return nil },
		LastReload:      func() (time.Time, error) { return threeAtNight, nil },
		Version:         "1.2.3",
		Logger:          slog.New(slog.DiscardHandler),
	}
}

func newHandler(t testing.TB, options Options) http.Handler {
	t.Helper()
	handler, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// ask makes one request with alternating names and values of header fields.
func ask(handler http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, target, nil)
	for pair := range slices.Chunk(header, 2) {
		request.Header.Set(pair[0], pair[1])
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder
}

// unprobed returns a token of which nothing is known.
func unprobed(name string) monitor.TokenState {
	return monitor.TokenState{
		Token: config.Token{
			Name: name, Account: "acme", Source: config.InlineSource(config.NewSecret(sentinel + name)),
		},
		Configured: threeAtNight.Add(-time.Hour),
		Interval:   72 * time.Minute,
		NextProbe:  threeAtNight.Add(4 * time.Minute),
		VerdictDue: threeAtNight.Add(12 * time.Minute),
	}
}

// probed returns a token that has had these results, oldest first, once per interval; the last one two minutes ago.
func probed(name string, results ...probe.Result) monitor.TokenState {
	t := unprobed(name)
	start := threeAtNight.Add(-2 * time.Minute)
	for i, result := range results {
		at := start.Add(-time.Duration(len(results)-1-i) * t.Interval)
		unsent := result == probe.NoToken || result == probe.Unreachable
		t.History = append(t.History, monitor.PastResult{Time: at, Result: result, Unsent: unsent})
		if verdict := result.Verdict(); verdict != probe.VerdictUnknown {
			if t.Verdict != verdict {
				t.VerdictSince, t.SinceStart = at, i == 0
			}
			t.Verdict, t.Reason, t.Message, t.VerdictTime = verdict, result, answers[result].message, at
			t.VerdictDue = at.Add(t.Interval)
		}
	}
	last := results[len(results)-1]
	t.Probed = true
	t.Last = probe.Outcome{
		Result: last, HTTPStatus: answers[last].status, Message: answers[last].message, Start: start,
		Duration: 83 * time.Millisecond,
	}
	return t
}

// answers are the HTTP status and the message of each result.
var answers = map[probe.Result]struct {
	status  int
	message string
}{
	probe.Valid:          {200, "OK"},
	probe.Rejected:       {401, "Invalid access token"},
	probe.Locked:         {403, "No API Access: this account is locked due to an unpaid balance."},
	probe.Forbidden:      {403, "You may not do that"},
	probe.QuotaExhausted: {420, "Chill Out!"},
	probe.RateLimited:    {429, "Too many requests"},
	probe.ServerError:    {503, "Service Unavailable"},
	probe.Unexpected:     {302, ""},
	probe.Timeout:        {0, "no response within 10s"},
	probe.Unreachable:    {0, "dial tcp 192.0.2.1:443: connect: connection refused"},
	probe.NoToken:        {0, "reading token file /run/secrets/lost: no such file or directory"},
}

// times returns a result n times, then others.
func times(n int, result probe.Result, others ...probe.Result) []probe.Result {
	return append(slices.Repeat([]probe.Result{result}, n), others...)
}

func reported(used, limit int64) probe.Quota {
	return probe.Quota{Limit: limit, Used: used, LimitOK: true, UsedOK: true}
}

// everyState returns a snapshot with tokens in each state, in no particular order.
func everyState() monitor.Snapshot {
	labeled := func(t monitor.TokenState, labels ...string) monitor.TokenState {
		for pair := range slices.Chunk(labels, 2) {
			t.Labels = append(t.Labels, config.Label{Name: pair[0], Value: pair[1]})
		}
		return t
	}
	in := func(account string, t monitor.TokenState) monitor.TokenState { t.Account = account; return t }
	expiring := labeled(probed("billing", times(40, probe.Valid)...), "team", "finance")
	expiring.ExpiresAt = threeAtNight.Add(5 * 24 * time.Hour)
	expired := probed("backup", times(40, probe.Valid)...)
	expired.ExpiresAt = threeAtNight.Add(-26 * time.Hour)
	held := in("globex", probed("etl", times(20, probe.Valid, times(3, probe.QuotaExhausted)...)...))
	held.NextProbe = threeAtNight.Add(21 * time.Hour)
	odd := probed("widget", times(12, probe.Valid, probe.Rejected)...)
	odd.Verdict, odd.Reason, odd.Unconfirmed, odd.NextProbe = probe.VerdictValid, probe.Valid, true, time.Time{}
	odd.VerdictTime, odd.VerdictDue = threeAtNight.Add(-74*time.Minute), threeAtNight
	changed := probed("rotated", times(30, probe.Valid)...)
	changed.Probed, changed.Verdict, changed.VerdictTime, changed.VerdictSince =
		false, probe.VerdictUnknown, time.Time{}, time.Time{}
	long := "a-token-name-of-the-length-that-a-generator-gives-to-things-like-eu-central-1-production-reporting"
	reset := threeAtNight.Add(21 * time.Hour)
	return monitor.Snapshot{
		Time: threeAtNight,
		Tokens: []monitor.TokenState{
			labeled(probed("reporting", times(40, probe.Valid)...), "env", "prod", "team", "growth"),
			unprobed("newcomer"),
			labeled(probed("mobile-old", times(22, probe.Valid, times(18, probe.Rejected)...)...), "team", "mobile"),
			probed("dashboard", times(40, probe.Locked)...),
			probed("export", times(3, probe.Valid, probe.Forbidden, probe.Forbidden)...),
			held, expiring, expired, odd, changed,
			probed("ci", times(5, probe.Locked, probe.ServerError)...),
			labeled(probed("slow", times(30, probe.Valid, times(10, probe.Timeout)...)...), "team", "data"),
			probed("blip", times(39, probe.Valid, probe.Timeout)...),
			probed("mirror", times(4, probe.Unreachable)...),
			probed("staging", times(9, probe.Unexpected)...),
			probed("lost", times(8, probe.Valid, probe.NoToken)...),
			labeled(probed(long, times(40, probe.Valid)...), "owner", "an.address.of.some.length@department.example.com"),
			probed(`<script>alert("x")</script>`, probe.Rejected, probe.Rejected),
			in("initech", probed("sync", times(17, probe.Valid)...)),
			in("initech eu", probed("shop export", times(2, probe.Valid)...)),
		},
		Accounts: []monitor.AccountState{
			{Name: "acme", Tokens: 17, Quota: reported(125, 1000), QuotaReset: reset, Limit: 1000, Budget: 250,
				BudgetUsed: 31, Interval: 122 * time.Minute},
			{Name: "globex", Tokens: 1, Quota: reported(800, 800), QuotaReset: reset, Limit: 800, Budget: 200,
				BudgetUsed: 40, Interval: 9 * time.Minute, Held: monitor.QuotaExhausted, HeldUntil: reset},
			{Name: "initech", Tokens: 1, Quota: reported(901, 1000), QuotaReset: reset, Limit: 1000, Budget: 250,
				BudgetUsed: 12, Interval: 432 * time.Second},
			{Name: "initech eu", Tokens: 1, Limit: 1000, LimitAssumed: true, Budget: 250, BudgetUsed: 3,
				Interval: 432 * time.Second},
		},
	}
}
