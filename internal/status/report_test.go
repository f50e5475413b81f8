package status

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

var update = flag.Bool("update", false, "rewrite the golden file")

// example returns a snapshot with the facts that a report can have, and one token without any.
func example() monitor.Snapshot {
	named := func(name string, token monitor.TokenState) monitor.TokenState {
		token.Name = name
		token.Last.Duration = 83 * time.Millisecond
		token.NextProbe = now.Add(4 * time.Minute)
		return token
	}
	denied := named("mobile", probed(probe.Rejected))
	denied.Last.HTTPStatus, denied.Message = 401, "Invalid access token"
	outage := named("reporting", expiring(decided(probed(probe.Timeout), probe.Valid, 5*time.Minute), 5*day))
	outage.Labels = []config.Label{{Name: "team", Value: "growth"}}
	outage.NextProbe = now
	lost := named("etl", probed(probe.NoToken))
	lost.Account, lost.Last.Message = "globex", "reading the token file: no such file; create it, or correct the path"
	lost.History = []state.Past{{Unix: now.Add(-time.Hour).Unix(), Result: probe.NoToken, Unsent: true}}
	return monitor.Snapshot{
		Time:       now.In(time.FixedZone("CEST", 2*3600)),
		Tokens:     []monitor.TokenState{outage, denied, lost, named("shop", unprobed())},
		Unanswered: state.Unanswered{Probes: 1, Since: now.Add(-2 * time.Minute)},
		Accounts: []monitor.AccountState{
			{Name: "acme", Tokens: 3, Quota: used(125, 1000), QuotaReset: now.Add(21 * time.Hour), Limit: 1000,
				Budget: 250, BudgetUsed: 31, Interval: 29 * time.Minute},
			{Name: "globex", Tokens: 1, Limit: 1000, LimitAssumed: true, Budget: 250, BudgetUsed: 1,
				Interval: 432 * time.Second, Held: monitor.RateLimited, HeldUntil: now.Add(15 * time.Minute)},
		},
	}
}

// TestReport compares a report with testdata/report.json, which is also the documentation's example.
func TestReport(t *testing.T) {
	got, err := json.MarshalIndent(NewReport(example(), DefaultThresholds), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	path := filepath.Join("testdata", "report.json")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs (-update rewrites it). Got:\n%s", path, got)
	}
}

func TestWords(t *testing.T) {
	for offset, want := range map[time.Duration]string{
		0:                              "0 s ago",
		-59 * time.Second:              "59 s ago",
		-90 * time.Second:              "1 min ago",
		-3 * time.Hour:                 "3 h ago",
		-2*time.Hour - 899*time.Second: "2 h 14 min ago",
		-48*time.Hour + 1:              "47 h 59 min ago",
		-48 * time.Hour:                "2 days ago",
		5 * time.Minute:                "in 5 min",
	} {
		if got := Ago(now.Add(offset), now); got != want {
			t.Errorf("Ago(%v) = %q, want %q", offset, got, want)
		}
	}
	token := Token{NextProbe: &now}
	for got, want := range map[string]string{
		Minute(now.In(time.FixedZone("CEST", 2*3600))): "2026-05-04 03:00 UTC",
		token.Next(now.Add(-time.Minute)):              "in 1 min", new(Token).Next(now): "due",
		token.Next(now.Add(1 - time.Second)):          "due",
		(&Account{IntervalSeconds: 70.1 * 60}).Pace(): "every 1 h 10 min",
		Quota{Used: new(int64(5))}.Usage():            "",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
