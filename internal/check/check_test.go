package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

const day = 24 * time.Hour

func TestExitCodes(t *testing.T) {
	soon, denied := expiring(valid("soon"), time.Hour), token("denied", probe.Rejected, 401, "")
	down := token("down", probe.Timeout, 0, "")
	tests := []struct {
		name   string
		tokens []monitor.TokenState
		want   int
	}{
		{"all valid", []monitor.TokenState{valid("a"), valid("b")}, OK},
		{"a warning among valid", []monitor.TokenState{valid("a"), soon, valid("b")}, Warning},
		{"no verdict over a warning", []monitor.TokenState{soon, down, valid("a")}, Unknown},
		{"denied over a warning", []monitor.TokenState{denied, soon}, Critical},
		{"denied over no verdict", []monitor.TokenState{down, denied, down}, Critical},
		{"denied over all", []monitor.TokenState{valid("a"), soon, down, denied}, Critical},
		{"a denied token that expires", []monitor.TokenState{expiring(denied, time.Hour)}, Critical},
		{"no verdict on a token that expires", []monitor.TokenState{expiring(down, time.Hour)}, Unknown},
		{"not probed", []monitor.TokenState{valid("a"), {Token: down.Token}}, Unknown},
		{"nearly all of the quota used", []monitor.TokenState{of("crowded", valid("a"))}, Warning},
		{"no tokens", nil, Unknown},
	}
	for _, result := range probe.Results() {
		want := Unknown
		switch result {
		case probe.Valid:
			want = OK
		case probe.Rejected, probe.Locked, probe.Forbidden:
			want = Critical
		default:
		}
		tests = append(tests, struct {
			name   string
			tokens []monitor.TokenState
			want   int
		}{result.String(), []monitor.TokenState{token("t", result, 0, "")}, want})
	}
	for _, test := range tests {
		for _, format := range []Format{Table, JSON, Nagios, Prometheus} {
			o := options(at(test.tokens...), format)
			o.Exposition = func(io.Writer) error { return nil }
			if got, _, _ := run(t, o); got != test.want {
				t.Errorf("%s as %s: exit code %d, want %d", test.name, format, got, test.want)
			}
		}
	}
}

// A report that was made with other thresholds, by a running exporter, is judged by those of the check.
func TestThresholds(t *testing.T) {
	quota := func(used, limit int64) monitor.Snapshot {
		snapshot := at(valid("t"))
		snapshot.Accounts = []monitor.AccountState{account("acme", used, limit)}
		return snapshot
	}
	strict, lax := status.Thresholds{Expiry: 30 * day, Quota: 0.5}, status.Thresholds{Expiry: day, Quota: 0.99}
	tests := []struct {
		name       string
		snapshot   monitor.Snapshot
		thresholds status.Thresholds
		want       int
		note       string // in the table
	}{
		{"no expiry", at(valid("t")), status.DefaultThresholds, OK, ""},
		{"expires in 14 days", at(expiring(valid("t"), 14*day)), status.DefaultThresholds, OK, ""},
		{"expires in under 14 days", at(expiring(valid("t"), 14*day-1)), status.DefaultThresholds, Warning,
			"It expires in 13 days"},
		{"expires now", at(expiring(valid("t"), 0)), status.DefaultThresholds, Warning, "Its expires_at was now"},
		{"expired long ago", at(expiring(valid("t"), -400*day)), status.DefaultThresholds, Warning,
			"Its expires_at was 400 days ago"},
		{"expires in 20 days, strict", at(expiring(valid("t"), 20*day)), strict, Warning,
			"It expires in 20 days (2026-05-24 12:00 UTC)."},
		{"expires in 2 days, lax", at(expiring(valid("t"), 2*day)), lax, OK, ""},
		{"expired, lax", at(expiring(valid("t"), -1)), lax, Warning, "Its expires_at was"},
		{"90 % used", quota(900, 1000), status.DefaultThresholds, OK, ""},
		{"over 90 % used", quota(901, 1000), status.DefaultThresholds, Warning, "has used 901 of 1,000 requests today"},
		{"90 % of a limit that 10 does not divide", quota(2, 3), status.DefaultThresholds, OK, ""},
		{"over the limit", quota(1_000_000_000, 1), status.DefaultThresholds, Warning, "has used 1,000,000,000 of 1"},
		{"51 % used, strict", quota(510, 1000), strict, Warning, "has used 510 of 1,000 requests today"},
		{"95 % used, lax", quota(950, 1000), lax, OK, ""},
		{"only the use is known", quota(5, 0), strict, OK, ""},
		{"only the limit is known", quota(-1, 5), strict, OK, ""},
		{"denied, lax", at(expiring(token("t", probe.Locked, 403, ""), time.Hour)), lax, Critical, ""},
	}
	for _, test := range tests {
		o := options(test.snapshot, Table)
		o.Thresholds = test.thresholds
		code, stdout, _ := run(t, o)
		if code != test.want {
			t.Errorf("%s: exit code %d, want %d", test.name, code, test.want)
		}
		if got := strings.Join(strings.Fields(stdout), " "); !strings.Contains(got, test.note) {
			t.Errorf("%s: the table lacks %q:\n%s", test.name, test.note, stdout)
		}
	}
}

