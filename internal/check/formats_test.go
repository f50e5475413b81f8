package check

import (
	"context"
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode"

	dto "github.com/prometheus/client_model/go"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

func TestTable(t *testing.T) {
	_, got, _ := run(t, options(everything(), Table))
	golden(t, "table.txt", got)
}

func TestNagios(t *testing.T) {
	snapshot := everything()
	for _, name := range []string{"a|b", "a/b", "a=b"} {
		snapshot.Accounts = append(snapshot.Accounts, account(name, 1, 1000))
	}
	_, got, _ := run(t, options(snapshot, Nagios))
	golden(t, "nagios.txt", got)
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
	if !seen["'a/b (2) quota used'"] || len(seen) != 4+3+3 {
		t.Errorf("labels: %v", seen)
	}
}

func TestJSON(t *testing.T) {
	snapshot := at(token("<a> & b", probe.Rejected, 401, "no"))
	_, got, _ := run(t, options(snapshot, JSON))
	var report status.Report
	if err := json.Unmarshal([]byte(got), &report); err != nil {
		t.Fatal(err)
	}
	if want := status.NewReport(snapshot, status.DefaultThresholds); !reflect.DeepEqual(report, want) {
		t.Errorf("got %+v, want %+v", report, want)
	}
	if !strings.HasSuffix(got, "\n}\n") || !strings.Contains(got, `"name": "<a> & b"`) {
		t.Errorf("not as people read JSON: %s", got)
	}
}

// TestPrometheus checks that what has neither token nor account is left out.
func TestPrometheus(t *testing.T) {
	family := func(name string, labels ...string) *dto.MetricFamily {
		metric := &dto.Metric{Gauge: &dto.Gauge{Value: new(1.0)}}
		for _, label := range labels {
			metric.Label = append(metric.Label, &dto.LabelPair{Name: &label, Value: new("x")})
		}
		return &dto.MetricFamily{Name: &name, Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{metric}}
	}
	o := options(at(token("t", probe.Rejected, 401, "")), Prometheus)
	load := o.Load
	o.Load = func(ctx context.Context) (status.Report, []*dto.MetricFamily, error) {
		report, _, err := load(ctx)
		return report, []*dto.MetricFamily{
			family("up", "token"), family("bare"), family("result", "result", "token"), family("held", "account"),
			family("build_info", "version"), {Name: new("empty"), Type: dto.MetricType_GAUGE.Enum()},
		}, err
	}
	want := "# TYPE up gauge\nup{token=\"x\"} 1\n# TYPE result gauge\nresult{result=\"x\",token=\"x\"} 1\n" +
		"# TYPE held gauge\nheld{account=\"x\"} 1\n"
	if code, stdout, stderr := run(t, o); code != Critical || stdout != want || stderr != "" {
		t.Errorf("exit code %d, %q and %q", code, stdout, stderr)
	}
	o = options(at(valid("t")), Prometheus)
	o.Load = func(ctx context.Context) (status.Report, []*dto.MetricFamily, error) {
		report, _, err := load(ctx)
		return report, nil, err
	}
	if code, _, stderr := run(t, o); code != Unknown || !strings.Contains(stderr, "does not work with --exporter") {
		t.Errorf("without metrics: exit code %d, %q", code, stderr)
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
	first.Notes = []string{hostile}
	report.Accounts[0].Notes = []string{hostile}
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
