package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

// TestAgreement checks that every format says the same of every state.
func TestAgreement(t *testing.T) {
	unverified, changed := valid("t"), unprobed("t")
	unverified.VerdictDue = noon.Add(-3 * time.Hour)
	changed.History = unverified.History
	once := token("t", probe.Rejected, 401, "Unauthorized")
	once.Unconfirmed, once.Verdict = true, probe.VerdictUnknown
	type test struct {
		name     string
		snapshot monitor.Snapshot
		code     int
		state    string // and how long so
		cause    string
		headline string
	}
	tests := []test{
		{"not probed", at(unprobed("t")), Unknown, "unknown 2 h", "not_probed", "Nothing has been probed yet"},
		{"secret changed", at(changed), Unknown, "unknown -", "secret_changed", "The token is unknown"},
		{"one denial", at(once), Unknown, "unknown 2 h", "unconfirmed", "The token is unknown"},
		{"not confirmed for long", at(unverified), Unknown, "unknown 2 h", "unverified", "The token is unknown"},
		{"expires", at(expiring(valid("t"), time.Hour)), Warning, "warning 2 h", "expiry", "The token has a warning"},
		{"quota", at(of("crowded", valid("t"))), Warning, "warning 2 h", "quota", "The token has a warning"},
		{"valid, but the API does not answer", unanswered(at(valid("t"))), Warning, "valid 2 h", "valid",
			"Last known: the token is valid. The API has not answered for 12 min."},
		{"denied, and the API does not answer", unanswered(at(token("t", probe.Locked, 403, ""))), Critical, "denied 2 h",
			"locked", "The token is denied. The API has not answered for 12 min."},
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
		switch {
		case state == "valid":
			why, line = "", ""
		case lasting == "-":
			line = strings.Replace(line, " for -", "", 1)
		}
		if want := fmt.Sprintf("APPFIGURES %s - %s", nagiosWords[test.code], test.headline); !strings.HasPrefix(
			texts[Nagios], want) || !strings.Contains(texts[Nagios], line) || !strings.Contains(texts[Nagios], state+"=1;") {
			t.Errorf("%s: nagios lacks %q or %q:\n%s", test.name, want, line, texts[Nagios])
		}
		row := strings.Fields(strings.Split(texts[Table], "\n")[3])
		if row[0] != state || !strings.HasPrefix(strings.Join(row[3:], " "), lasting) ||
			!strings.Contains(texts[Table], why) || !strings.HasPrefix(texts[Table], test.headline+"\n\n") {
			t.Errorf("%s: the table says otherwise:\n%s", test.name, texts[Table])
		}
	}
}

// TestTokens checks that state, headline and exit code are about the chosen tokens, by the thresholds of the check.
func TestTokens(t *testing.T) {
	snapshot := at(valid("good"), of("crowded", valid("soon")), token("bad", probe.Rejected, 401, ""))
	lax := status.Thresholds{Quota: 1}
	for _, test := range []struct {
		snapshot   monitor.Snapshot
		names      []string
		thresholds status.Thresholds
		code       int
		stdout     string // its beginning
	}{
		{snapshot, nil, lax, Critical, "APPFIGURES CRITICAL - 1 of 3 tokens is denied (bad) |"},
		{snapshot, []string{"good"}, lax, OK, "APPFIGURES OK - The token is valid |"},
		{snapshot, []string{"soon", "good"}, lax, OK, "APPFIGURES OK - All 2 tokens are valid |"},
		{snapshot, []string{"soon", "good"}, status.DefaultThresholds, Warning,
			"APPFIGURES WARNING - 1 of 2 tokens has a warning (soon) |"},
		{snapshot, []string{"bad", "bad"}, lax, Critical, "APPFIGURES CRITICAL - The token is denied (bad) |"},
		{snapshot, []string{"good", "goood", ""}, lax, Unknown, `APPFIGURES UNKNOWN - no token is named "goood" or ""`},
		{at(), nil, lax, Unknown, "APPFIGURES UNKNOWN - there are no tokens to check\n"},
	} {
		o := options(test.snapshot, Nagios)
		o.Tokens, o.Thresholds = test.names, test.thresholds
		if code, stdout, _ := run(t, o); code != test.code || !strings.HasPrefix(stdout, test.stdout) {
			t.Errorf("%q: exit code %d, want %d; want %q, got %q", test.names, code, test.code, test.stdout, stdout)
		}
	}
}