func TestTokens(t *testing.T) {
	snapshot := at(valid("good"), of("crowded", valid("soon")), token("bad", probe.Rejected, 401, ""))
	for _, test := range []struct {
		names []string
		code  int
		want  []string // on standard output
		err   string
	}{
		{nil, Critical, []string{"good", "soon", "bad"}, ""},
		{[]string{"good"}, OK, []string{"good"}, ""},
		{[]string{"soon", "good"}, Warning, []string{"good", "soon"}, ""},
		{[]string{"bad", "bad"}, Critical, []string{"bad"}, ""},
		{[]string{"good", "goood", ""}, Unknown, nil, `no token is named "goood" or ""`},
	} {
		o := options(snapshot, JSON)
		o.Tokens = test.names
		code, stdout, stderr := run(t, o)
		var report status.Report
		_ = json.Unmarshal([]byte(stdout), &report)
		var names []string
		for _, token := range report.Tokens {
			names = append(names, token.Name)
		}
		if code != test.code || fmt.Sprint(names) != fmt.Sprint(test.want) || !strings.Contains(stderr, test.err) {
			t.Errorf("%q: exit code %d, tokens %q and error %q; want %d, %q and %q",
				test.names, code, names, stderr, test.code, test.want, test.err)
		}
		for _, account := range report.Accounts {
			if account.Name != "acme" && len(test.names) == 1 {
				t.Errorf("%q: the report has the account %q", test.names, account.Name)
			}
		}
	}
}

func TestQuiet(t *testing.T) {
	for _, test := range []struct {
		snapshot monitor.Snapshot
		format   Format
		want     string // beginning of standard output
	}{
		{at(valid("good")), Table, ""},
		{at(valid("good"), token("bad", probe.Rejected, 401, "")), Table,
			"  NAME  STATE   RESULT    HTTP     PROBED   TIME  QUOTA\n✗ bad "},
		{at(valid("good")), Nagios, "APPFIGURES OK - 1 token valid |"},
	} {
		o := options(test.snapshot, test.format)
		o.Quiet, o.Note, o.Stderr.Is = true, "a note", true
		_, stdout, stderr := run(t, o)
		asQuiet := test.want != "" || stdout == ""
		if stderr != "" || !strings.HasPrefix(stdout, test.want) || !asQuiet || strings.Contains(stdout, "good") {
			t.Errorf("%s: got %q and errors %q, want %q…", test.format, stdout, stderr, test.want)
		}
	}
}

