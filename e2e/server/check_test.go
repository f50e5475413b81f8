package server

import (
	"encoding/json"
	"errors"
	"os/exec"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// TestCheckFromCron runs check 60 times with one state file, as cron does: the exit code is always the same, and the
// requests stay within what the pace permits.
func TestCheckFromCron(t *testing.T) {
	const tokens, runs = 10, 60
	// At most a first probe and a confirmation per token, a few repeated ones, and a tenth of the budget at once.
	const most = 4*tokens + budget/10
	for name, test := range map[string]struct {
		behavior simulator.Behavior
		code     int
		state    string
	}{
		"valid":        {simulator.Valid, 0, "valid"},
		"rejected":     {simulator.Revoked, 2, "denied"},
		"server error": {simulator.ServerError, 3, "unknown"},
		"proxy page":   {simulator.ProxyPage, 3, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := prepareAccount(t, tokens)
			x.setAll(tokens, test.behavior)
			for run := range runs {
				report, code := checkJSON(t, x.Exporter)
				if code != test.code || report.State != test.state || len(report.Tokens) != tokens {
					t.Fatalf("run %d: exit code %d and state %s of %d tokens, want %d and %s of %d",
						run, code, report.State, len(report.Tokens), test.code, test.state, tokens)
				}
			}
			if requests := x.api.TotalRequests(); requests > most {
				t.Errorf("%d requests in %d runs, want at most %d", requests, runs, most)
			}
		})
	}
}

// TestCheckFromExporter checks that check reports a running exporter's state, with its exit code and without a request.
func TestCheckFromExporter(t *testing.T) {
	t.Parallel()
	x := start(t)
	x.checkScraped(t)
	requests := x.api.TotalRequests()
	other := harness.NewExporter(t) // without a configuration
	report, code := checkJSON(t, other, "--exporter="+x.URL(""))
	if code != 0 || len(report.Tokens) != 1 || report.Tokens[0].Name != "watched" || report.Tokens[0].State != "valid" {
		t.Errorf("exit code %d, report %+v", code, report)
	}
	if made := x.api.TotalRequests() - requests; made != 0 {
		t.Errorf("check made %d requests", made)
	}
}

// checkReport is the part of check's report that is compared.
type checkReport struct {
	State  string
	Tokens []struct{ Name, State string }
}

// checkJSON runs check and returns its report and exit code.
func checkJSON(t *testing.T, x *harness.Exporter, args ...string) (report checkReport, code int) {
	t.Helper()
	out, err := x.Command(append([]string{"check", "--output=json"}, args...)...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("check printed %q: %v", out, err)
	}
	return report, code
}
