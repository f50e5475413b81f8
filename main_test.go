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

// TestCommandLine checks what commands that do not serve print, and their exit codes.
func TestCommandLine(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("APPFIGURES_API_KEY", "")
	t.Setenv("SOME_TOKEN", "pat_some")
	t.Setenv("STATE_DIRECTORY", t.TempDir())
	valid := writeConfig(t, "tokens:\n  - name: a\n    token_env: SOME_TOKEN\n")
	gone := writeConfig(t, "tokens:\n  - {name: a, token_env: SOME_TOKEN}\n  - {name: b, token_file: gone}\n"+
		"proxy_url: http://user:password@proxy.example:3128\n")
	bad := writeConfig(t, "tokens:\n  - name: a\n    token_env: SOME_TOKEN\n    pasted: here\n")
	ours := "appfigures_exporter: "
	for _, test := range []struct {
		args           []string
		code           int
		stdout, stderr string // beginnings
	}{
		{[]string{"--help"}, 0, "usage: appfigures_exporter", ""},
		{[]string{"check", "--help"}, 0, "usage: appfigures_exporter check", ""},
		{[]string{"--version"}, 0, "appfigures_exporter, version ", ""},
		{[]string{"serve"}, 1, "", ours + "no tokens to watch: "},
		{[]string{"check"}, 3, "", ours + "no tokens to watch: "},
		{[]string{"check", "--bogus"}, 3, "", ours + "unknown long flag '--bogus'; see appfigures_exporter --help\n"},
		{[]string{"serv"}, 1, "", ours + "unexpected serv; the commands are serve, check, healthcheck and demo; "},

		// No error shows what may be a token.
		{[]string{"pat_secret"}, 1, "", ours + "unexpected <secret>; the commands are "},
		{[]string{"check", "--output=nagios", "pat_secret"}, 3, "APPFIGURES UNKNOWN - unexpected <secret>; ", ""},
		{[]string{"check", "--config.file=pat_secret"}, 3, "", ours + "reading the configuration"},
		{[]string{"check", "--config.file", valid, "--state.file=none", "--token=pat_secret"}, 3, "",
			ours + `no token is named "<secret>"` + "\n"},
		{[]string{"check", "--warn-quota=pat_secret"}, 3, "", ours + "--timeout, --timeout-offset and --warn-quota are "},

		{[]string{"check", "--exporter=http://127.0.0.1:1", "--now"}, 3, "", ours + "--now does not work with --exporter: "},

		// Values that mean nothing, or something else than their users think.
		{[]string{"--config.auto-reload=true"}, 1, "", ours + "unexpected true; the commands are serve, check, " +
			"healthcheck and demo; a switch such as --config.auto-reload has no value, --no-config.auto-reload turns it off\n"},
		{[]string{"--timeout-offset=soon"}, 1, "", ours + "--timeout, --timeout-offset and --warn-quota are plain numbers; "},
		{[]string{"check", "-t", "0"}, 3, "", ours + "--timeout=0 is not above 0 and at most 3600 seconds"},
		{[]string{"check", "--warn-quota=90"}, 3, "", ours + "--warn-quota=90 is not above 0 and at most 1; use 0.9 "},
		{[]string{"check", "--config.file", valid, "--state.file=none", "--token", "@growth"}, 3, "",
			ours + `no token is named "@growth"` + "\n"},

		{[]string{"--config.check", "--config.file", valid}, 0, "Configuration from " + valid + " is valid (1 token).\n",
			""},
		{[]string{"--config.check", "--config.file", gone}, 0, "Configuration from " + gone + " is valid (2 tokens).\n" +
			"Probes go through the proxy proxy.example:3128.\n", "warning: "},
		{[]string{"--config.check", "--config.file", bad}, 1, "", ours + bad + ":4: "},
		{[]string{"--config.check", "--config.file", valid, "--web.config.file=web.yml"}, 1, "",
			ours + "--web.config.file web.yml: no such file or directory\n"},
		{[]string{"--config.file", valid, "--state.file", valid}, 1, "", ours + "opening state file " + valid},
		{[]string{"--config.file", valid, "--state.file=none", "--web.telemetry-path=metrics"}, 1, "", "time="},
		{[]string{"--config.file", valid, "--state.file=none", "--no-collector.tokens",
			"--web.listen-address=256.0.0.1:1"}, 1, "", "time="},
		{[]string{"healthcheck", "--web.listen-address=127.0.0.1:1"}, 1, "", ours + "requesting the exporter's health at 127.0.0.1:1: dial "},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			stdout, stderr, code := runOnce(t.Context(), test.args...)
			if code != test.code || !strings.HasPrefix(stdout, test.stdout) || !strings.HasPrefix(stderr, test.stderr) ||
				(stdout == "") != (test.stdout == "") || (stderr == "") != (test.stderr == "") {
				t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", code, test.code, stdout, stderr)
			}
			if output := stdout + stderr; strings.Contains(output, "pat_") || strings.Contains(output, "password") {
				t.Errorf("shows a secret: %s", output)
			}
		})
	}
}

