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
	unverified, once := valid("t"), token("t", probe.Rejected, 401, "Unauthorized")
	unverified.VerdictDue = noon.Add(-3 * time.Hour)
	once.Unconfirmed, once.Verdict, once.Reason = true, probe.VerdictUnknown, 0
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
		if state == "valid" {
			why, line = "", ""
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
		names      []string
		thresholds status.Thresholds
		code       int
		stdout     string // its beginning
	}{
		{nil, lax, Critical, "APPFIGURES CRITICAL - 1 of 3 tokens is denied (bad) |"},
		{[]string{"good"}, lax, OK, "APPFIGURES OK - The token is valid |"},
		{[]string{"soon", "good"}, lax, OK, "APPFIGURES OK - All 2 tokens are valid |"},
		{[]string{"soon", "good"}, status.DefaultThresholds, Warning,
			"APPFIGURES WARNING - 1 of 2 tokens has a warning (soon) |"},
		{[]string{"bad", "bad"}, lax, Critical, "APPFIGURES CRITICAL - The token is denied (bad) |"},
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
		want     []string // lines; a prefix of each
	}{
		{at(burst), []string{""}},
		{at(valid("good"), bad), []string{
			"1 of 2 tokens is denied", "", "STATE ", "denied  bad ", "", "bad: The API rejected", "-> Create", ""}},
		{at(burst, bad), []string{
			"1 of 2 tokens is denied", "", "STATE ", "denied  bad ", "", "bad: The API rejected", "-> Create", "",
			"Account burst: ", ""}},
		{unanswered(at(valid("good"))), []string{"Last known: the token is valid. The API has not ", ""}},
	} {
		o := options(test.snapshot, Table)
		o.Quiet, o.Note = true, "a note"
		_, stdout, stderr := run(t, o)
		same := slices.EqualFunc(strings.Split(stdout, "\n"), test.want, func(line, want string) bool {
			return strings.HasPrefix(line, want) && (want != "" || line == "")
		})
		if !same || stderr != "" {
			t.Errorf("got %q and errors %q, want %q", stdout, stderr, test.want)
		}
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
			!strings.HasPrefix(stdout, "APPFIGURES UNKNOWN - 1 of 2 tokens is unknown (hangs) |") ||
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
	}
}

// failing fails every write.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestWriting checks that a report that cannot be written is not OK.
func TestWriting(t *testing.T) {
	o := options(at(valid("t")), Prometheus)
	o.Stdout = failing{}
	const want = "appfigures_exporter: writing the report: io: read/write on closed pipe\n"
	if code := Run(t.Context(), o); code != Unknown || o.Stderr.(*bytes.Buffer).String() != want {
		t.Errorf("exit code %d, %q", code, o.Stderr)
	}
}
