// Package server tests the real exporter from outside: its state file through kills, full disks and other processes;
// files and a standard error that hang; node_exporter; and each command and example of the documentation.
package server

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

func TestMain(m *testing.M) { harness.Main(m) }

// budget is what the probes of an account may use per UTC day by default: a quarter of the API's 1,000 requests.
const budget = simulator.DefaultDailyLimit / 4

// target is an exporter over an account with the API's usual limit, with the default pacing and a state file.
type target struct {
	*harness.Exporter
	api *harness.API
}

// prepare returns an exporter that does not run yet. Its tokens are valid and named token-0 and so on.
func prepare(t *testing.T, tokens int) *target {
	t.Helper()
	api := harness.NewAPI(t, simulator.Options{DailyLimit: simulator.DefaultDailyLimit})
	x := harness.NewExporter(t)
	var config strings.Builder
	config.WriteString(api.Config() + "tokens:\n")
	for i := range tokens {
		api.Set(secretOf(i), simulator.Valid)
		harness.Write(t, fmt.Sprintf("%s/file-%d", x.Dir, i), secretOf(i)+"\n")
		fmt.Fprintf(&config, "  - {name: token-%d, token_file: file-%d}\n", i, i)
	}
	x.WriteConfig(config.String())
	x.StateFile = filepath.Join(x.Dir, "state.json")
	return &target{x, api}
}

func secretOf(token int) string { return fmt.Sprintf("pat_0fTheServersTests%d", token) }

// valid is the line of a token's verdict.
func valid(token, verdict int) string {
	return fmt.Sprintf(`appfigures_token_valid{token="token-%d"} %d`, token, verdict)
}

// await scrapes until the exposition has these lines.
func (x *target) await(lines ...string) {
	x.Until(30*time.Second, func(exposition string) error { return harness.Expect(exposition, lines...) })
}

// outputAndCode runs a command and returns what it prints and its exit code.
func outputAndCode(t *testing.T, cmd *exec.Cmd) (string, int) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return string(out), 0
}
