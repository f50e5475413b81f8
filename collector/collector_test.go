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
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/appfigures-exporter/appfigures_exporter/collector"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

var update = flag.Bool("update", false, "rewrite docs/metrics.md and testdata/*.prom")

// noon is when the snapshots of these tests were taken.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// full is a snapshot that has every metric about tokens, accounts and the API.
func full() monitor.Snapshot {
	durations := &dto.Histogram{
		SampleCount: new(uint64(3)), SampleSum: new(0.6), CreatedTimestamp: timestamppb.New(noon.Add(-time.Hour)),
		Bucket: []*dto.Bucket{
			{UpperBound: new(0.1), CumulativeCount: new(uint64(1))},
			{UpperBound: new(1.0), CumulativeCount: new(uint64(3))},
		},
	}
	probed := monitor.TokenState{
		Token: config.Token{
			Name: `back\slash "quoted" 令牌`, Account: "acme", ExpiresAt: noon.Add(24 * time.Hour),
			Labels: []config.Label{{Name: "aaa", Value: "first"}, {Name: "team", Value: "growth"}, {Name: "zone", Value: "eu"}},
		},
		Verdict: probe.VerdictValid, Reason: probe.Valid,
		VerdictTime: noon.Add(-time.Minute), VerdictSince: noon.Add(-time.Hour),
		Probed: true,
		Last: probe.Outcome{
			Result: probe.Timeout, Message: "no complete answer in time", Start: noon.Add(-10 * time.Second),
			Duration: 9500 * time.Millisecond,
			Phases:   probe.Phases{time.Millisecond, 2 * time.Millisecond, 3 * time.Millisecond, 4 * time.Second, 0},
		},
		Results:  [probe.NumResults]uint64{probe.Valid: 7, probe.Timeout: 1},
		Skipped:  [monitor.NumSkipReasons]uint64{monitor.SkipBudget: 3},
		Created:  noon.Add(-2 * time.Hour),
		Interval: 384 * time.Second,
	}
	denied := monitor.TokenState{
		Token:   config.Token{Name: "denied", Account: "acme"},
		Verdict: probe.VerdictDenied, Reason: probe.Rejected, VerdictTime: noon, VerdictSince: noon, Probed: true,
		Last:    probe.Outcome{Result: probe.Rejected, HTTPStatus: 403, Start: noon, Duration: time.Millisecond},
		Created: noon.Add(-time.Hour), Interval: time.Hour,
	}
	return monitor.Snapshot{
		Time: noon,
		Tokens: []monitor.TokenState{probed, denied,
			{Token: config.Token{Name: "not probed yet", Account: "other"}, Created: noon.Add(-time.Hour)}},
		Accounts: []monitor.AccountState{
			{
				Name: "acme", Tokens: 2, Budget: 250, BudgetUsed: 8, Held: monitor.Reserve, Durations: durations,
				Quota:      probe.Quota{Limit: 1000, Used: 970, LimitOK: true, UsedOK: true},
				QuotaReset: noon.Add(12 * time.Hour),
			},
			{Name: "other", Tokens: 1, Budget: 250},
		},
		CertificateExpiry: noon.Add(90 * 24 * time.Hour),
	}
}

// facts is what an exporter reports about itself.
func facts() collector.Exporter {
	return collector.Exporter{
		BuildInfo: map[string]string{
			"version": "2.0.0", "revision": "abc", "branch": "main", "tags": "",
			"goversion": "go1.26", "goos": "linux", "goarch": "amd64",
		},
		Started: noon.Add(-time.Hour), ReloadSuccessful: true, ReloadSuccess: noon.Add(-time.Hour), LogLinesDropped: 2,
		StateFile: monitor.StateFile{Enabled: true, Saved: noon.Add(-time.Minute), Errors: 1},
	}
}

// all gathers a snapshot and the facts about the exporter.
func all(snapshot monitor.Snapshot, e collector.Exporter) prometheus.Gatherers {
	exporter := collector.ExporterMetrics(func() collector.Exporter { return e })
	tokens := prometheus.GathererFunc(func() (families []*dto.MetricFamily, err error) {
		for family := range collector.Families(snapshot) {
			families = append(families, proto.CloneOf(family)) // it is valid until the next
		}
		return families, nil
	})
	return prometheus.Gatherers{tokens, exporter}
}

// TestExposition compares whole expositions, absent series included.
func TestExposition(t *testing.T) {
	golden(t, "testdata/full.prom", exposition(t, all(full(), facts())))
	golden(t, "testdata/empty.prom", exposition(t, all(monitor.Snapshot{Time: noon}, collector.Exporter{})))
}

// TestCreated checks that OpenMetrics has the time at which each counter began.
func TestCreated(t *testing.T) {
	var text bytes.Buffer
	encoder := expfmt.NewEncoder(&text, expfmt.NewFormat(expfmt.TypeOpenMetrics), expfmt.WithCreatedLines())
	families, err := all(full(), facts()).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			t.Error(err)
		}
	}
	for _, want := range []string{
		`appfigures_probes_created{result="valid",token="denied"} 1.7954316e+09`,
		`appfigures_probes_created{result="valid",token="back\\slash \"quoted\" 令牌"} 1.795428e+09`,
		"appfigures_exporter_state_errors_created 1.79",
		`appfigures_api_request_duration_seconds_created{account="acme"} 1.79`,
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %s in\n%s", want, text.String())
		}
	}
}

// TestRegistryChecks checks what the client library's registry would: series are unique and consistent, families
// sorted, nothing carries a timestamp, and the linter has nothing to say.
func TestRegistryChecks(t *testing.T) {
	if _, err := all(full(), facts()).Gather(); err != nil {
		t.Error(err)
	}
	families, err := all(full(), facts()).Gather()
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
		if !ok || metric.Help != family.GetHelp() || metric.Type != family.GetType() {
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
	problems, err := promlint.New(strings.NewReader(exposition(t, all(full(), facts())))).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
}

// TestReference checks that docs/metrics.md is made from the table.
func TestReference(t *testing.T) { golden(t, "../docs/metrics.md", collector.Reference()) }

func exposition(t *testing.T, gatherer prometheus.Gatherer) string {
	t.Helper()
	families, err := gatherer.Gather()
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
		t.Errorf("differs from %s (-update rewrites it):\n%s", path, fmt.Sprint(got))
	}
}
