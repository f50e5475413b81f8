//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

// TestMain keeps the state of commands that are given no other file in a directory of the test's own.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "appfigures_exporter")
	if err != nil {
		panic(err)
	}
	os.Setenv("STATE_DIRECTORY", dir)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// TestCommandLine checks what commands that do not serve print, and their exit codes.
func TestCommandLine(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("APPFIGURES_API_KEY", "")
	t.Setenv("SOME_TOKEN", "pat_some")
	valid := writeConfig(t, "tokens:\n  - name: a\n    token_env: SOME_TOKEN\n")
	bad := writeConfig(t, "tokens:\n  - name: a\n    token_env: SOME_TOKEN\n    pasted: here\n")
	const nothing = "appfigures_exporter: no tokens to watch: name a configuration with --config.file=FILE (or put " +
		"config.yml into the working directory), or set APPFIGURES_API_KEY to watch one token (it is set, but empty); " +
		"`appfigures_exporter demo` needs neither\n"
	for _, test := range []struct {
		args           []string
		code           int
		stdout, stderr string // prefixes
	}{
		{[]string{"--help"}, 0, "usage: appfigures_exporter", ""},
		{[]string{"--version"}, 0, "appfigures_exporter, version ", ""},
		{[]string{}, 1, "", nothing},
		{[]string{"serve"}, 1, "", nothing},
		{[]string{"check"}, 3, "", nothing},
		{[]string{"--bogus"}, 1, "",
			"appfigures_exporter: unknown long flag '--bogus'; see appfigures_exporter --help\n"},
		{[]string{"check", "--bogus"}, 3, "",
			"appfigures_exporter: unknown long flag '--bogus'; see appfigures_exporter --help\n"},
		{[]string{"serv"}, 1, "", "appfigures_exporter: unexpected serv; use one of serve, check, healthcheck, demo\n"},
		{[]string{"pat_secret"}, 1, "", "appfigures_exporter: unexpected <secret>; use one of "},
		{[]string{"check", "--output=nagios", "--token=pat_secret"}, 3,
			"APPFIGURES UNKNOWN - --token takes the name of a token, never the token itself\n", ""},
		{[]string{"check", "--output", "nagios", "--bogus"}, 3, "APPFIGURES UNKNOWN - unknown long flag '--bogus'; see ", ""},
		{[]string{"--log.level=loud"}, 1, "",
			"appfigures_exporter: unrecognized log level loud; use one of debug, info, warn, error\n"},
		{[]string{"--log.format=xml"}, 1, "",
			"appfigures_exporter: unrecognized log format xml; use one of logfmt, json\n"},
		{[]string{"check", "--output=xml"}, 3, "",
			"appfigures_exporter: enum value must be one of table,json,nagios,prometheus, got 'xml'; "},
		{[]string{"check", "--warn-quota=120"}, 3, "",
			"appfigures_exporter: invalid percentage \"120\": use one such as 90%; "},
		{[]string{"check", "--warn-expiry=soon"}, 3, "",
			"appfigures_exporter: invalid duration \"soon\": use one such as 14d or 12h; "},
		{[]string{"demo", "--state.file=x"}, 1, "",
			"appfigures_exporter: the demo has its own configuration and keeps no state; "},
		{[]string{"--timeout-offset=soon"}, 1, "",
			"appfigures_exporter: invalid duration \"soon\": use seconds (0.5) or a duration (500ms)"},
		{[]string{"--config.check", "--config.file", valid}, 0,
			"Configuration from " + valid + " is valid (1 token).\n", ""},
		{[]string{"--config.check", "--config.file", bad}, 1, "", "appfigures_exporter: " + bad + ":4: tokens[0]: "},
		{[]string{"--config.file", "missing.yml"}, 1, "",
			"appfigures_exporter: reading the configuration: open missing.yml: "},
		{[]string{"--config.file", t.TempDir()}, 1, "", "appfigures_exporter: reading /"},
		{[]string{"--config.file", valid, "--web.config.file=web.yml"}, 1, "",
			"appfigures_exporter: --web.config.file web.yml: no such file or directory\n"},
		{[]string{"demo", "--web.config.file=web.yml"}, 1, "",
			"appfigures_exporter: --web.config.file web.yml: no such file or directory\n"},
		{[]string{"demo", "--config.file=missing.yml"}, 1, "",
			"appfigures_exporter: the demo has its own configuration and keeps no state; "},
		{[]string{"demo", "--config.check"}, 1, "",
			"appfigures_exporter: the demo has its own configuration and keeps no state; "},
		{[]string{"demo", "--config.auto-reload"}, 1, "",
			"appfigures_exporter: the demo has its own configuration and keeps no state; "},
		{[]string{"--config.file", valid, "--web.telemetry-path=metrics"}, 1, "", `time=`},
		{[]string{"--config.file", valid, "--web.listen-address=256.0.0.1:1"}, 1, "", `time=`},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), test.args, &stdout, &stderr)
			if code != test.code || !strings.HasPrefix(stdout.String(), test.stdout) ||
				!strings.HasPrefix(stderr.String(), test.stderr) {
				t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", code, test.code, stdout.String(), stderr.String())
			}
			if test.stdout == "" && stdout.Len() > 0 || test.stderr == "" && stderr.Len() > 0 {
				t.Errorf("more output than wanted\nstdout: %s\nstderr: %s", stdout.String(), stderr.String())
			}
		})
	}
}

