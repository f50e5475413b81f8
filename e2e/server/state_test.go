package server

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// TestKilled kills an exporter 30 times, at random moments of its scrapes and most of them in an outage: no verdict
// changes, and each request that came to the API is in the budget.
func TestKilled(t *testing.T) {
	t.Parallel()
	const tokens, kills = 10, 30
	x := prepare(t, tokens)
	x.api.Set(secretOf(0), simulator.Revoked)
	x.Start()
	verdicts := []string{valid(0, 0), `appfigures_token_denied{reason="rejected",token="token-0"} 1`}
	for i := 1; i < tokens; i++ {
		verdicts = append(verdicts, valid(i, 1))
	}
	x.await(verdicts...)
	for life := range kills {
		for i := range tokens {
			if life == kills/3 {
				x.api.Set(secretOf(i), simulator.ServerError)
			}
		}
		process, moment := x.Process, time.Duration(rand.IntN(50))*time.Millisecond
		time.AfterFunc(moment, process.Kill)
		for range 3 {
			_, _, _ = x.Request("GET", "/metrics") // fails once the exporter is killed
		}
		process.Kill()
		x.Start()
		if err := harness.Expect(x.Scrape(), verdicts...); err != nil {
			t.Fatalf("kill %d after %s: %v", life, moment, err)
		}
	}
	requests := float64(x.api.TotalRequests())
	used, _ := harness.Sum(x.Scrape(), `appfigures_account_budget_used_requests\{.*\}`)
	t.Logf("%.0f requests, %.0f counted", requests, used)
	if requests > used || used > budget {
		t.Errorf("%.0f requests, %.0f counted; want no more than counted and than %d", requests, used, budget)
	}
}

// TestFullDisk fills the disk while a token is revoked: the verdict is reported all the same, and saved once there is
// space again.
func TestFullDisk(t *testing.T) {
	x := prepare(t, 1)
	disk := mountTmpfs(t)
	x.StateFile = disk + "/state.json"
	x.Start()
	x.await(valid(0, 1))
	filler := fillDisk(t, disk)
	x.api.Set(secretOf(0), simulator.Revoked)
	denied := `appfigures_token_denied{reason="rejected",token="token-0"} 1`
	x.Signal(syscall.SIGHUP) // so that every scrape probes for ten minutes
	x.await(denied)
	if failed, _ := harness.Sum(x.Scrape(), "appfigures_exporter_state_errors_total"); failed == 0 {
		t.Error("no failure to save is counted")
	}
	if lines := strings.Count(x.Log(), "no space left on device"); lines != 1 {
		t.Errorf("%d lines of the log are about the full disk, want 1", lines)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, 30*time.Second, func() error {
		x.Scrape()
		if !strings.Contains(x.Log(), "Saving the state works again") {
			return errors.New("the state is not saved")
		}
		return nil
	})
	x.Kill()
	x.api.Set(secretOf(0), simulator.ServerError)
	x.Start()
	x.await(denied)
}

// TestUnusableDisk checks that the exporter serves, and logs one line, when it cannot write its state file.
func TestUnusableDisk(t *testing.T) {
	for problem, spoil := range map[string]func(t *testing.T, dir string){
		"read-only file system": func(t *testing.T, dir string) {
			if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
		},
		"no space left on device": func(t *testing.T, dir string) { fillDisk(t, dir) },
	} {
		t.Run(problem, func(t *testing.T) {
			x, dir := prepare(t, 1), mountTmpfs(t)
			spoil(t, dir)
			x.StateFile = dir + "/state.json"
			x.Start()
			x.await(valid(0, 1))
			if lines := strings.Count(x.Log(), problem); lines != 1 {
				t.Errorf("%d lines of the log contain %q, want 1", lines, problem)
			}
			x.Stop()
		})
	}
}

// TestSharedState runs other processes with the state file of an exporter. Check reports the state in it and makes no
// request. Another exporter waits, and exits if the file is not given up, or else starts.
func TestSharedState(t *testing.T) {
	t.Parallel()
	x := prepare(t, 1)
	x.Start()
	x.await(valid(0, 1))
	requests := x.api.TotalRequests()
	harness.Until(t, time.Minute, func() error { // results are saved a moment after they are shown
		if out, code := outputAndCode(t, x.Command("check")); code != 0 || !strings.Contains(out, "token-0") {
			return fmt.Errorf("check: exit code %d\n%s", code, out)
		}
		return nil
	})
	if made := x.api.TotalRequests() - requests; made != 0 {
		t.Errorf("check made %d requests beside a running exporter", made)
	}

	out, code := outputAndCode(t, x.Command("--web.listen-address="+harness.FreeAddress(t)))
	if code != 1 || !strings.Contains(out, x.StateFile) || !strings.Contains(out, "another process uses") {
		t.Errorf("a second exporter: exit code %d\n%s", code, out)
	}
	second := *x.Exporter
	second.Process = harness.StartProcess(t, "the second exporter", x.Command("--web.listen-address=127.0.0.1:0"))
	if log := second.Log(); strings.Contains(log, "Listening") {
		t.Errorf("the second exporter does not wait:\n%s", log)
	}
	x.Kill()
	second.Address = second.AwaitListening()
	if err := harness.Expect(second.Scrape(), valid(0, 1)); err != nil {
		t.Error(err)
	}
}

// mountTmpfs mounts a small file system in memory until the test ends, and returns its directory.
func mountTmpfs(t *testing.T) string {
	t.Helper()
	harness.NeedRoot(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatalf("mounting a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk writes a file until the file system is full, and returns its path.
func fillDisk(t *testing.T, dir string) string {
	t.Helper()
	file, err := os.Create(dir + "/filler")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for err == nil {
		_, err = file.Write(make([]byte, 1024))
	}
	return file.Name()
}
