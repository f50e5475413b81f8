package collector_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/version"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/appfigures-exporter/appfigures_exporter/collector"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

var update = flag.Bool("update", false, "rewrite docs/metrics.md and testdata/*.txt")

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
			Name: `back\slash "quoted" 令牌`, Account: "acme",
			ExpiresAt: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), // its nanoseconds since 1970 overflow 64 bits
			Labels: []config.Label{
				{Name: "aaa", Value: "first"}, {Name: "team", Value: "growth"}, {Name: "zone", Value: "eu"},
			},
		},
		Findings: state.Findings{
			Verdict: probe.VerdictValid, Reason: probe.Valid,
			VerdictTime: noon.Add(-time.Minute), VerdictSince: noon.Add(-time.Hour), Probed: true,
			Last: probe.Outcome{
				Result: probe.Timeout, Message: "no complete answer in time", Start: noon.Add(-10 * time.Second),
				Duration: 9500 * time.Millisecond,
				Phases:   probe.Phases{time.Millisecond, 2 * time.Millisecond, 3 * time.Millisecond, 4 * time.Second, 0},
			},
		},
		Results:    [probe.NumResults]uint64{probe.Valid: 7, probe.Timeout: 1},
		Created:    noon.Add(-2 * time.Hour),
		Interval:   432 * time.Second,
		VerdictDue: noon.Add(-time.Minute).Add(432 * time.Second),
	}
	denied := monitor.TokenState{
		Token: config.Token{Name: "denied", Account: "acme"},
		Findings: state.Findings{
			Verdict: probe.VerdictDenied, Reason: probe.Rejected, VerdictTime: noon, VerdictSince: noon, Probed: true,
			Last: probe.Outcome{Result: probe.Rejected, HTTPStatus: 403, Start: noon, Duration: time.Millisecond},
		},
		Created: noon.Add(-time.Hour), Interval: time.Hour, VerdictDue: noon.Add(time.Hour),
	}
	return monitor.Snapshot{
		Time: noon,
		Tokens: []monitor.TokenState{probed, denied,
			{Token: config.Token{Name: "not probed yet", Account: "other"}, Created: denied.Created}},
		Accounts: []monitor.AccountState{
			{
				Name: "acme", Tokens: 2, Budget: 250, BudgetUsed: 8, Held: monitor.Reserve, Durations: durations,
				Quota:      probe.Quota{Limit: 1000, Used: 970, LimitOK: true, UsedOK: true},
				QuotaReset: noon.Add(12 * time.Hour),
			},
			{Name: "other", Tokens: 1, Budget: 250},
		},
		Unanswered:        state.Unanswered{Probes: 1, Since: noon.Add(-10 * time.Second)},
		CertificateExpiry: noon.Add(90 * 24 * time.Hour),
	}
}

// facts is what an exporter reports about itself.
func facts() collector.Exporter {
	return collector.Exporter{
		Started: noon.Add(-time.Hour), ReloadSuccess: noon.Add(-time.Hour), LogLinesDropped: 2,
		StateKept: true, StateSaved: noon.Add(-time.Minute), StateErrors: 1,
	}
}

// The build has a version, as a release does. Its tags are those of this test: none, which are unknown.
func init() {
	version.Version, version.Revision, version.Branch = "1.2.3", "abc", "main"
	version.GoVersion, version.GoOS, version.GoArch = "go1.26", "linux", "amd64"
}

// series is memory for the expositions of all tests.
var series collector.Series

// all returns the families of a snapshot and those about the exporter.
func all(snapshot monitor.Snapshot, e collector.Exporter) []*dto.MetricFamily {
	return append(series.Families(snapshot), collector.ExporterFamilies(e)...)
}

// TestExposition compares whole expositions: absent series, timestamps, and when counters began are included.
func TestExposition(t *testing.T) {
	for range 2 { // in fresh memory, and in memory that had other series
		golden(t, "testdata/full.txt", exposition(t, all(full(), facts())))
		golden(t, "testdata/empty.txt", exposition(t, all(monitor.Snapshot{Time: noon}, collector.Exporter{Started: noon})))
	}
}

// TestRegistryChecks checks what the client library's registry would: every metric of the table is there with its
// labels, sorted, and series are unique and consistent. It also checks that the linter has nothing to say.
func TestRegistryChecks(t *testing.T) {
	families := all(full(), facts())
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	if got, want := len(families), len(collector.Metrics()); got != want {
		t.Fatalf("%d families, want one for each of %d metrics", got, want)
	}
	for i, metric := range collector.Metrics() {
		if name := families[i].GetName(); name != metric.Name {
			t.Errorf("family %s, want %s", name, metric.Name)
		}
		for _, series := range families[i].GetMetric() {
			var labels []string
			for _, label := range series.GetLabel() {
				if name := label.GetName(); name != "aaa" && name != "team" && name != "zone" { // of the configuration
					labels = append(labels, name)
				}
			}
			if want := slices.Sorted(slices.Values(metric.Labels)); !slices.Equal(labels, want) {
				t.Errorf("%s: labels %v, want %v", metric.Name, labels, want)
			}
		}
	}
	gatherer := prometheus.Gatherers{ // checks that series are unique and their names and labels valid
		prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil }),
	}
	if _, err := gatherer.Gather(); err != nil {
		t.Error(err)
	}
	if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
}

// TestReference checks that docs/metrics.md is made from the table.
func TestReference(t *testing.T) {
	text := template.Must(template.New("reference.md.tmpl").Funcs(template.FuncMap{
		"join": strings.Join, "lower": strings.ToLower,
	}).ParseFiles("testdata/reference.md.tmpl"))
	var b strings.Builder
	err := text.Execute(&b, map[string]any{
		"Metrics": collector.Metrics(),
		"Labels": []labelValues{
			values("result", "appfigures_probe_result, appfigures_probes_total", probe.Results()),
			values("reason", "appfigures_token_denied", probe.Denials()),
			values("reason", "appfigures_account_held", monitor.HoldReasons()),
			values("phase", "appfigures_probe_phase_duration_seconds", probe.AllPhases()),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "../docs/metrics.md", b.String())
}

// labelValues lists the members of a label's closed set.
type labelValues struct{ Label, Metrics, Values string }

func values[T any](label, metrics string, members []T) labelValues {
	names := make([]string, len(members))
	for i, member := range members {
		names[i] = fmt.Sprintf("`%v`", member)
	}
	return labelValues{label, metrics, strings.Join(names, ", ")}
}

// exposition returns the families in the OpenMetrics format, with the times at which counters and histograms began.
func exposition(t *testing.T, families []*dto.MetricFamily) string {
	t.Helper()
	var text bytes.Buffer
	encoder := expfmt.NewEncoder(&text, expfmt.NewFormat(expfmt.TypeOpenMetrics), expfmt.WithCreatedLines())
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
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
		t.Errorf("differs from %s (-update rewrites it):\n%s", path, got)
	}
}