func TestPercent(t *testing.T) {
	for text, want := range map[string]percent{
		"90": .9, "90%": .9, "0.9": .9, "1": 1, "100%": 1, "0.5%": .005, "0": 0, "-1": 0, "101%": 0, "NaN": 0, "x": 0,
		"": 0,
	} {
		var p percent
		if err := p.Set(text); p != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %v, %v, want %v", text, float64(p), err, float64(want))
		}
	}
}

// TestConfigCheck checks that --config.check checks and does nothing else, whatever the command.
func TestConfigCheck(t *testing.T) {
	api, root := simulate(t, "pat_one")
	valid := writeConfig(t, "api_url: "+root+"\ntokens: [{name: one, token: pat_one}]\n")
	bad := writeConfig(t, "tokens: 1\n")
	nowhere := filepath.Join(t.TempDir(), "web.yml")
	for command, failure := range map[string]int{"serve": 1, "check": 3, "healthcheck": 1} {
		for _, test := range []struct {
			config, web string
			code        int
			stderr      []string // parts of its lines
		}{
			{valid, "", 0, []string{`the token "one"`}},
			{bad, "", failure, []string{bad + ":1: tokens: "}},
			{valid, nowhere, failure, []string{"--web.config.file " + nowhere + ": no such file"}},
			{bad, nowhere, failure, []string{bad + ":1: tokens: ", "--web.config.file " + nowhere + ": no such file"}},
		} {
			var stdout, stderr bytes.Buffer
			args := []string{command, "--config.check", "--config.file", test.config, "--web.config.file", test.web,
				"--web.listen-address=127.0.0.1:1"}
			code := run(t.Context(), args, &stdout, &stderr)
			if (stdout.String() == "Configuration from "+test.config+" is valid (1 token).\n") != (test.code == 0) ||
				code != test.code {
				t.Errorf("%v: exit code %d, want %d:\n%s", args, code, test.code, stdout.String())
			}
			checkLines(t, fmt.Sprint(args), stderr.String(), test.stderr...)
		}
	}
	if n := api.TotalRequests(); n > 0 {
		t.Errorf("%d requests were made", n)
	}
}

