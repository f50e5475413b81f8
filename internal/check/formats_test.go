package check

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	dto "github.com/prometheus/client_model/go"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestText compares the formats for people and Nagios with files in testdata. In nagios.txt, labels of performance data
// must be unique and without '=', and '|' occurs only before the performance data.
func TestText(t *testing.T) {
	lasting := valid("nightly") // whose last probe failed
	lasting.Last.Result, lasting.Last.HTTPStatus, lasting.Last.Message = probe.ServerError, 503, "try again later"
	lasting.VerdictTime = noon.Add(-20 * time.Minute)
	longest := token(strings.Repeat("very-long-", 4), probe.Rejected, 403, "AccessToken invalid")
	longest.SinceStart = true
	snapshot := at(
		valid("reporting"), lasting, of("burst", unprobed("webhooks")), of("slow", valid("t10")),
		expiring(valid("partner-feed"), 5*24*time.Hour), of("crowded", valid("import")),
		token("mobile-old", probe.Rejected, 401, "Unauthorized: The access token was revoked."), longest,
		token("報告", probe.Locked, 403, "No API Access: Your account is locked due to an unpaid balance."),
		token("bulk-import", probe.QuotaExhausted, 420, "Chill Out!"),
		token("forgotten", probe.NoToken, 0, "reading the token file: no such file; create it, or correct the path"),
	)
	for _, name := range []string{"a|b", "a/b", "a=b"} {
		snapshot.Accounts = append(snapshot.Accounts, account(name, 1, 1000))
		snapshot.Tokens = append(snapshot.Tokens, of(name, valid("of "+name)))
	}
	for _, format := range []Format{Table, Nagios} {
		_, got, _ := run(t, options(snapshot, format))
		path := filepath.Join("testdata", string(format)+".txt")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil || got != string(want) {
			t.Errorf("differs from %s (%v; go test -update rewrites it); got:\n%s", path, err, got)
		}
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
	o := options(at(valid("t")), Prometheus)
	report, _, _ := o.Load(t.Context())
	o.Load = func(context.Context) (status.Report, []*dto.MetricFamily, error) { return report, families, nil }
	want := "# TYPE up gauge\nup{token=\"x\"} 1\n# TYPE held gauge\nheld{account=\"x\"} 1\n"
	if code, stdout, stderr := run(t, o); code != OK || stdout != want || stderr != "" {
		t.Errorf("exit code %d, %q and %q", code, stdout, stderr)
	}
	families, o.Stdout = nil, new(bytes.Buffer) // as from an exporter
	if code, stdout, stderr := run(t, o); code != Unknown || stdout != "" || !strings.Contains(stderr, "with --exporter") {
		t.Errorf("without metrics: exit code %d, %q and %q", code, stdout, stderr)
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
		control := func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }
		if strings.ContainsFunc(stdout, control) || strings.Count(stdout, "\n") != lines {
			t.Errorf("%s: want %d lines of printable text: %q", format, lines, stdout)
		}
	}
}
