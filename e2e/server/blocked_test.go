package server

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// TestBlockedStderr starts the exporter with a pipe as its standard error that nobody reads: everything works, and
// SIGTERM ends it.
func TestBlockedStderr(t *testing.T) {
	t.Parallel()
	const tokens = 600
	api := harness.NewAPI(t, simulator.Options{})
	var config strings.Builder
	config.WriteString(api.Config() + harness.Unpaced + "tokens:\n")
	for i := range tokens {
		api.Set(secretOf(i), simulator.Revoked)
		config.WriteString(fmt.Sprintf("  - {name: token-%d, account: account-%d, token: %s}\n", i, i%10, secretOf(i)))
	}
	x := harness.NewExporter(t, "--log.level=debug")
	x.WriteConfig(config.String())
	x.Address = harness.FreeAddress(t)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	defer writer.Close()
	cmd := x.Command("--web.listen-address=" + x.Address)
	cmd.Stderr = writer
	x.Process = harness.StartProcess(t, "the exporter", cmd)
	harness.Until(t, harness.ResponseTimeout, func() error {
		_, _, err := x.Request(http.MethodGet, "/-/healthy")
		return err
	})

	x.Until(30*time.Second, func(exposition string) error {
		if dropped, _ := harness.Sum(exposition, "appfigures_exporter_log_lines_dropped_total"); dropped == 0 {
			return fmt.Errorf("no line was dropped, so standard error does not block")
		}
		denied, _ := harness.Sum(exposition, `appfigures_token_denied\{reason="rejected",token=".*"\}`)
		if denied != tokens {
			return fmt.Errorf("%v tokens are denied, want %d", denied, tokens)
		}
		return nil
	})
	for _, path := range []string{
		"/", "/metrics", "/probe?target=token-1", "/sd", "/api/v1/status", "/-/healthy", "/-/ready",
	} {
		if response, _ := x.Get(path); response.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, response.Status)
		}
	}
	x.Signal(syscall.SIGHUP)
	if response, _, err := x.Request(http.MethodPost, "/-/reload"); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("reloading: %v, %v", response, err)
	}
	if out, err := x.Command("healthcheck", "--web.listen-address="+x.Address).CombinedOutput(); err != nil {
		t.Errorf("healthcheck: %v\n%s", err, out)
	}
	x.Stop()
}

// TestBlockedTokenFile blocks the opening of one token file, as a file system does whose server is gone: only its token
// is without a result of the API, and no goroutines pile up.
func TestBlockedTokenFile(t *testing.T) {
	t.Parallel()
	api := harness.NewAPI(t, simulator.Options{})
	x := harness.NewExporter(t)
	var config strings.Builder
	config.WriteString(api.Config() + harness.Unpaced + "tokens:\n")
	for i := range 3 {
		api.Set(secretOf(i), simulator.Valid)
		harness.Write(t, fmt.Sprintf("%s/file-%d", x.Dir, i), secretOf(i))
		config.WriteString(fmt.Sprintf("  - {name: token-%d, token_file: file-%d}\n", i, i))
	}
	x.WriteConfig(config.String())
	x.Start()
	all := `appfigures_probe_result\{result="valid",token=".*"\}`
	if valid, _ := harness.Sum(x.Scrape(), all); valid != 3 {
		t.Fatalf("%v tokens are valid before the file blocks, want 3", valid)
	}
	unblock, err := harness.BlockOpen(x.Dir + "/file-1")
	if err != nil {
		t.Fatal(err)
	}
	defer unblock()
	var before, after float64
	for i := range 20 {
		exposition := x.Scrape()
		if err := harness.Expect(exposition,
			`appfigures_probe_result{result="valid",token="token-0"} 1`,
			`appfigures_probe_result{result="no_token",token="token-1"} 1`,
			`appfigures_token_valid{token="token-1"} 1`,
			`appfigures_probe_result{result="valid",token="token-2"} 1`,
		); err != nil {
			t.Errorf("scrape %d: %v", i, err)
		}
		if after, _ = harness.Sum(exposition, "go_goroutines"); i == 0 {
			before = after
		}
	}
	if after > before+10 {
		t.Errorf("%v goroutines, %v at first", after, before)
	}
}

// TestHealth checks that health follows the process, not the API or its tokens.
func TestHealth(t *testing.T) {
	t.Parallel()
	x := start(t)
	healthcheck := func() (string, error) {
		out, err := x.Command("healthcheck", "--web.listen-address="+x.Address).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	for _, behavior := range []simulator.Behavior{simulator.Valid, simulator.Revoked, simulator.Hang} {
		x.api.Set(secret, behavior)
		x.Get("/metrics", "X-Prometheus-Scrape-Timeout-Seconds", "1")
		if response, body := x.Get("/-/healthy"); response.StatusCode != http.StatusOK {
			t.Errorf("%v: %s\n%s", behavior, response.Status, body)
		}
		if out, err := healthcheck(); err != nil {
			t.Errorf("%v: healthcheck: %v: %s", behavior, err, out)
		}
	}
	x.Signal(syscall.SIGSTOP)
	harness.Until(t, harness.ResponseTimeout, func() error { return allStopped(t, x.PID()) })
	out, err := healthcheck()
	x.Signal(syscall.SIGCONT)
	if err == nil {
		t.Errorf("healthcheck succeeds although the exporter is stopped: %s", out)
	}
	harness.Until(t, harness.ResponseTimeout, func() error {
		_, err := healthcheck()
		return err
	})
}

// allStopped returns an error unless all threads of a process are stopped, which takes a moment after the signal.
func allStopped(t *testing.T, pid int) error {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("process %d has no threads: %v", pid, err)
	}
	for _, thread := range threads {
		if stat := harness.Read(t, thread); !strings.Contains(stat, ") T ") {
			return fmt.Errorf("a thread is running: %s", stat)
		}
	}
	return nil
}