// TestConfigCheckDoubts checks that what is valid but does not work here is told, and is no failure.
func TestConfigCheckDoubts(t *testing.T) {
	t.Chdir(t.TempDir())
	const inline = `config.yml:1: tokens[0].token: the configuration itself contains the token "a"; `
	for _, test := range []struct {
		name, config string
		env          string // $APPFIGURES_API_KEY
		warnings     []string
		origin       string // the end of it
	}{
		{"nothing", "tokens: [{name: a, token_env: APPFIGURES_API_KEY}]\n", "pat_one", nil, "/config.yml"},
		{"no file", "", "pat_one", nil, "$APPFIGURES_API_KEY"},
		{"a variable that is not set", "tokens: [{name: a, token_env: APPFIGURES_API_KEY}]\n", "",
			[]string{`the token "a": no secret: the environment variable APPFIGURES_API_KEY is empty; `}, "/config.yml"},
		{"a file that is missing", "tokens: [{name: a, token_file: ./gone}]\n", "",
			[]string{`the token "a": no secret: reading the token file`}, "/config.yml"},
		{"expiry", "tokens: [{name: a, token_env: PATH, expires_at: 2020-01-01}]\n", "",
			[]string{`the token "a": expires_at is in the past; `}, "/config.yml"},
		{"inline", "tokens: [{name: a, token: pat_x}]\n", "", []string{inline}, "/config.yml"},
		{"file and variable", "tokens: [{name: a, token: pat_x}]\n", "pat_one",
			[]string{"config.yml is used and $APPFIGURES_API_KEY is not, ", inline}, "/config.yml"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("APPFIGURES_API_KEY", test.env)
			if test.config != "" {
				overwrite(t, "config.yml", test.config)
				defer os.Remove("config.yml")
			}
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), []string{"--config.check"}, &stdout, &stderr)
			if code != 0 || !strings.HasSuffix(stdout.String(), test.origin+" is valid (1 token).\n") {
				t.Errorf("exit code %d: %s", code, stdout.String())
			}
			checkLines(t, "--config.check", stderr.String(), test.warnings...)
		})
	}
}

// checkLines checks that output has as many lines as there are parts, each with its part.
func checkLines(t *testing.T, of, output string, parts ...string) {
	t.Helper()
	lines := slices.Collect(strings.Lines(output))
	if len(lines) != len(parts) {
		t.Errorf("%s: %d lines, want %d:\n%s", of, len(lines), len(parts), output)
		return
	}
	for i, part := range parts {
		if !strings.Contains(lines[i], part) {
			t.Errorf("%s: line %d is %swant %s", of, i, lines[i], part)
		}
	}
}

// TestDemo checks that the demo says where to look once there is something to see, and nothing when there is not.
func TestDemo(t *testing.T) {
	demo := start(t, "demo")
	eventually(t, "the banner has the port", func() bool {
		return strings.Contains(demo.stdout.String(),
			"  Status page    "+demo.url+"/\n")
	})
	if _, code := demo.get("/"); code != http.StatusOK {
		t.Errorf("the status page answers %d", code)
	}
	path := writeConfig(t, "tokens: [{name: a, token_env: SOME_TOKEN}]\n")
	for _, command := range [][]string{{"demo"}, {"serve", "--config.file", path}} {
		var stdout, stderr bytes.Buffer
		taken := strings.TrimPrefix(demo.url, "http://")
		code := run(t.Context(), append(command, "--web.listen-address", taken), &stdout, &stderr)
		if code != 1 || stdout.Len() > 0 || !strings.HasSuffix(stderr.String(),
			"address already in use; choose another address with --web.listen-address\n") {
			t.Errorf("%q at an address that is taken: exit code %d\nstdout: %s\nstderr: %s", command, code,
				stdout.String(), stderr.String())
		}
	}
}