// TestStandardError checks that only a person who reads the table gets progress and notes.
func TestStandardError(t *testing.T) {
	for _, test := range []struct {
		format   Format
		terminal bool
		want     string
	}{
		{Table, true, "Checking the tokens…\nWithout a state file ….\n"},
		{Table, false, "Without a state file ….\n"},
		{JSON, true, ""}, {Nagios, true, ""}, {Prometheus, true, ""},
	} {
		o := options(at(valid("t")), test.format)
		o.Note, o.Stderr.Is = "Without a state file ….", test.terminal
		o.Exposition = func(io.Writer) error { return nil }
		if _, _, got := run(t, o); got != test.want {
			t.Errorf("%s, terminal %t: %q, want %q", test.format, test.terminal, got, test.want)
		}
	}
}

func TestErrors(t *testing.T) {
	failed := errors.New("reading a | file: gone\nreading another: \x1b[31mgone")
	broken := errors.New("one metric twice")
	for _, test := range []struct {
		name           string
		format         Format
		loadErr        error
		exposition     func(io.Writer) error
		stdout, stderr string
	}{
		{"no state", Table, failed, nil, "",
			"appfigures_exporter: reading a | file: gone\nappfigures_exporter: reading another: �[31mgone\n"},
		{"no state", Nagios, failed, nil,
			"APPFIGURES UNKNOWN - reading a / file: gone; reading another: �[31mgone\n", ""},
		{"metrics of another exporter", Prometheus, failed, nil, "", "appfigures_exporter: --output=prometheus does not work " +
			"with --exporter: let Prometheus scrape the exporter's /metrics\n"},
		{"broken metrics", Prometheus, nil, func(w io.Writer) error { _, _ = io.WriteString(w, "up 1\n"); return broken }, "",
			"appfigures_exporter: making the metrics: one metric twice\n"},
	} {
		o := options(at(token("t", probe.Rejected, 401, "")), test.format)
		o.Exposition = test.exposition
		if test.loadErr != nil {
			o.Load = func(context.Context) (status.Report, error) { return status.Report{}, test.loadErr }
		}
		code, stdout, stderr := run(t, o)
		if code != Unknown || stdout != test.stdout || stderr != test.stderr {
			t.Errorf("%s as %s: exit code %d, %q and %q; want %d, %q and %q",
				test.name, test.format, code, stdout, stderr, Unknown, test.stdout, test.stderr)
		}
	}
}

// writer counts the writes, and fails if it has an error.
type writer struct {
	bytes.Buffer
	err    error
	writes int
}

func (w *writer) Write(p []byte) (int, error) {
	if w.writes++; w.err != nil {
		return 0, w.err
	}
	return w.Buffer.Write(p)
}

// TestWriting checks that the report is written at once, and that a report that cannot be written is not OK.
func TestWriting(t *testing.T) {
	for _, test := range []struct {
		token monitor.TokenState
		err   error
		want  int
	}{
		{valid("t"), nil, OK},
		{valid("t"), errors.New("broken pipe"), Unknown},
		{expiring(valid("t"), time.Hour), errors.New("broken pipe"), Unknown},
		{token("t", probe.Rejected, 401, ""), errors.New("broken pipe"), Critical},
	} {
		for _, format := range []Format{Table, JSON, Nagios, Prometheus} {
			o := options(at(test.token), format)
			o.Exposition = func(w io.Writer) error {
				_, err := io.WriteString(w, strings.Repeat("appfigures_up 1\n", 10_000))
				return err
			}
			out := &writer{err: test.err}
			o.Stdout.Writer = out
			code := Run(t.Context(), o)
			if code != test.want || out.writes != 1 {
				t.Errorf("%s, %v: exit code %d after %d writes, want %d after 1",
					format, test.err, code, out.writes, test.want)
			}
			want := ""
			if test.err != nil {
				want = "appfigures_exporter: writing the report: broken pipe\n"
			}
			if got := o.Stderr.Writer.(*bytes.Buffer).String(); got != want {
				t.Errorf("%s, %v: standard error %q, want %q", format, test.err, got, want)
			}
		}
	}
}