// TestQuiet checks what is left of a report with and without something wrong.
func TestQuiet(t *testing.T) {
	burst := of("burst", valid("good"))
	for _, test := range []struct {
		snapshot monitor.Snapshot
		format   Format
		want     []string // lines; a prefix of each
	}{
		{at(burst), Table, []string{""}},
		{at(valid("good"), token("bad", probe.Rejected, 401, "")), Table, []string{
			"1 of 2 tokens is denied", "", "STATE ", "denied  bad ", "", "bad: The API rejected", "-> Create", ""}},
		{at(burst, token("bad", probe.Rejected, 401, "")), Table, []string{
			"1 of 2 tokens is denied", "", "STATE ", "denied  bad ", "", "bad: The API rejected", "-> Create", "",
			"Account burst: ", ""}},
		{unanswered(at(valid("good"), valid("fine"))), Table, []string{
			"Last known: all valid. The API has not answered for 12 min.", ""}},
		{at(valid("good")), Nagios, []string{"APPFIGURES OK - The token is valid |", "ACCOUNT: acme: ", "a note", ""}},
	} {
		o := options(test.snapshot, test.format)
		o.Quiet, o.Note = true, "a note"
		_, stdout, stderr := run(t, o)
		lines := strings.Split(stdout, "\n")
		same := slices.EqualFunc(lines, test.want, func(line, want string) bool {
			return strings.HasPrefix(line, want) && (want != "" || line == "")
		})
		if !same || stderr != "" {
			t.Errorf("got %q and errors %q, want %q", stdout, stderr, test.want)
		}
	}
	o := options(at(valid("good")), JSON)
	o.Quiet = true
	if _, got, _ := run(t, o); !strings.Contains(got, `"tokens": []`) || !strings.Contains(got, `"state": "valid"`) {
		t.Errorf("want no valid token: %s", got)
	}
}

// TestNote checks that only a person who reads gets the note.
func TestNote(t *testing.T) {
	for format, want := range map[Format]string{Table: "Nothing was probed.\n", JSON: "", Nagios: "", Prometheus: ""} {
		o := options(at(valid("t")), format)
		o.Note = "Nothing was probed."
		if _, stdout, stderr := run(t, o); stderr != want ||
			strings.HasSuffix(stdout, "\nNothing was probed.\n") != (format == Nagios) {
			t.Errorf("%s: %q and errors %q", format, stdout, stderr)
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
		if code != Unknown || time.Since(start) != o.Timeout ||
			!strings.HasPrefix(stdout, "APPFIGURES UNKNOWN - 1 of 2 tokens has not been probed yet (hangs) |") ||
			!strings.HasSuffix(stdout, "\nStopped early: probes that have not ended are not in this report.\n") {
			t.Errorf("exit code %d after %v: %s", code, time.Since(start), stdout)
		}
	})
}

// TestFail checks that errors say everything but tokens, where each format's reader looks.
func TestFail(t *testing.T) {
	const secret = "pat_0123456789abcdef"
	failed := errors.New("reading a | file: gone\nreading " + secret + ": \x1b[31mgone")
	for _, format := range []Format{Table, JSON, Nagios, Prometheus} {
		o := options(at(valid("t")), format)
		o.Load = func(context.Context) (status.Report, []*dto.MetricFamily, error) { return status.Report{}, nil, failed }
		code, stdout, stderr := run(t, o)
		redacted := config.Redact(secret)
		got, want := stderr, "appfigures_exporter: reading a | file: gone\nappfigures_exporter: reading "+redacted+": �[31mgone\n"
		if format == Nagios {
			got, want = stdout, "APPFIGURES UNKNOWN - reading a / file: gone; reading "+redacted+": �[31mgone\n"
		}
		if code != Unknown || got != want || stdout+stderr != got {
			t.Errorf("%s: exit code %d, %q and %q; want %q", format, code, stdout, stderr, want)
		}
		o = options(at(valid("t")), format)
		o.Tokens = []string{secret}
		if _, stdout, stderr := run(t, o); strings.Contains(stdout+stderr, secret) || stdout+stderr == "" {
			t.Errorf("%s, a token for its name: %q and %q", format, stdout, stderr)
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
	denied := token("t", probe.Rejected, 401, "")
	for _, test := range []struct {
		token monitor.TokenState
		err   error
		want  int
	}{
		{valid("t"), nil, OK},
		{valid("t"), io.ErrClosedPipe, Unknown},
		{expiring(valid("t"), time.Hour), io.ErrClosedPipe, Unknown},
		{denied, io.ErrClosedPipe, Critical},
	} {
		for _, format := range []Format{Table, JSON, Nagios, Prometheus} {
			o := options(at(test.token), format)
			out := &writer{err: test.err}
			o.Stdout = out
			code, want := Run(t.Context(), o), ""
			if test.err != nil {
				want = "appfigures_exporter: writing the report: " + test.err.Error() + "\n"
			}
			if got := o.Stderr.(*bytes.Buffer).String(); code != test.want || out.writes != 1 || got != want {
				t.Errorf("%s, %v: exit code %d after %d writes, error %q", format, test.err, code, out.writes, got)
			}
		}
	}
}