// TestEnvironmentIsEnough checks the start that the README begins with.
func TestEnvironmentIsEnough(t *testing.T) {
	t.Chdir(t.TempDir())
	api, root := simulate(t, "pat_working")
	t.Setenv("APPFIGURES_API_KEY", "pat_working")
	t.Setenv("APPFIGURES_API_BASE_URL", strings.TrimSuffix(root, "/"))
	exporter := start(t)
	if log := exporter.stderr.String(); !strings.Contains(log, " config=$APPFIGURES_API_KEY tokens=1\n") {
		t.Errorf("the log does not say where the configuration is from:\n%s", log)
	}
	metrics, _ := exporter.get("/metrics")
	mustHold(t, metrics,
		`appfigures_token_valid{token="default"} 1`,
		`appfigures_probe_http_status_code{token="default"} 200`,
		`appfigures_account_quota_limit_requests{account="default"} 1e+06`,
		`appfigures_account_quota_used_requests{account="default"} 1`,
		`appfigures_exporter_build_info{`,
		`appfigures_exporter_config_last_reload_successful 1`,
		`go_goroutines `, `process_cpu_seconds_total `, `promhttp_metric_handler_requests_total{`,
	)
	api.Set("pat_working", simulator.Revoked)
	eventually(t, "the denial is confirmed", func() bool {
		metrics, _ = exporter.get("/metrics")
		return strings.Contains(metrics, `appfigures_token_valid{token="default"} 0`)
	})
	mustHold(t, metrics, `appfigures_token_denied{reason="rejected",token="default"} 1`,
		`appfigures_probe_result{result="rejected",token="default"} 1`)
	if n := api.TotalRequests(); n != 3 {
		t.Errorf("a valid token and its revocation took %d requests, want 3", n)
	}
	for path, want := range map[string]int{
		"/": 200, "/-/healthy": 200, "/-/ready": 200, "/sd": 200, "/api/v1/status": 200, "/probe": 400,
		"/probe?target=other": 404,
		"/nowhere":            404, "/debug/pprof/": 404, "/-/reload": 405,
	} {
		if _, code := exporter.get(path); code != want {
			t.Errorf("%s: status %d, want %d", path, code, want)
		}
	}
	if n := api.TotalRequests(); n != 3 {
		t.Errorf("pages made %d requests", n-3)
	}
	probe, _ := exporter.get("/probe?target=default")
	mustHold(t, probe, `appfigures_up{token="default"} 1`)
	if strings.Contains(probe, "go_goroutines") {
		t.Error("/probe has metrics of the process")
	}
}

// TestReload checks that a good configuration takes effect at once and keeps the state of what did not change, and
// that a bad one changes nothing and is told.
func TestReload(t *testing.T) {
	_, root := simulate(t, "pat_one", "pat_two")
	config := func(tokens string) string { return "api_url: " + root + "\ntokens:\n" + tokens }
	const one, two = "  - {name: one, token: pat_one}\n", "  - {name: two, token: pat_two}\n"
	path := writeConfig(t, config(one))
	exporter := start(t, "--config.file", path)
	exporter.get("/metrics")

	for _, test := range []struct {
		name   string
		config string
		reload func()
		tokens []string
		ok     bool
	}{
		{"by POST", config(one + two), func() { exporter.request(http.MethodPost, "/-/reload") }, []string{"one",
			"two"}, true},
		{"bad", config(one + "  - {name: two, token: pat_two, tokn: x}\n"), func() {
			body, code := exporter.request(http.MethodPost, "/-/reload")
			if code != http.StatusInternalServerError || !strings.Contains(body, path+":4: tokens[1]: ") ||
				strings.Contains(body, "pat_") {
				t.Errorf("a bad configuration answers %d: %s", code, body)
			}
		}, []string{"one", "two"}, false},
		{"by SIGHUP", config(one), func() {
			if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
		}, []string{"one"}, true},
	} {
		overwrite(t, path, test.config)
		test.reload()
		want := fmt.Sprintf("appfigures_exporter_config_last_reload_successful %d\n", map[bool]int{true: 1}[test.ok])
		eventually(t, test.name, func() bool {
			metrics, _ := exporter.get("/metrics")
			return strings.Contains(metrics, want) && strings.Count(metrics, "\nappfigures_token_info{") == len(test.tokens)
		})
		metrics, _ := exporter.get("/metrics")
		for _, name := range test.tokens {
			mustHold(t, metrics, fmt.Sprintf("appfigures_token_valid{token=%q} 1", name))
		}
		if strings.Contains(metrics, `appfigures_probes_total{result="valid",token="one"} 0`+"\n") {
			t.Errorf("%s: the unchanged token lost its state", test.name)
		}
	}
}

