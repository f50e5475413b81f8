package check

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	dto "github.com/prometheus/client_model/go"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares the report on a snapshot with a file in testdata.
func golden(t *testing.T, name string, snapshot monitor.Snapshot, format Format) string {
	t.Helper()
	_, got, _ := run(t, options(snapshot, format))
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
		t.Errorf("differs from %s (go test -update rewrites it); got:\n%s", path, got)
	}
	return got
}

func TestTable(t *testing.T) { golden(t, "table.txt", everything(), Table) }

func TestNagios(t *testing.T) {
	snapshot := everything()
	for _, name := range []string{"a|b", "a/b", "a=b"} {
		snapshot.Accounts = append(snapshot.Accounts, account(name, 1, 1000))
		snapshot.Tokens = append(snapshot.Tokens, of(name, valid("of "+name)))
	}
	got := golden(t, "nagios.txt", snapshot, Nagios)
	// The guidelines: 'label'=value[UOM];[warn];[crit];[min];[max]
	_, data, _ := strings.Cut(strings.SplitN(got, "\n", 2)[0], " | ")
	form := regexp.MustCompile(`('[^'=]+'|[^' =]+)=\d+;\d*;\d*;\d*;\d*( |$)`)
	if rest := form.ReplaceAllString(data, ""); rest != "" {
		t.Errorf("malformed performance data: %q", rest)
	}
	seen := make(map[string]bool)
	for _, match := range form.FindAllStringSubmatch(data, -1) {
		if seen[match[1]] {
			t.Errorf("the label %s repeats", match[1])
		}
		seen[match[1]] = true
	}
}

// TestPrometheus checks that what has neither token nor account is left out.
func TestPrometheus(t *testing.T) {
	family := func(name, label string) *dto.MetricFamily {
		return &dto.MetricFamily{Name: &name, Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{
			{Label: []*dto.LabelPair{{Name: &label, Value: new("x")}}, Gauge: &dto.Gauge{Value: new(1.0)}},
		}}
	}
	families := []*dto.MetricFamily{
		family("up", "token"), family("held", "account"), family("build_info", "version"),
		{Name: new("empty"), Type: dto.MetricType_GAUGE.Enum()},
	}
	for _, test := range []struct {
		families       []*dto.MetricFamily
		code           int
		stdout, stderr string
	}{
		{families, OK, "# TYPE up gauge\nup{token=\"x\"} 1\n# TYPE held gauge\nheld{account=\"x\"} 1\n", ""},
		{nil, Unknown, "", "appfigures_exporter: --output=prometheus does not work with --exporter: " +
			"let Prometheus scrape the exporter's /metrics\n"},
	} {
		o := options(at(valid("t")), Prometheus)
		load := o.Load
		o.Load = func(ctx context.Context) (status.Report, []*dto.MetricFamily, error) {
			report, _, err := load(ctx)
			return report, test.families, err
		}
		if code, stdout, stderr := run(t, o); code != test.code || stdout != test.stdout || stderr != test.stderr {
			t.Errorf("exit code %d, %q and %q", code, stdout, stderr)
		}
	}
}

// TestHostileText checks that nothing in a report, which may come from elsewhere, controls the terminal or ends a line.
func TestHostileText(t *testing.T) {
	const hostile = "a\x1b[2J\x9b]0;title\u009b\u202e31m|b\nc"
	snapshot := at(of(hostile, token(hostile, probe.Rejected, 401, hostile)))
	snapshot.Accounts = []monitor.AccountState{account(hostile, 999, 1000)}
	report := status.NewReport(snapshot, status.DefaultThresholds)
	first := &report.Tokens[0]
	first.Cause, first.Result, first.Why, first.Advice = hostile, new(hostile), hostile, new(hostile)
	first.Notes, report.Accounts[0].Notes = []string{hostile}, []string{hostile}
	for format, lines := range map[Format]int{Table: 9, Nagios: 3} {
		o := options(snapshot, format)
		o.Load = func(context.Context) (status.Report, []*dto.MetricFamily, error) { return report, nil, nil }
		_, stdout, _ := run(t, o)
		for _, r := range stdout {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("%s: the report contains %U:\n%q", format, r, stdout)
			}
		}
		if got := strings.Count(stdout, "\n"); got != lines {
			t.Errorf("%s: %d lines, want %d:\n%s", format, got, lines, stdout)
		}
		if pipes := strings.Count(stdout, "|"); format == Nagios && pipes != 1 {
			t.Errorf("%d times '|' in %s", pipes, stdout)
		}
	}
}
