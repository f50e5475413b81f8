package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// TestCommandLine holds what commands that do not serve print, and their exit codes.
func TestCommandLine(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("APPFIGURES_API_KEY", "")
	valid := writeConfig(t, "tokens:\n  - name: a\n    token_env: SOME_TOKEN\n")
	bad := writeConfig(t, "tokens:\n  - name: a\n    token_env: SOME_TOKEN\n    pasted: here\n")
	const nothing = "appfigures_exporter: nothing to watch: name a configuration with --config.file=FILE (or put config.yml into the working directory), " +
		"or set APPFIGURES_API_KEY to watch one token; `appfigures_exporter demo` shows everything without either\n"
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
		{[]string{"--bogus"}, 1, "", "appfigures_exporter: unknown long flag '--bogus'; see appfigures_exporter --help\n"},
		{[]string{"check", "--bogus"}, 3, "", "appfigures_exporter: unknown long flag '--bogus'; see appfigures_exporter --help\n"},
		{[]string{"--timeout-offset=soon"}, 1, "", "appfigures_exporter: \"soon\" is no time: use seconds, as in 0.5, or a duration, as in 500ms"},
		{[]string{"--config.check", "--config.file", valid}, 0, "The configuration is valid; tokens: 1.\n", ""},
		{[]string{"--config.check", "--config.file", bad}, 1, "", "appfigures_exporter: " + bad + ":4: tokens[0]: "},
		{[]string{"--config.file", "missing.yml"}, 1, "", "appfigures_exporter: reading the configuration: open missing.yml: "},
		{[]string{"--config.file", valid, "--web.telemetry-path=metrics"}, 1, "", `time=`},
		{[]string{"--config.file", valid, "--web.listen-address=256.0.0.1:1"}, 1, "", `time=`},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), test.args, &stdout, &stderr)
			if code != test.code || !strings.HasPrefix(stdout.String(), test.stdout) || !strings.HasPrefix(stderr.String(), test.stderr) {
				t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", code, test.code, stdout.String(), stderr.String())
			}
			if test.stdout == "" && stdout.Len() > 0 || test.stderr == "" && stderr.Len() > 0 {
				t.Errorf("more output than wanted\nstdout: %s\nstderr: %s", stdout.String(), stderr.String())
			}
		})
	}
}

// TestEnvironmentIsEnough holds the start that the README begins with.
func TestEnvironmentIsEnough(t *testing.T) {
	t.Chdir(t.TempDir())
	api, root := simulate(t, "pat_working")
	t.Setenv("APPFIGURES_API_KEY", "pat_working")
	t.Setenv("APPFIGURES_API_BASE_URL", strings.TrimSuffix(root, "/"))
	exporter := start(t)
	metrics, _ := exporter.get("/metrics")
	mustHold(t, metrics,
		`appfigures_token_valid{token="default"} 1`,
		`appfigures_probe_http_status_code{token="default"} 200`,
		`appfigures_quota_limit_requests{token="default"} 1e+06`,
		`appfigures_quota_used_requests{token="default"} 1`,
		`appfigures_exporter_build_info{`,
		`appfigures_exporter_config_last_reload_successful 1`,
		`go_goroutines `, `process_cpu_seconds_total `, `promhttp_metric_handler_requests_total{`,
	)
	api.Set("pat_working", simulator.Revoked)
	metrics, _ = exporter.get("/metrics")
	mustHold(t, metrics, `appfigures_token_valid{token="default"} 0`, `appfigures_probe_result{result="rejected",token="default"} 1`)
	if n := api.TotalRequests(); n != 2 {
		t.Errorf("two scrapes made %d requests", n)
	}
	for path, want := range map[string]int{
		"/": 200, "/-/healthy": 200, "/-/ready": 200, "/sd": 200, "/probe": 400, "/probe?target=other": 404,
		"/nowhere": 404, "/debug/pprof/": 404, "/-/reload": 405,
	} {
		if _, code := exporter.get(path); code != want {
			t.Errorf("%s: status %d, want %d", path, code, want)
		}
	}
	if n := api.TotalRequests(); n != 2 {
		t.Errorf("pages made %d requests", n-2)
	}
	probe, _ := exporter.get("/probe?target=default")
	mustHold(t, probe, `appfigures_up{token="default"} 1`)
	if strings.Contains(probe, "go_goroutines") {
		t.Error("/probe has metrics of the process")
	}
}

// TestReload holds that a good configuration takes effect at once and keeps the state of what did not change, and
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
		{"by POST", config(one + two), func() { exporter.request(http.MethodPost, "/-/reload") }, []string{"one", "two"}, true},
		{"bad", config(one + "  - {name: two, token: pat_two, tokn: x}\n"), func() {
			body, code := exporter.request(http.MethodPost, "/-/reload")
			if code != http.StatusInternalServerError || !strings.Contains(body, path+":4: tokens[1]: ") || strings.Contains(body, "pat_") {
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
		if strings.Contains(metrics, `appfigures_probes_total{result="valid",token="one"} 1`+"\n") {
			t.Errorf("%s: the unchanged token lost its state", test.name)
		}
	}
}

// TestReloadThatHangs holds that scrapes and pages are served while a reload waits for a file.
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

// TestAutoReload holds that a changed file is noticed, and a changed directory of tokens.
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

// TestThousandReloads holds that scrapes under way during reloads all succeed. The race detector watches in CI.
func TestThousandReloads(t *testing.T) {
	_, root := simulate(t, "pat_one", "pat_two")
	path := writeConfig(t, "api_url: "+root+"\ntokens:\n  - {name: one, token: pat_one}\n  - {name: two, token: pat_two}\n")
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

// TestStopFinishesTheScrapeInHand holds that SIGTERM lets a scrape end, and that one that would take too long is
// answered with what is known.
func TestStopFinishesTheScrapeInHand(t *testing.T) {
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
			exporter := start(t, "--config.file", writeConfig(t, fmt.Sprintf("api_url: %s\ntimeout: 1m\ntokens:\n  - {name: t, token: %s}\n", root, test.token)))
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
			if took := time.Since(stopped); took > scrapeGrace+answerGrace {
				t.Errorf("stopping took %s", took)
			}
		})
	}
}

// TestCheck holds the command against the simulated API.
func TestCheck(t *testing.T) {
	api, root := simulate(t, "pat_one", "pat_two")
	path := writeConfig(t, "api_url: "+root+"\ntokens:\n  - {name: one, token: pat_one}\n  - {name: two, token: pat_two}\n")
	for _, test := range []struct {
		behaviour simulator.Behaviour
		code      int
		json      string
	}{
		{simulator.Valid, 0, `"result":"valid","valid":true,"http_status":200`},
		{simulator.Rejected, 2, `"result":"rejected","valid":false,"http_status":403`},
		{simulator.ServerError, 3, `"result":"server_error","valid":null,"http_status":503`},
	} {
		api.Set("pat_two", test.behaviour)
		var stdout, stderr bytes.Buffer
		before := api.TotalRequests()
		code := run(t.Context(), []string{"check", "--output=json", "--config.file", path}, &stdout, &stderr)
		if squeezed := strings.NewReplacer(" ", "", "\n", "").Replace(stdout.String()); code != test.code || !strings.Contains(squeezed, test.json) {
			t.Errorf("%s: exit code %d, want %d:\n%s", test.behaviour, code, test.code, stdout.String())
		}
		if n := api.TotalRequests() - before; n != 2 {
			t.Errorf("%s: %d requests for 2 tokens", test.behaviour, n)
		}
	}
}