// TestWarningsAreNotRepeated checks that a reload warns only of what was not as it is now.
func TestWarningsAreNotRepeated(t *testing.T) {
	path := writeConfig(t, "")
	const one, two = "tokens: [{name: one, token: pat_one}]\n",
		"tokens: [{name: one, token: pat_one}, {name: two, token: pat_two}]\n"
	overwrite(t, path, one)
	exporter := start(t, "--config.file", path)
	for i, test := range []struct {
		config   string
		warnings int // so far
	}{
		{one, 1},
		{"# the same\n" + one, 2}, // on another line
		{"tokens: 1\n", 2},
		{"# the same\n" + one, 2},
		{two, 3},
		{two, 3},
		{"tokens: [{name: one, token_env: SOME_TOKEN}]\n", 3},
		{two, 4},
	} {
		overwrite(t, path, test.config)
		exporter.request(http.MethodPost, "/-/reload")
		eventually(t, "the log has the reload", func() bool { // it is written in the background, in order
			log := exporter.stderr.String()
			return strings.Count(log, "Configuration reloaded")+strings.Count(log, "Reloading the configuration failed") == i+1
		})
		if log := exporter.stderr.String(); strings.Count(log, "level=WARN") != test.warnings {
			t.Errorf("reload %d: want %d warnings so far:\n%s", i, test.warnings, log)
		}
	}
	if log := exporter.stderr.String(); !strings.Contains(log, " config="+path+" tokens=1\n") {
		t.Errorf("the log does not say where the configuration is from:\n%s", log)
	}
}

// TestReloadThatHangs checks that scrapes and pages are served while a reload waits for a file.
func TestReloadThatHangs(t *testing.T) {
	_, root := simulate(t, "pat_one")
	path := writeConfig(t, "api_url: "+root+"\ntokens:\n  - {name: one, token: pat_one}\n")
	exporter := start(t, "--config.file", path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reloaded := make(chan int, 1)
	go func() {
		_, code := exporter.request(http.MethodPost, "/-/reload")
		reloaded <- code
	}()
	var writer *os.File
	eventually(t, "the reload waits for the file", func() bool {
		var err error
		writer, err = os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0) // fails without a reader
		return err == nil
	})
	metrics, _ := exporter.get("/metrics")
	mustHold(t, metrics, `appfigures_token_valid{token="one"} 1`)
	if _, code := exporter.get("/"); code != http.StatusOK {
		t.Errorf("the page answers %d", code)
	}
	writer.Close()
	if code := <-reloaded; code != http.StatusInternalServerError {
		t.Errorf("the reload of an empty file answers %d", code)
	}
}

// TestAutoReload checks that a changed file is noticed, and a changed directory of tokens.
func TestAutoReload(t *testing.T) {
	_, root := simulate(t, "pat_one", "pat_two")
	dir := t.TempDir()
	overwrite(t, dir+"/one", "pat_one\n")
	path := writeConfig(t, "api_url: "+root+"\ntoken_dir: "+dir+"\n")
	exporter := start(t, "--config.file", path, "--config.auto-reload", "--config.auto-reload-interval=10ms")
	overwrite(t, dir+"/two", "pat_two\n")
	eventually(t, "a new file is watched", func() bool {
		metrics, _ := exporter.get("/metrics")
		return strings.Contains(metrics, `appfigures_token_valid{token="two"} 1`)
	})
	overwrite(t, path, "api_url: "+root+"\ntoken_dir: "+dir+"\npacing: {min_interval: 1h}\n")
	eventually(t, "a changed file is read", func() bool {
		metrics, _ := exporter.get("/metrics")
		return strings.Contains(metrics, `appfigures_probes_skipped_total{reason="min_interval",token="two"} 1`)
	})
}

