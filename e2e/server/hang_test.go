package server

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// TestHangs blocks the opening of one token file, as a file system does whose server is gone, and then standard error,
// as container engines do whose log driver stalls: everything else works, and SIGTERM ends the exporter.
func TestHangs(t *testing.T) {
	t.Parallel()
	x := prepare(t, 3)
	x.api.SetLimit(simulator.DefaultAccount, harness.Plenty)
	x.WriteConfig(harness.Read(t, x.Dir+"/config.yml") + harness.Unpaced)
	x.Args = []string{"--log.level=debug"}
	x.Start()
	x.await(valid(0, 1), valid(1, 1), valid(2, 1))
	unblock, err := harness.BlockOpen(x.Dir + "/file-1")
	if err != nil {
		t.Fatal(err)
	}
	defer unblock()
	before, _ := harness.Sum(x.Scrape(), "go_goroutines")
	for i := range 10 {
		exposition := x.Scrape()
		if err := harness.Expect(exposition,
			`appfigures_probe_result{result="valid",token="token-0"} 1`,
			`appfigures_probe_result{result="no_token",token="token-1"} 1`, valid(1, 1),
			`appfigures_probe_result{result="valid",token="token-2"} 1`,
		); err != nil {
			t.Errorf("scrape %d: %v", i, err)
		}
		if now, _ := harness.Sum(exposition, "go_goroutines"); now > before+10 {
			t.Errorf("%v goroutines, %v at first", now, before)
		}
	}

	unblockOutput, err := x.BlockOutput()
	if err != nil {
		t.Fatal(err)
	}
	x.Until(time.Minute, func(exposition string) error {
		if dropped, _ := harness.Sum(exposition, "appfigures_exporter_log_lines_dropped_total"); dropped == 0 {
			x.Signal(syscall.SIGHUP) // logs some lines
			return fmt.Errorf("no line was dropped, so standard error does not block")
		}
		return nil
	})
	x.api.Set(secretOf(0), simulator.Revoked)
	x.await(valid(0, 0))
	for _, path := range []string{"/", "/probe?target=token-2", "/sd", "/api/v1/status", "/-/healthy", "/-/ready"} {
		x.Get(path)
	}
	if response, body, err := x.Request(http.MethodPost, "/-/reload"); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("reloading: %v, %v\n%s", response, err, body)
	}
	x.Signal(syscall.SIGTERM)
	harness.Until(t, 30*time.Second, func() error {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", x.PID())); err == nil {
			return errors.New("SIGTERM does not end the exporter")
		}
		return nil
	})
	unblockOutput()
	x.Stop()
}
