package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// budget is what probes may use in 24 hours by default: a quarter of the API's 1,000 requests.
const budget = simulator.DefaultDailyLimit / 4

// prepareAccount returns an exporter, not running yet, over an account with the API's usual limit and the default
// pacing. It keeps its state. Its tokens are named token-0 and so on.
func prepareAccount(t *testing.T, tokens int) *target {
	t.Helper()
	api := harness.NewAPI(t, simulator.Options{DailyLimit: simulator.DefaultDailyLimit})
	var config strings.Builder
	config.WriteString(api.Config() + "tokens:\n")
	for i := range tokens {
		api.Set(secretOf(i), simulator.Valid)
		config.WriteString(fmt.Sprintf("  - {name: token-%d, token: %s}\n", i, secretOf(i)))
	}
	x := harness.NewExporter(t)
	x.WriteConfig(config.String())
	x.StateFile = filepath.Join(x.Dir, "state.json")
	return &target{x, api}
}

func secretOf(token int) string { return fmt.Sprintf("%s%d", secret, token) }

// setAll makes the API treat all tokens so.
func (x *target) setAll(tokens int, behavior simulator.Behavior) {
	for i := range tokens {
		x.api.Set(secretOf(i), behavior)
	}
}

// TestCrashLoop kills and restarts an exporter 40 times, most of them in an outage, with three scrapes each: verdicts
// and the budget survive.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	const tokens, restarts, scrapes = 10, 40, 3
	x := prepareAccount(t, tokens)
	x.api.Set(secretOf(0), simulator.Revoked)
	x.Start()
	verdicts := []string{
		`appfigures_token_valid{token="token-0"} 0`, `appfigures_token_denied{reason="rejected",token="token-0"} 1`,
	}
	for i := 1; i < tokens; i++ {
		verdicts = append(verdicts, fmt.Sprintf(`appfigures_token_valid{token="token-%d"} 1`, i))
	}
	x.Until(20*time.Second, func(exposition string) error { return harness.Expect(exposition, verdicts...) })
	for life := range restarts {
		if life == restarts/4 {
			x.setAll(tokens, simulator.ServerError)
		}
		x.Kill()
		x.Start()
		for range scrapes {
			if err := harness.Expect(x.Scrape(), verdicts...); err != nil {
				t.Fatalf("restart %d: %v", life, err)
			}
		}
	}
	requests := float64(x.api.TotalRequests())
	used, _ := harness.Sum(x.Scrape(), `appfigures_account_budget_used_requests\{.*\}`)
	t.Logf("%.0f requests, %.0f counted", requests, used)
	if requests > used || used > budget {
		t.Errorf("%.0f requests, %.0f counted; want no more than counted and than %d", requests, used, budget)
	}
}

// TestHoldSurvivesRestart checks that an account whose daily limit is used up is not asked again after a restart.
func TestHoldSurvivesRestart(t *testing.T) {
	t.Parallel()
	x := prepareAccount(t, 1)
	x.api.Use(simulator.DefaultAccount, simulator.DefaultDailyLimit)
	x.Start()
	held := `appfigures_account_held{account="default",reason="daily_limit"} 1`
	for range 5 {
		if err := harness.Expect(x.Scrape(), held); err != nil {
			t.Error(err)
		}
		x.Kill()
		x.Start()
	}
	if err := harness.Expect(x.Scrape(), held); err != nil {
		t.Error(err)
	}
	if requests := x.api.TotalRequests(); requests != 1 {
		t.Errorf("%d requests, want 1", requests)
	}
}