// TestThousandReloads checks that scrapes under way during reloads all succeed. The race detector watches in CI.
func TestThousandReloads(t *testing.T) {
	_, root := simulate(t, "pat_one", "pat_two")
	path := writeConfig(t,
		"api_url: "+root+"\ntokens:\n  - {name: one, token: pat_one}\n  - {name: two, token: pat_two}\n")
	exporter := start(t, "--config.file", path)
	done := make(chan struct{})
	var scrapers sync.WaitGroup
	for range 4 {
		scrapers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				metrics, code := exporter.get("/metrics")
				if code != http.StatusOK || !strings.Contains(metrics, `appfigures_token_valid{token="one"} 1`) {
					t.Errorf("status %d:\n%s", code, metrics)
					return
				}
			}
		})
	}
	for range 1000 {
		if body, code := exporter.request(http.MethodPost, "/-/reload"); code != http.StatusOK {
			t.Errorf("reload: status %d: %s", code, body)
			break
		}
	}
	close(done)
	scrapers.Wait()
}

// TestShutdown checks that SIGTERM lets a scrape end, and that one that would take too long is
// answered with what is known.
func TestShutdown(t *testing.T) {
	api, root := simulate(t, "pat_slow", "pat_hangs", "pat_fast")
	api.Set("pat_slow", simulator.Slow) // answers after two seconds
	for _, test := range []struct {
		name, token string
		hangs       bool
	}{
		{"slow", "pat_slow", false},
		{"hanging", "pat_hangs", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.hangs {
				api.Set(test.token, simulator.Hang)
			}
			exporter := start(t, "--config.file", writeConfig(t,
				fmt.Sprintf("api_url: %s\ntimeout: 1m\ntokens:\n  - {name: t, token: %s}\n", root, test.token)))
			before := api.Requests(test.token)
			answer := make(chan string, 1)
			go func() {
				metrics, code := exporter.get("/metrics")
				answer <- fmt.Sprintf("%d\n%s", code, metrics)
			}()
			eventually(t, "the probe is under way", func() bool { return api.Requests(test.token) > before })
			stopped := time.Now()
			exporter.stop()
			metrics := <-answer
			if test.hangs {
				mustHold(t, metrics, "200\n", "appfigures_token_info{", `appfigures_probe_result{result="timeout",token="t"} 0`)
			} else {
				mustHold(t, metrics, "200\n", `appfigures_token_valid{token="t"} 1`)
			}
			exporter.wait()
			if took := time.Since(stopped); took > 7*time.Second {
				t.Errorf("stopping took %s", took)
			}
		})
	}
}

// TestCheck checks the command against the simulated API: it shares the state and the budget of earlier runs, and
// reports what they found.
func TestCheck(t *testing.T) {
	api, root := simulate(t, "pat_one", "pat_two")
	api.SetLimit(simulator.DefaultAccount, 1000)
	config := "api_url: " + root + "\ntokens:\n  - {name: one, token: pat_one}\n  - {name: two, token: pat_two}\n"
	for _, test := range []struct {
		behavior simulator.Behavior
		code     int
		verdict  string
		requests int64
	}{
		{simulator.Valid, 0, "valid", 2},
		{simulator.Rejected, 2, "denied", 3}, // a denial takes two answers
		{simulator.ServerError, 3, "", 2},
	} {
		api.Set("pat_two", test.behavior)
		path := writeConfig(t, config)
		before := api.TotalRequests()
		for range 20 {
			var stdout, stderr bytes.Buffer
			args := []string{"check", "--output=json", "--config.file", path, "--state.file", path + ".state"}
			code := run(t.Context(), args, &stdout, &stderr)
			var report status.Report
			if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
				t.Fatalf("%v in %s", err, stdout.String())
			}
			verdict := report.Tokens[1].Verdict
			if code != test.code || (verdict == nil) != (test.verdict == "") || verdict != nil &&
				*verdict != test.verdict || stderr.Len() > 0 {
				t.Errorf("%s: exit code %d, want %d:\n%s%s", test.behavior, code, test.code, stdout.String(), stderr.String())
			}
		}
		if n := api.TotalRequests() - before; n < test.requests || n > test.requests+3 {
			t.Errorf("%s: %d requests in 20 runs, want %d and a few", test.behavior, n, test.requests)
		}
	}
}