// TestServe checks the start that the README begins with: one token in the environment. The exporter says by itself
// whether it works, and a revocation becomes a verdict.
func TestServe(t *testing.T) {
	t.Chdir(t.TempDir())
	api, root := simulate(t, "pat_one")
	t.Setenv("APPFIGURES_API_KEY", "pat_one")
	t.Setenv("APPFIGURES_API_BASE_URL", root)
	api.Set("pat_one", simulator.ServerError)
	exporter := start(t)
	exporter.awaitLog(` config=environment tokens=1`, `msg="First scrape: `)
	if n := api.TotalRequests(); n != 1 {
		t.Errorf("the start made %d requests, want 1", n)
	}
	api.Set("pat_one", simulator.Revoked)
	exporter.request("POST", "/-/reload") // looks again at once
	exporter.awaitMetrics(`appfigures_token_valid{token="default"} 0`)
	metrics, _ := exporter.request("GET", "/metrics")
	for _, want := range []string{
		`appfigures_token_denied{reason="rejected",token="default"} 1`,
		`appfigures_exporter_config_last_reload_successful 1`,
		`appfigures_exporter_build_info{`, `go_goroutines `, `process_cpu_seconds_total `,
	} {
		if !strings.Contains(metrics, "\n"+want) {
			t.Errorf("no line begins with %s in\n%s", want, metrics)
		}
	}
}

// TestCheck checks that runs of check share their state and its budget, report what they found, and look again.
func TestCheck(t *testing.T) {
	t.Parallel() // it waits for confirmations and a timeout, TestDemo too
	api, root := simulate(t, "pat_one", "pat_two")
	api.SetLimit(simulator.DefaultAccount, 1000)
	path := writeConfig(t, "api_url: "+root+"\ntokens: [{name: one, token: pat_one}, {name: two, token: pat_two}]\n")
	kept := []string{"--state.file", path + ".state"}
	for _, test := range []struct {
		behavior simulator.Behavior // of the second token
		args     []string
		runs     int
		code     int
		verdict  string // of the second token
		requests int64
	}{
		{simulator.Rejected, kept, 5, 2, "denied", 4}, // two deny it; then the other token is looked at again
		{simulator.Valid, kept, 5, 2, "denied", 0},    // its turn comes in minutes
		{simulator.Valid, append(kept, "--now"), 1, 0, "valid", 1},
		{simulator.Hang, []string{"--state.file=none", "-t", "3"}, 1, 3, "", 2},
		{simulator.Valid, []string{"--state.file=none"}, 2, 0, "valid", 4},
	} {
		api.Set("pat_two", test.behavior)
		before := api.TotalRequests()
		for range test.runs {
			args := append([]string{"check", "--output=json", "--config.file", path}, test.args...)
			stdout, stderr, code := runOnce(t.Context(), args...)
			var report status.Report
			if err := json.Unmarshal([]byte(stdout), &report); err != nil {
				t.Fatalf("%v in %s%s", err, stdout, stderr)
			}
			verdict := report.Tokens[1].Verdict
			if code != test.code || (verdict == nil) != (test.verdict == "") || verdict != nil && *verdict != test.verdict {
				t.Errorf("%s, %v: exit code %d:\n%s%s", test.behavior, test.args, code, stdout, stderr)
			}
		}
		if n := api.TotalRequests() - before; n != test.requests {
			t.Errorf("%s, %v: %d requests in %d runs, want %d", test.behavior, test.args, n, test.runs, test.requests)
		}
	}
	_, stderr, _ := runOnce(t.Context(), "check", "--config.file", path, "--state.file=none")
	if want := "each run makes a request per token: once a minute, that is 2880 per day"; !strings.Contains(stderr, want) {
		t.Errorf("without a state file: %s", stderr)
	}
}