// TestFullDisk fills the disk while a token is revoked: the verdict is reported all the same, and saved once there is
// space again.
func TestFullDisk(t *testing.T) {
	x := prepareAccount(t, 1)
	disk := mountTmpfs(t)
	x.StateFile = disk + "/state.json"
	x.api.SetLimit(simulator.DefaultAccount, harness.Plenty)
	x.WriteConfig(x.api.Config() + harness.Unpaced + "tokens: [{name: token-0, token: " + secretOf(0) + "}]\n")
	x.Start()
	if err := harness.Expect(x.Scrape(), `appfigures_token_valid{token="token-0"} 1`); err != nil {
		t.Fatal(err)
	}

	filler := fillDisk(t, disk)
	x.api.Set(secretOf(0), simulator.Revoked)
	denied := `appfigures_token_denied{reason="rejected",token="token-0"} 1`
	x.Until(10*time.Second, func(exposition string) error { return harness.Expect(exposition, denied) })
	failed, _ := harness.Sum(x.Scrape(), "appfigures_exporter_state_errors_total")
	if lines := strings.Count(x.Log(), "Saving the state failed"); failed == 0 || lines != 1 {
		t.Errorf("%v failures counted, %d logged, want some and 1", failed, lines)
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	x.Until(10*time.Second, func(string) error {
		if !strings.Contains(x.Log(), "Saving the state works again") {
			return fmt.Errorf("the state is not saved")
		}
		return nil
	})
	x.Kill()
	x.api.Set(secretOf(0), simulator.ServerError)
	x.Start()
	if err := harness.Expect(x.Scrape(), denied); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

// TestCheckOnFullDisk checks that runs which cannot save what they use do not each use the bucket of permits that an
// earlier process has left full.
func TestCheckOnFullDisk(t *testing.T) {
	x := prepareAccount(t, 1)
	disk := mountTmpfs(t)
	x.StateFile = disk + "/state.json"
	x.Start()
	x.Scrape()
	x.Kill()
	fillBucket(t, x.StateFile)
	requests := x.api.TotalRequests()
	if out, err := x.Command("check").CombinedOutput(); err != nil || x.api.TotalRequests() != requests+1 {
		t.Errorf("with space left: %v, %d requests, want %d: %s", err, x.api.TotalRequests(), requests+1, out)
	}
	fillBucket(t, x.StateFile)
	fillDisk(t, disk)
	requests = x.api.TotalRequests()
	for range 5 {
		if out, err := x.Command("check").CombinedOutput(); err != nil || !strings.Contains(string(out), "no space left") {
			t.Errorf("%v: %s", err, out)
		}
	}
	if n := x.api.TotalRequests() - requests; n != 0 {
		t.Errorf("%d requests in 5 runs that cannot save", n)
	}
}

// fillBucket makes the state in a file one whose bucket has long been full.
func fillBucket(t *testing.T, path string) {
	content, err := state.Read(path)
	if err != nil || len(content.Accounts) != 1 {
		t.Fatalf("%v, %+v", err, content)
	}
	content.Accounts[0].Permits = 1000
	file, err := state.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(file.Save(content), file.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestUnusableState checks that the exporter serves without a state file, and logs one line, when it cannot use one.
func TestUnusableState(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(t *testing.T, x *target)
		log     string
	}{
		"read-only directory": {
			func(t *testing.T, x *target) {
				dir := mountTmpfs(t)
				if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
					t.Fatal(err)
				}
				x.StateFile = dir + "/state.json"
			}, "read-only file system",
		},
		"full disk": {
			func(t *testing.T, x *target) {
				dir := mountTmpfs(t)
				fillDisk(t, dir)
				x.StateFile = dir + "/state.json"
			}, "no space left on device",
		},
		"no directory": {
			func(_ *testing.T, x *target) { x.StateFile = "/nowhere/state.json" }, "no such file or directory",
		},
		"damaged file": {
			func(t *testing.T, x *target) { harness.Write(t, x.StateFile, `{"sha256":"`) },
			"damaged, or not a state file",
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := prepareAccount(t, 1)
			test.prepare(t, x)
			x.Start()
			for range 3 {
				if err := harness.Expect(x.Scrape(), `appfigures_token_valid{token="token-0"} 1`); err != nil {
					t.Error(err)
				}
			}
			if lines := strings.Count(x.Log(), test.log); lines != 1 {
				t.Errorf("%d lines of the log contain %q, want 1", lines, test.log)
			}
			x.Stop()
		})
	}
}

// TestSharedState starts two exporters with one state file. The second runs without one and logs it. Check reads the
// state of the first and makes no request.
func TestSharedState(t *testing.T) {
	t.Parallel()
	x := prepareAccount(t, 1)
	x.Start()
	verdict := `appfigures_token_valid{token="token-0"} 1`
	if err := harness.Expect(x.Scrape(), verdict); err != nil {
		t.Fatal(err)
	}
	requests := x.api.TotalRequests()
	for range 5 {
		if out, err := x.Command("check").CombinedOutput(); err != nil {
			t.Errorf("check: %v\n%s", err, out)
		}
	}
	if made := x.api.TotalRequests() - requests; made != 0 {
		t.Errorf("check made %d requests beside a running exporter", made)
	}

	second := &target{harness.NewExporter(t), x.api}
	second.WriteConfig(harness.Read(t, x.Dir+"/config.yml"))
	second.StateFile = x.StateFile
	second.Start()
	if err := harness.Expect(second.Scrape(), verdict); err != nil {
		t.Error(err)
	}
	if !strings.Contains(second.Log(), "another process uses the state file") {
		t.Error("the second exporter does not log that the first uses its state file")
	}
	second.Stop()
	x.Kill()
	x.Start()
	if strings.Contains(x.Log(), "another process uses the state file") {
		t.Error("a killed exporter leaves its state file locked")
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