// TestCheckBesideServe checks that check reports the state of an exporter that has the state file, without requests.
func TestCheckBesideServe(t *testing.T) {
	api, root := simulate(t, "pat_one")
	path := writeConfig(t, "api_url: "+root+"\ntokens:\n  - {name: one, token: pat_one}\n")
	exporter := start(t, "--config.file", path, "--state.file", path+".state")
	exporter.get("/metrics")
	requests := api.TotalRequests()
	for _, args := range [][]string{
		{"--config.file", path, "--state.file", path + ".state"},
		{"--exporter", exporter.url},
		{"--exporter", exporter.url, "--output=nagios", "--token=one"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), append([]string{"check"}, args...), &stdout, &stderr); code != 0 ||
			!strings.Contains(stdout.String(), "1 token valid") {
			t.Errorf("%q: exit code %d:\n%s%s", args, code, stdout.String(), stderr.String())
		}
		if args[0] == "--config.file" && (!strings.HasPrefix(stderr.String(), "warning: ") ||
			!strings.HasSuffix(stderr.String(), "\nAnother process uses the state file, such as a running exporter. "+
				"This is the state in it; nothing was probed.\n")) {
			t.Errorf("%q: standard error is %s", args, stderr.String())
		}
	}
	if n := api.TotalRequests() - requests; n > 0 {
		t.Errorf("check made %d requests", n)
	}
}

// planted is the token that no output may show, nor eight characters of it in a row.
const planted = "pat_Q7sentinelZ9x4W2"

