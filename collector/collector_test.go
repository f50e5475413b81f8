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
		Counters: monitor.Counters{
			Results: [probe.NumResults]uint64{probe.Valid: 7, probe.Timeout: 1}, Created: noon.Add(-2 * time.Hour),
		},
		Interval:   432 * time.Second,
		VerdictDue: noon.Add(-time.Minute).Add(432 * time.Second),
	}
	denied := monitor.TokenState{
		Token:   config.Token{Name: "denied", Account: "acme"},
		Verdict: probe.VerdictDenied, Reason: probe.Rejected, VerdictTime: noon, VerdictSince: noon, Probed: true,
		VerdictDue: noon.Add(time.Hour),
		Last:       probe.Outcome{Result: probe.Rejected, HTTPStatus: 403, Start: noon, Duration: time.Millisecond},
		Counters:   monitor.Counters{Created: noon.Add(-time.Hour)}, Interval: time.Hour,
	}
	return monitor.Snapshot{
		Time: noon,
		Tokens: []monitor.TokenState{probed, denied,
			{Token: config.Token{Name: "not probed yet", Account: "other"}, Counters: denied.Counters}},
		Accounts: []monitor.AccountState{
			{
				Name: "acme", Tokens: 2, Budget: 250, BudgetUsed: 8, Held: monitor.Reserve, Durations: durations,
				Quota:      probe.Quota{Limit: 1000, Used: 970, LimitOK: true, UsedOK: true},
				QuotaReset: noon.Add(12 * time.Hour),
			},
			{Name: "other", Tokens: 1, Budget: 250},
		},
		Unanswered:        monitor.Unanswered{Probes: 1, Since: noon.Add(-10 * time.Second)},
		CertificateExpiry: noon.Add(90 * 24 * time.Hour),
	}
}

// facts is what an exporter reports about itself.
func facts() collector.Exporter {
	return collector.Exporter{
		BuildInfo: map[string]string{
			"version": "3.0.0", "revision": "abc", "branch": "main", "tags": "",
			"goversion": "go1.26", "goos": "linux", "goarch": "amd64",
		},
		Started: noon.Add(-time.Hour), ReloadSuccessful: true, ReloadSuccess: noon.Add(-time.Hour), LogLinesDropped: 2,
		StateFile: monitor.StateFile{Enabled: true, Saved: noon.Add(-time.Minute), Errors: 1},
	}
}

// all returns the families of a snapshot and those about the exporter.
func all(snapshot monitor.Snapshot, e collector.Exporter) []*dto.MetricFamily {
	return append(collector.Families(snapshot), collector.ExporterFamilies(e)...)
}

// TestExposition compares whole expositions, absent series included.
func TestExposition(t *testing.T) {
	golden(t, "testdata/full.prom", exposition(t, all(full(), facts())))
	golden(t, "testdata/empty.prom", exposition(t, all(monitor.Snapshot{Time: noon}, collector.Exporter{})))
}

// TestCreated checks that each counter and histogram has the time at which it began.
func TestCreated(t *testing.T) {
	want := map[string]time.Time{ // by metric, and of probes by token
		`appfigures_probes_total back\slash "quoted" 令牌`: noon.Add(-2 * time.Hour),
		"appfigures_probes_total denied":                 noon.Add(-time.Hour),
		"appfigures_probes_total not probed yet":         noon.Add(-time.Hour),
		"appfigures_api_request_duration_seconds":        noon.Add(-time.Hour),
		"appfigures_exporter_log_lines_dropped_total":    noon.Add(-time.Hour),
		"appfigures_exporter_state_errors_total":         noon.Add(-time.Hour),
	}
	for _, family := range all(full(), facts()) {
		for _, series := range family.GetMetric() {
			name := family.GetName()
			created := series.GetCounter().GetCreatedTimestamp()
			switch family.GetType() {
			case dto.MetricType_GAUGE:
				continue
			case dto.MetricType_HISTOGRAM:
				created = series.GetHistogram().GetCreatedTimestamp()
			}
			if name == "appfigures_probes_total" {
				name += " " + series.GetLabel()[1].GetValue()
			}
			if at, ok := want[name]; !ok || !created.AsTime().Equal(at) {
				t.Errorf("%s began at %v, want %v", name, created.AsTime(), at)
			}
		}
	}
}

// TestRegistryChecks checks what the client library's registry would: series are unique and consistent, families and
// labels sorted, nothing carries a timestamp. It also checks that the linter has nothing to say.
func TestRegistryChecks(t *testing.T) {
	families := all(full(), facts())
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	var described []string
	for _, m := range collector.Metrics() {
		described = append(described, m.Name)
	}
	if got := names(families); !slices.Equal(got, described) {
		t.Errorf("metrics %v, want each of the table once: %v", got, described)
	}
	for i, family := range families {
		metric := collector.Metrics()[i]
		if metric.Help != family.GetHelp() || metric.Type != family.GetType() {
			t.Errorf("%s differs from its description %+v", family.GetName(), metric)
		}
		for _, series := range family.GetMetric() {
			checkSeries(t, metric, series)
		}
	}
	gatherer := prometheus.Gatherers{ // checks that series are unique and their names and labels valid
		prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil }),
	}
	if _, err := gatherer.Gather(); err != nil {
		t.Error(err)
	}
	problems, err := promlint.New(strings.NewReader(exposition(t, families))).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
}

func names(families []*dto.MetricFamily) []string {
	var names []string
	for _, family := range families {
		names = append(names, family.GetName())
	}
	return names
}

// checkSeries checks that a series has the labels of its metric, sorted, and no timestamp.
func checkSeries(t *testing.T, metric collector.Metric, series *dto.Metric) {
	t.Helper()
	var labels []string
	for _, label := range series.GetLabel() {
		labels = append(labels, label.GetName())
	}
	if !slices.IsSorted(labels) {
		t.Errorf("%s: labels %v are not sorted", metric.Name, labels)
	}
	if metric.Name == "appfigures_token_info" { // which has those of the configuration as well
		labels = slices.DeleteFunc(labels, func(l string) bool { return l != "account" && l != "token" })
	}
	if want := slices.Sorted(slices.Values(metric.Labels)); !slices.Equal(labels, want) {
		t.Errorf("%s: labels %v, want %v", metric.Name, labels, want)
	}
	if series.TimestampMs != nil {
		t.Errorf("%s carries a timestamp", metric.Name)
	}
}

// TestFarDates checks that times beyond the range of nanoseconds in 64 bits do not overflow.
func TestFarDates(t *testing.T) {
	for date, want := range map[string]float64{"2000-01-01": 946684800, "9999-12-31": 253402214400} {
		expires, err := time.Parse(time.DateOnly, date)
		if err != nil {
			t.Fatal(err)
		}
		snapshot := monitor.Snapshot{Tokens: []monitor.TokenState{{Token: config.Token{ExpiresAt: expires}}}}
		families := collector.Families(snapshot)
		i := slices.Index(names(families), "appfigures_token_expiry_timestamp_seconds")
		if i < 0 || families[i].GetMetric()[0].GetGauge().GetValue() != want {
			t.Errorf("%s: %v, want %v", date, families, want)
		}
	}
}

// TestReference checks that docs/metrics.md is made from the table.
func TestReference(t *testing.T) { golden(t, "../docs/metrics.md", collector.Reference()) }

func exposition(t *testing.T, families []*dto.MetricFamily) string {
	t.Helper()
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
