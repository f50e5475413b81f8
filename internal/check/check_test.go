package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/appfigures-exporter/appfigures_exporter/collector"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
	"github.com/appfigures-exporter/appfigures_exporter/internal/web"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// token returns the state of a token whose results have been the same for two hours, the last one two minutes ago.
func token(name string, result probe.Result, httpStatus int, message string) monitor.TokenState {
	t := monitor.TokenState{
		Token: config.Token{Name: name, Account: "acme"},
		Findings: state.Findings{
			Configured: noon.Add(-2 * time.Hour), Probed: true, Last: probe.Outcome{
				Result: result, HTTPStatus: httpStatus, Message: message,
				Start: noon.Add(-2 * time.Minute), Duration: 12 * time.Millisecond,
			},
		},
		Interval: 6 * time.Minute, VerdictDue: noon.Add(4 * time.Minute), NextProbe: noon.Add(4 * time.Minute),
	}
	if t.Verdict = result.Verdict(); t.Verdict != probe.VerdictUnknown {
		t.Reason, t.Message, t.VerdictTime, t.VerdictSince = result, message, t.Last.Start, noon.Add(-2*time.Hour)
	}
	return t
}

func valid(name string) monitor.TokenState { return token(name, probe.Valid, 200, "") }

func unprobed(name string) monitor.TokenState {
	return monitor.TokenState{
		Token:    config.Token{Name: name, Account: "acme"},
		Findings: state.Findings{Configured: noon.Add(-2 * time.Hour)}, VerdictDue: noon.Add(time.Minute), NextProbe: noon.Add(12 * time.Minute),
	}
}

func expiring(t monitor.TokenState, in time.Duration) monitor.TokenState {
	t.ExpiresAt = noon.Add(in)
	return t
}

func of(account string, t monitor.TokenState) monitor.TokenState {
	t.Account = account
	return t
}

func account(name string, used, limit int64) monitor.AccountState {
	return monitor.AccountState{
		Name: name, Tokens: 1, Budget: 250, BudgetUsed: 31, Interval: 6 * time.Minute,
		Quota: probe.Quota{Used: used, UsedOK: true, Limit: limit, LimitOK: limit > 0},
	}
}

// at returns the snapshot at noon of these tokens and their accounts.
func at(tokens ...monitor.TokenState) monitor.Snapshot {
	held := account("burst", 200, 1000)
	held.Held, held.HeldUntil = monitor.RateLimited, noon.Add(15*time.Minute)
	slow := account("slow", 0, 0)
	slow.Quota, slow.Limit, slow.LimitAssumed, slow.Interval = probe.Quota{}, 1000, true, 70*time.Minute
	accounts := []monitor.AccountState{account("acme", 125, 1000), held, account("crowded", 950, 1000), slow}
	accounts = slices.DeleteFunc(accounts, func(a monitor.AccountState) bool {
		return !slices.ContainsFunc(tokens, func(t monitor.TokenState) bool { return t.Account == a.Name })
	})
	return monitor.Snapshot{Time: noon, Tokens: tokens, Accounts: accounts}
}

// unanswered returns the snapshot while the API has not answered for 12 minutes.
func unanswered(snapshot monitor.Snapshot) monitor.Snapshot {
	snapshot.Unanswered = state.Unanswered{Probes: status.UnansweredLimit, Since: noon.Add(-12 * time.Minute)}
	return snapshot
}

// options returns the options of a check that finds the snapshot.
func options(snapshot monitor.Snapshot, format Format) Options {
	return Options{
		Load: func(context.Context) (status.Report, []*dto.MetricFamily, error) {
			return status.NewReport(snapshot, status.DefaultThresholds), []*dto.MetricFamily{}, nil
		},
		Timeout: time.Minute, Format: format, Thresholds: status.DefaultThresholds,
		Stdout: new(bytes.Buffer), Stderr: new(bytes.Buffer),
	}
}

// run runs a check whose streams are buffers.
func run(t *testing.T, o Options) (code int, stdout, stderr string) {
	t.Helper()
	code = Run(t.Context(), o)
	return code, o.Stdout.(*bytes.Buffer).String(), o.Stderr.(*bytes.Buffer).String()
}

// fixed is a scraper of one snapshot.
type fixed monitor.Snapshot

func (f fixed) Snapshot(...string) monitor.Snapshot { return monitor.Snapshot(f) }
func (f fixed) Scrape(context.Context, ...string) monitor.Snapshot {
	return monitor.Snapshot(f)
}