// TestTokensShowUpNowhere plants a token through every source, lets the API echo it in every way that an answer has,
// and looks for it in all that the program puts out.
func TestTokensShowUpNowhere(t *testing.T) {
	answers := map[string]http.HandlerFunc{
		"JSON": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"status":403,"message":"You sent %s","additional":"%s"}`, r.Header.Get("Authorization"),
				strings.ToUpper(planted))
		},
		"text": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, r.Header.Get("Authorization"), http.StatusUnauthorized)
		},
		"HTML": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "<html>%s</html>", r.Header.Get("Authorization"))
		},
		"headers": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/"+planted)
			w.WriteHeader(http.StatusFound)
		},
		"quota": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Request-Limit", planted)
			w.Header().Set("Retry-After", planted)
			w.WriteHeader(http.StatusTooManyRequests)
		},
		"encoding": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", planted)
			fmt.Fprint(w, planted)
		},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			api := httptest.NewServer(answer)
			defer api.Close()
			dir := t.TempDir()
			overwrite(t, filepath.Join(dir, "from-file"), planted+"\n")
			overwrite(t, filepath.Join(dir, "with-space"), planted+" "+planted)
			t.Setenv("APPFIGURES_SENTINEL", planted)
			config := "api_url: " + api.URL + "/\ntoken_dir: " + dir + "\ntokens:\n" +
				"  - {name: inline, token: " + planted + "}\n  - {name: env, token_env: APPFIGURES_SENTINEL}\n"
			path := writeConfig(t, config)
			exporter := start(t, "--config.file", path, "--log.level=debug", "--web.enable-pprof", "--state.file",
				path+".state")

			var out strings.Builder
			for _, page := range []string{
				"/metrics", "/", "/sd", "/api/v1/status", "/probe?target=inline", "/probe?target=" + planted[:4], "/-/healthy",
				"/-/ready", "/nowhere", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline",
			} {
				body, _ := exporter.get(page)
				out.WriteString(body)
			}
			for _, mistake := range []string{
				"  - " + planted + "\n", "  - {name: x, token: [" + planted + "]}\n", "  - {name: x, " + planted + ": y}\n",
				"\t" + planted, "  - *" + planted,
			} {
				overwrite(t, path, config+mistake)
				body, code := exporter.request(http.MethodPost, "/-/reload")
				if code != http.StatusInternalServerError {
					t.Errorf("the mistake %q answers %d", mistake, code)
				}
				out.WriteString(body)
			}
			page, _ := exporter.get("/")
			out.WriteString(page)
			overwrite(t, path, config)
			for _, look := range []string{
				"--output=table", "--output=json", "--output=nagios", "--output=prometheus", "--config.check",
			} {
				var stdout, stderr bytes.Buffer
				run(t.Context(), []string{"check", look, "--config.file", path}, &stdout, &stderr)
				out.WriteString(stdout.String() + stderr.String())
			}
			state, err := os.ReadFile(path + ".state")
			if err != nil {
				t.Fatal(err)
			}
			out.Write(state)
			out.WriteString(exporter.stdout.String() + exporter.stderr.String())
			if out.Len() < 10_000 {
				t.Fatalf("only %d bytes of output were looked at", out.Len())
			}
			low := strings.ToLower(out.String())
			for i := 4; i+8 <= len(planted); i++ { // "pat_" stands in the documentation too
				if part := strings.ToLower(planted[i : i+8]); strings.Contains(low, part) {
					at := strings.Index(low, part)
					t.Errorf("%q shows up: …%s…", part, out.String()[max(0, at-200):min(len(low), at+200)])
					break
				}
			}
		})
	}
}

// output collects what a program prints while others look at it.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// running is a program that serves.
type running struct {
	t              *testing.T
	url            string
	stdout, stderr output
	stop           context.CancelFunc
	exit           chan int
}

var listening = regexp.MustCompile(`msg="Listening on" address=(\S+)`)

// start runs the command line, which must serve, until the test ends or stop is called.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{t: t, stop: cancel, exit: make(chan int, 1)}
	if !slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--state.file") }) {
		args = append(args, "--state.file=none")
	}
	go func() { r.exit <- run(ctx, append(args, "--web.listen-address=127.0.0.1:0"), &r.stdout, &r.stderr) }()
	t.Cleanup(func() {
		cancel()
		if code := r.wait(); code != exitOK {
			t.Errorf("exit code %d:\n%s", code, r.stderr.String())
		}
	})
	eventually(t, "the program listens", func() bool {
		if match := listening.FindStringSubmatch(r.stderr.String()); match != nil {
			r.url = "http://" + match[1]
		}
		return r.url != "" || len(r.exit) > 0
	})
	if r.url == "" {
		t.Fatalf("the program ended:\n%s", r.stderr.String())
	}
	return r
}

// wait returns the exit code.
func (r *running) wait() int {
	select {
	case code := <-r.exit:
		r.exit <- code
		return code
	case <-time.After(20 * time.Second):
		r.t.Fatal("the program does not end")
		return -1
	}
}

// get returns the body and status of a path.
func (r *running) get(path string) (string, int) { return r.request(http.MethodGet, path) }

func (r *running) request(method, path string) (string, int) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(body), response.StatusCode
}

// mustHold fails unless every line stands in text.
func mustHold(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line) {
			t.Errorf("no line begins with %q in:\n%s", line, text)
		}
	}
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// simulate starts a simulated API with valid tokens, and returns its root.
func simulate(t *testing.T, tokens ...string) (*simulator.API, string) {
	t.Helper()
	api := simulator.New(simulator.Options{DailyLimit: 1_000_000})
	for _, token := range tokens {
		api.Set(token, simulator.Valid)
	}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	return api, server.URL + "/v2/"
}

// writeConfig writes a configuration into a directory of its own and returns its path.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yml")
	overwrite(t, path, text)
	return path
}

func overwrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
