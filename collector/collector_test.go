package collector_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"

	"github.com/appfigures-exporter/appfigures_exporter/collector"
	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

var update = flag.Bool("update", false, "write docs/metrics.md and testdata/*.prom anew")

// noon is when the snapshots of these tests were taken.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// full is a snapshot that has every metric.
func full() monitor.Snapshot {
	probed := monitor.TokenState{
		Token: config.Token{
			Name: `back\slash "quoted" 令牌`, Account: "acme", ExpiresAt: noon.Add(24 * time.Hour),
			Labels: []config.Label{{Name: "aaa", Value: "first"}, {Name: "team", Value: "growth"}, {Name: "zone", Value: "eu"}},
		},
		Verdict: probe.VerdictValid, VerdictTime: noon.Add(-time.Minute), Since: noon.Add(-time.Hour),
		Probed: true,
		Last: probe.Outcome{
			Result: probe.Timeout, HTTPStatus: 0, Message: "no complete answer in time", Start: noon.Add(-10 * time.Second),
			Duration: 9500 * time.Millisecond,
			Phases:   probe.Phases{time.Millisecond, 2 * time.Millisecond, 3 * time.Millisecond, 4 * time.Second, 0},
		},
		Quota:   probe.Quota{Limit: 1000, Used: 0, LimitOK: true, UsedOK: true},
		Results: [probe.NumResults]uint64{probe.Valid: 7, probe.Timeout: 1},
		Skipped: [monitor.NumReasons]uint64{monitor.Budget: 3},
	}
	denied := monitor.TokenState{
		Token:   config.Token{Name: "denied", Account: "acme"},
		Verdict: probe.VerdictDenied, VerdictTime: noon, Probed: true,
		Last: probe.Outcome{Result: probe.Rejected, HTTPStatus: 403, Start: noon, Duration: time.Millisecond},
	}
	return monitor.Snapshot{
		Time:   noon,
		Tokens: []monitor.TokenState{probed, denied, {Token: config.Token{Name: "not probed yet", Account: "other"}}},
		Accounts: []monitor.AccountState{
			{Name: "acme", Budget: 250, BudgetKnown: true, Used: 8},
			{Name: "other"},
		},
		CertificateExpiry: noon.Add(90 * 24 * time.Hour),
	}
}

// TestExposition compares the whole exposition, absent series included.
func TestExposition(t *testing.T) {
	for name, snapshot := range map[string]monitor.Snapshot{"full": full(), "empty": {Time: noon}} {
		t.Run(name, func(t *testing.T) { golden(t, "testdata/"+name+".prom", exposition(t, snapshot)) })
	}
}

// TestLikeARegistry holds what the client library's registry would check: series are unique and consistent, families
// sorted, nothing carries a timestamp, and the linter has nothing to say.
func TestLikeARegistry(t *testing.T) {
	if _, err := (prometheus.Gatherers{collector.Snapshot(full())}).Gather(); err != nil {
		t.Error(err)
	}
	families, err := collector.Snapshot(full()).Gather()
	if err != nil {
		t.Fatal(err)
	}
	described := make(map[string]collector.Metric)
	for _, m := range collector.Metrics() {
		described[m.Name] = m
	}
	var names []string
	for _, family := range families {
		name := family.GetName()
		names = append(names, name)
		metric, ok := described[name]
		if !ok || metric.Help != family.GetHelp() || metric.Type() != family.GetType() {
			t.Errorf("%s differs from its description %+v", name, metric)
		}
		for _, series := range family.GetMetric() {
			var labels []string
			for _, label := range series.GetLabel() {
				labels = append(labels, label.GetName())
			}
			if !slices.IsSorted(labels) {
				t.Errorf("%s: labels %v are not sorted", name, labels)
			}
			if name == "appfigures_token_info" {
				labels = slices.DeleteFunc(labels, func(l string) bool { return l != "account" && l != "token" })
			}
			if want := slices.Sorted(slices.Values(metric.Labels)); !slices.Equal(labels, want) {
				t.Errorf("%s: labels %v, want %v", name, labels, want)
			}
			if series.TimestampMs != nil {
				t.Errorf("%s carries a timestamp", name)
			}
		}
		delete(described, name)
	}
	if !slices.IsSorted(names) {
		t.Errorf("families are not sorted: %v", names)
	}
	if len(described) > 0 {
		t.Errorf("the full snapshot has no series of %v", described)
	}
	problems, err := promlint.New(strings.NewReader(exposition(t, full()))).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
}

// TestReference holds that docs/metrics.md says what the table says.
func TestReference(t *testing.T) { golden(t, "../docs/metrics.md", collector.Reference()) }

func exposition(t *testing.T, snapshot monitor.Snapshot) string {
	t.Helper()
	families, err := collector.Snapshot(snapshot).Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			t.Error(err)
		}
	}
	return text.String()
}

func golden(t *testing.T, path, got string) {
	t.Helper()
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
		t.Errorf("differs from %s (-update writes it anew):\n%s", path, fmt.Sprint(got))
	}
}
