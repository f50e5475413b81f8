package status

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
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
	return monitor.Snapshot{
		Time:   now.In(time.FixedZone("CEST", 2*3600)),
		Tokens: []monitor.TokenState{outage, denied, lost, named("shop", unprobed())},
		Accounts: []monitor.AccountState{
			{Name: "acme", Tokens: 3, Quota: used(125, 1000), QuotaReset: now.Add(21 * time.Hour), Limit: 1000,
				Budget: 250, BudgetUsed: 31},
			{Name: "globex10"},
			{Name: "globex", Tokens: 1, Limit: 1000, LimitAssumed: true, Budget: 250, BudgetUsed: 1, Held: monitor.SlowDown,
				HeldUntil: now.Add(15 * time.Minute), SameUserAs: []string{"acme"}},
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

func TestWorstState(t *testing.T) {
	valid, warning := probed(probe.Valid), expiring(probed(probe.Valid), day)
	unknown, denied := probed(probe.Timeout), probed(probe.Locked)
	for _, test := range []struct {
		tokens []monitor.TokenState
		want   string
	}{
		{[]monitor.TokenState{valid, valid}, "valid"},
		{[]monitor.TokenState{valid, warning}, "warning"},
		{[]monitor.TokenState{unknown, warning, valid}, "unknown"},
		{[]monitor.TokenState{valid, unknown, denied, warning}, "denied"},
	} {
		if got := NewReport(monitor.Snapshot{Time: now, Tokens: test.tokens}, DefaultThresholds).State; got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
	}
}

// TestApply checks that a report to which thresholds were applied is the one that was made with them.
func TestApply(t *testing.T) {
	snapshot := monitor.Snapshot{Time: now, Tokens: []monitor.TokenState{
		probed(probe.Valid), expiring(probed(probe.Valid), 5*day), expiring(probed(probe.Valid), -day),
		expiring(probed(probe.Locked), 5*day), probed(probe.Timeout),
	}}
	for _, account := range []monitor.AccountState{{Name: "acme"}, {Name: "acme", Quota: used(700, 1000)}} {
		snapshot.Accounts = []monitor.AccountState{account}
		for _, thresholds := range []Thresholds{DefaultThresholds, {Expiry: day, Quota: 1}, {Expiry: 30 * day, Quota: 0.5}} {
			got, want := NewReport(snapshot, DefaultThresholds), NewReport(snapshot, thresholds)
			got.Apply(thresholds)
			for i := range want.Tokens {
				if g, w := got.Tokens[i], want.Tokens[i]; g.State != w.State || g.Cause != w.Cause || g.Why != w.Why {
					t.Errorf("%+v: token %d is %s (%s), want %s (%s)", thresholds, i, g.State, g.Cause, w.State, w.Cause)
				}
			}
			if got.State != want.State {
				t.Errorf("%+v: state %s, want %s", thresholds, got.State, want.State)
			}
		}
	}
}

func TestSelect(t *testing.T) {
	report := NewReport(example(), DefaultThresholds)
	missing := report.Select([]string{"mobile", "nobody"})
	if !slices.Equal(missing, []string{"nobody"}) || len(report.Tokens) != 1 || len(report.Accounts) != 1 {
		t.Errorf("missing %q, %d tokens, %d accounts", missing, len(report.Tokens), len(report.Accounts))
	}
}