// page returns the text of the status page.
func page(t *testing.T, snapshot monitor.Snapshot) string {
	t.Helper()
	handler, err := web.New(web.Options{
		Scraper: fixed(snapshot), Exporter: func() collector.Exporter { return collector.Exporter{} },
		Registry: prometheus.NewRegistry(), TelemetryPath: "/metrics",
	})
	if err != nil {
		t.Fatal(err)
	}
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, httptest.NewRequest("GET", "/", nil))
	return strings.ReplaceAll(html.UnescapeString(response.Body.String()), "\u00a0", " ")
}

// TestAgreement checks that every format, and the page, say the same of every state.
func TestAgreement(t *testing.T) {
	unverified, once := valid("t"), token("t", probe.Rejected, 401, "Unauthorized")
	unverified.VerdictDue = noon.Add(-3 * time.Hour)
	once.Pending, once.Verdict, once.Reason = probe.Rejected, probe.VerdictUnknown, 0
	type test struct {
		name     string
		snapshot monitor.Snapshot
		code     int
		state    string // and how long so
		cause    string
		headline string
	}
	tests := []test{
		{"not probed", at(unprobed("t")), Unknown, "unknown 2 h", "not_probed", "The token is unknown"},
		{"one denial", at(once), Unknown, "unknown 2 h", "rejected", "The token is unknown"},
		{"not confirmed for long", at(unverified), Unknown, "unknown 2 h", "unverified", "The token is unknown"},
		{"expires", at(expiring(valid("t"), time.Hour)), Warning, "warning 2 h", "expiry", "The token has a warning"},
		{"quota", at(of("crowded", valid("t"))), Warning, "warning 2 h", "quota", "The token has a warning"},
		{"valid, but the API does not answer", unanswered(at(valid("t"))), Warning, "valid 2 h", "valid",
			"Last known: the token is valid. The API has not answered for 12 min."},
	}
	for _, result := range probe.Results() {
		test := test{result.String(), at(token("t", result, 0, "")), Unknown, "unknown 2 h", result.String(),
			"The token is unknown"}
		switch result.Verdict() {
		case probe.VerdictValid:
			test.code, test.state, test.headline = OK, "valid 2 h", "The token is valid"
		case probe.VerdictDenied:
			test.code, test.state, test.headline = Critical, "denied 2 h", "The token is denied"
		}
		tests = append(tests, test)
	}
	for _, test := range tests {
		state, lasting, _ := strings.Cut(test.state, " ")
		texts := make(map[Format]string)
		for _, format := range []Format{Table, JSON, Nagios, Prometheus} {
			code, stdout, stderr := run(t, options(test.snapshot, format))
			if code != test.code || stderr != "" {
				t.Errorf("%s as %s: exit code %d, want %d; %s", test.name, format, code, test.code, stderr)
			}
			texts[format] = stdout
		}
		var report status.Report
		if err := json.Unmarshal([]byte(texts[JSON]), &report); err != nil {
			t.Fatal(err)
		}
		got := report.Tokens[0]
		if string(got.State) != state || got.Cause != test.cause || report.Headline != test.headline {
			t.Errorf("%s: JSON says %s, %s, %q", test.name, got.State, got.Cause, report.Headline)
		}
		why, line := got.Why, fmt.Sprintf("\n%s for %s: t (%s", strings.ToUpper(state), lasting, got.Why)
		if state == "valid" {
			why, line = "", ""
		}
		first := fmt.Sprintf("APPFIGURES %s - %s", nagiosWords[test.code], test.headline)
		for _, want := range []string{first, " " + state + "=1;", line} {
			if !strings.Contains(texts[Nagios], want) {
				t.Errorf("%s: nagios lacks %q:\n%s", test.name, want, texts[Nagios])
			}
		}
		shown := page(t, test.snapshot)
		for _, want := range []string{">" + test.headline + "<", ">" + state + "<", "for " + lasting, why} {
			if !strings.Contains(shown, want) {
				t.Errorf("%s: the page lacks %q:\n%s", test.name, want, shown)
			}
		}
		table := strings.Join(strings.Fields(texts[Table]), " ")
		row := fmt.Sprintf("%s STATE NAME ACCOUNT SINCE RESULT HTTP PROBED NEXT %s t %s %s ago ", test.headline, state,
			got.Account, lasting)
		if !strings.HasPrefix(table, row) || !strings.Contains(table, why) {
			t.Errorf("%s: the table lacks %q or %q:\n%s", test.name, row, why, texts[Table])
		}
	}
}