// TestReload checks each way to reload: a good configuration takes effect, a bad or missing one changes nothing and is
// reported.
func TestReload(t *testing.T) {
	_, root := simulate(t, "pat_one", "pat_two")
	good := "api_url: " + root + "\ntokens:\n  - {name: one, token: pat_one}\n"
	path := writeConfig(t, good)
	exporter := start(t, "--config.file", path, "--config.auto-reload", "--config.auto-reload-interval=20ms")
	exporter.awaitMetrics(`appfigures_token_valid{token="one"} 1`)
	const gauge = "appfigures_exporter_config_last_reload_successful "
	const succeeded, failed = gauge + "1", gauge + "0"
	lastSuccess := func() string {
		metrics, _ := exporter.request("GET", "/metrics")
		return regexp.MustCompile("\nappfigures_exporter_config_last_reload_success_.*").FindString(metrics)
	}
	started := lastSuccess()

	overwrite(t, path, good+"  - {name: two, token: pat_two, tokn: x}\n")
	exporter.awaitMetrics(failed, `appfigures_token_valid{token="one"} 1`)
	if body, code := exporter.request("POST", "/-/reload"); code != http.StatusInternalServerError ||
		!strings.Contains(body, path+":4: ") || strings.Contains(body, "pat_") {
		t.Errorf("a bad configuration answers %d: %s", code, body)
	}
	exporter.awaitLog(`msg="Reloading the configuration failed; keeping the old one" err=`)
	if last := lastSuccess(); last == "" || last != started {
		t.Errorf("after a failure, %q became %q", started, last)
	}
	overwrite(t, path, good+"  - {name: two, token: pat_two}\n")
	exporter.awaitMetrics(succeeded, `appfigures_token_valid{token="two"} 1`)
	exporter.awaitLog(`contains the tokens [\"one\" \"two\"]; `, `msg="Configuration reloaded" tokens=2`)
	if lastSuccess() == started {
		t.Errorf("the reload is not in %q", started)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	exporter.awaitMetrics(failed, `appfigures_token_valid{token="two"} 1`)
	overwrite(t, path, good)
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	exporter.awaitMetrics(succeeded, `appfigures_token_valid{token="one"} 1`)
}

// TestShutdown checks that a probe that hangs does not delay the end, and that the scrape of it gets a response.
func TestShutdown(t *testing.T) {
	api, root := simulate(t, "pat_one")
	api.Set("pat_one", simulator.Hang)
	path := writeConfig(t, "api_url: "+root+"\ntimeout: 1m\ntokens: [{name: one, token: pat_one}]\n")
	exporter := start(t, "--config.file", path, "--no-collector.tokens")
	answer := make(chan int, 1)
	go func() {
		_, code := exporter.request("GET", "/probe?target=one")
		answer <- code
	}()
	eventually(t, "the probe is under way", func() bool { return api.Requests("pat_one") > 0 })
	exporter.stop()
	if code := <-answer; code != http.StatusOK {
		t.Errorf("the scrape under way got %d", code)
	}
	exporter.wait()
}

// TestDemo checks that the demo has something to show, without any scraper.
func TestDemo(t *testing.T) {
	t.Parallel()
	demo := start(t, "demo")
	demo.awaitLog(`msg="First scrape: `)
	if page, code := demo.request("GET", "/"); code != http.StatusOK || !strings.Contains(page, "mobile-old") {
		t.Errorf("the status page answers %d: %s", code, page)
	}
}

// planted is a token that no output may show, nor eight characters of it in a row.
const planted = "pat_Q7sentinelZ9x4W2"

// TestTokensShowUpNowhere plants a token through every source, lets the API echo it, and looks for it in all output.
func TestTokensShowUpNowhere(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/"+planted)
		w.Header().Set("X-Request-Limit", planted)
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"status":403,"message":"You sent %s","additional":"%s"}`, r.Header.Get("Authorization"), planted)
	}))
	defer api.Close()
	dir := t.TempDir()
	overwrite(t, filepath.Join(dir, "with-space"), planted+" "+planted)
	t.Setenv("SENTINEL", planted)
	path := writeConfig(t, "api_url: "+api.URL+"/\ntoken_dir: "+dir+"\ntokens:\n"+
		"  - {name: inline, token: "+planted+"}\n  - {name: env, token_env: SENTINEL}\n")
	exporter := start(t, "--config.file", path, "--log.level=debug", "--web.enable-pprof", "--state.file", path+".state")
	exporter.awaitLog(`msg="First scrape: `)
	var all strings.Builder
	for _, page := range []string{
		"/metrics", "/", "/sd", "/api/v1/status", "/probe?target=" + planted, "/debug/pprof/goroutine?debug=2",
	} {
		body, _ := exporter.request("GET", page)
		all.WriteString(body)
	}
	for _, flag := range []string{"--output=table", "--output=json", "--output=nagios", "--config.check"} {
		stdout, stderr, _ := runOnce(t.Context(), "check", flag, "--config.file", path, "--state.file", path+".state")
		all.WriteString(stdout + stderr)
	}
	overwrite(t, path, "tokens: [{name: x, "+planted+": y, token: ["+planted+"]}]\n")
	body, _ := exporter.request("POST", "/-/reload")
	state, err := os.ReadFile(path + ".state")
	all.WriteString(body + string(state) + exporter.stdout.String() + exporter.stderr.String())
	if err != nil || all.Len() < 10_000 {
		t.Fatalf("only %d bytes of output, %v", all.Len(), err)
	}
	for i := 4; i+8 <= len(planted); i++ { // "pat_" stands in the documentation too
		if at := strings.Index(all.String(), planted[i:i+8]); at >= 0 {
			t.Fatalf("%q shows up: …%s…", planted[i:i+8], all.String()[max(0, at-200):at+8])
		}
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

// runOnce runs a command line until it ends.
func runOnce(ctx context.Context, args ...string) (stdout, stderr string, code int) {
	var out, errors output
	code = run(ctx, args, &out, &errors)
	return out.String(), errors.String(), code
}

// running is a program that serves.
type running struct {
	t              *testing.T
	url            string
	stdout, stderr output
	stop           context.CancelFunc
	exit           chan int
}

// start runs the command line, which must serve, until the test ends or stop is called.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{t: t, stop: cancel, exit: make(chan int, 1)}
	args = append(args, "--web.listen-address=127.0.0.1:0")
	if !slices.Contains(args, "demo") && !slices.Contains(args, "--state.file") {
		args = append(args, "--state.file=none")
	}
	go func() { r.exit <- run(ctx, args, &r.stdout, &r.stderr) }()
	t.Cleanup(func() { cancel(); r.wait() })
	listening := regexp.MustCompile(`msg="Listening on" address=(\S+)`)
	eventually(t, "listening", func() bool { return len(r.exit) > 0 || listening.MatchString(r.stderr.String()) })
	if len(r.exit) > 0 {
		t.Fatalf("the program ended:\n%s", r.stderr.String())
	}
	r.url = "http://" + listening.FindStringSubmatch(r.stderr.String())[1]
	return r
}

// wait waits for the end of the program, which must be a success.
func (r *running) wait() {
	if code := <-r.exit; code != 0 {
		r.t.Errorf("exit code %d:\n%s", code, r.stderr.String())
	}
	r.exit <- 0
}

// request returns the body and status of a path.
func (r *running) request(method, path string) (string, int) {
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Error(err)
		return "", 0
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Error(err)
	}
	return string(body), response.StatusCode
}

// awaitMetrics scrapes until there are lines that begin so.
func (r *running) awaitMetrics(lines ...string) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("%q", lines), func() bool {
		metrics, _ := r.request("GET", "/metrics")
		return !slices.ContainsFunc(lines, func(line string) bool { return !strings.Contains(metrics, "\n"+line) })
	})
}

// awaitLog waits until the log has these parts.
func (r *running) awaitLog(parts ...string) {
	r.t.Helper()
	for _, part := range parts {
		eventually(r.t, part, func() bool { return strings.Contains(r.stderr.String(), part) })
	}
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
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