// TestTokens checks that state, headline and exit code are about the chosen tokens, by the thresholds of the check.
func TestTokens(t *testing.T) {
	snapshot := at(valid("good"), of("crowded", valid("soon")), token("bad", probe.Rejected, 401, ""))
	lax := status.Thresholds{Quota: 1}
	for _, test := range []struct {
		names      []string
		thresholds status.Thresholds
		code       int
		stdout     string // its beginning
	}{
		{nil, lax, Critical, "APPFIGURES CRITICAL - 1 of 3 tokens is denied (bad) |"},
		{[]string{"soon"}, lax, OK, "APPFIGURES OK - The token is valid |"},
		{[]string{"soon", "good"}, status.DefaultThresholds, Warning,
			"APPFIGURES WARNING - 1 of 2 tokens has a warning (soon) |"},
		{[]string{"good", "goood"}, lax, Unknown, "APPFIGURES UNKNOWN - no token is named \"goood\"\n"},
	} {
		o := options(snapshot, Nagios)
		o.Tokens, o.Thresholds = test.names, test.thresholds
		if code, stdout, _ := run(t, o); code != test.code || !strings.HasPrefix(stdout, test.stdout) {
			t.Errorf("%q: exit code %d, want %d; want %q, got %q", test.names, code, test.code, test.stdout, stdout)
		}
	}
}

// TestQuiet checks what is left of the table with and without something wrong.
func TestQuiet(t *testing.T) {
	burst, bad := of("burst", valid("good")), token("bad", probe.Rejected, 401, "")
	for _, test := range []struct {
		snapshot monitor.Snapshot
		want     string
	}{
		{at(burst), ""},
		{unanswered(at(burst)), "Last known: the token is valid. The API has not answered for 12 min.\n\nAccount burst: "},
		{at(valid("good"), bad), "1 of 2 tokens is denied\n\nSTATE NAME ACCOUNT SINCE RESULT HTTP PROBED NEXT\n" +
			"denied bad acme 2 h ago rejected 401 2 min ago in 4 min\n\nbad: The API rejected the token: "},
	} {
		o := options(test.snapshot, Table)
		o.Quiet, o.Note = true, "a note"
		_, stdout, stderr := run(t, o)
		got := regexp.MustCompile(" +").ReplaceAllString(stdout+stderr, " ")
		if !strings.HasPrefix(got, test.want) || (got == "") != (test.want == "") || strings.Contains(got, "acme:") {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

// TestTimeout checks that the report has what is known when the time is up.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(at(valid("known"), unprobed("hangs")), Nagios)
		load, start := o.Load, time.Now()
		o.Timeout = 9 * time.Second
		o.Load = func(ctx context.Context) (status.Report, []*dto.MetricFamily, error) {
			<-ctx.Done()
			return load(ctx)
		}
		code, stdout, _ := run(t, o)
		if code != Unknown || time.Since(start) != o.Timeout || !strings.Contains(stdout, " unknown=1;") ||
			!strings.HasSuffix(stdout, "\nStopped early: probes that have not ended are not in this report.\n") {
			t.Errorf("exit code %d after %v: %s", code, time.Since(start), stdout)
		}
	})
}

// TestFail checks that errors say everything but tokens, where each format's reader looks.
func TestFail(t *testing.T) {
	const secret = "pat_0123456789abcdef"
	failed := errors.New("reading a | file: gone\nreading " + secret + ": \x1b[31mgone")
	redacted := config.Redact(secret)
	for format, want := range map[Format][2]string{
		JSON: {"", "appfigures_exporter: reading a | file: gone\nappfigures_exporter: reading " + redacted +
			": \ufffd[31mgone\n"},
		Nagios: {"APPFIGURES UNKNOWN - reading a / file: gone; reading " + redacted + ": \ufffd[31mgone\n", ""},
	} {
		o := options(at(), format)
		o.Load = func(context.Context) (status.Report, []*dto.MetricFamily, error) { return status.Report{}, nil, failed }
		if code, stdout, stderr := run(t, o); code != Unknown || stdout != want[0] || stderr != want[1] {
			t.Errorf("%s: exit code %d, %q and %q; want %q", format, code, stdout, stderr, want)
		}
	}
}

// TestWriting checks that a report that cannot be written is not OK.
func TestWriting(t *testing.T) {
	o := options(at(valid("t")), Prometheus)
	_, closed := io.Pipe()
	_ = closed.Close()
	o.Stdout = closed
	const want = "appfigures_exporter: writing the report: io: read/write on closed pipe\n"
	if code := Run(t.Context(), o); code != Unknown || o.Stderr.(*bytes.Buffer).String() != want {
		t.Errorf("exit code %d, %q", code, o.Stderr)
	}
}
