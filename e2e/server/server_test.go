// Package server meets the real exporter from outside, as its users and its enemies do: over TLS with a password, with
// requests that are ambiguous, oversize or slow, and with an eye on what it writes.
package server

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

const secret = "pat_s3cret0fTheServersTests"

// binary is built once for all tests.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "exporter")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "appfigures_exporter")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = harness.Root
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as releases are built; it runs where there are no libraries
	if out, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("building the exporter: %v\n%s", err, out))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// target is an exporter that watches one token, and runs in a directory of its own.
type target struct {
	*process.Process
	cmd     *exec.Cmd
	address string
	pid     int
	dir     string // its working directory; tmp below it is its directory for temporary files
	api     *harness.API
	tls     *tls.Config // how to ask it, nil without TLS
}

// start starts an exporter over a simulated API.
func start(t *testing.T, args ...string) *target {
	t.Helper()
	x := prepare(t, args...)
	x.run(t)
	return x
}

// prepare returns an exporter that does not run yet. All that it reads lies in its directory.
func prepare(t *testing.T, args ...string) *target {
	t.Helper()
	ca := harness.NewAuthority(t)
	api := simulated.Start(t, ca, simulator.New(simulator.Options{DailyLimit: harness.Plenty}), nil)
	api.Set(secret, simulator.Valid)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	copyFile(t, ca.File, filepath.Join(dir, "ca.pem"))
	write(t, filepath.Join(dir, "config.yml"), fmt.Sprintf("api_url: %s\ntls_config: {ca_file: ca.pem}\ntokens: [{name: watched, token_file: token}]\n", api.URL()))
	write(t, filepath.Join(dir, "token"), secret+"\n")
	cmd := exec.Command(binary, append(args, "--web.listen-address="+exporter.AnyPort)...)
	cmd.Dir = dir
	cmd.Env = []string{"TMPDIR=" + filepath.Join(dir, "tmp"), "HOME=" + dir}
	return &target{cmd: cmd, dir: dir, api: api}
}

// run starts the exporter and waits until it listens.
func (x *target) run(t *testing.T) {
	t.Helper()
	x.Process = harness.StartProcess(t, "the exporter", x.cmd)
	x.address = x.Address()
	x.pid = x.cmd.Process.Pid
}

// url returns where to ask for a path.
func (x *target) url(path string) string {
	if x.tls != nil {
		return "https://" + x.address + path
	}
	return "http://" + x.address + path
}

// get asks for a path. It fails the test when there is no answer within five seconds.
func (x *target) get(t *testing.T, path string) (*http.Response, string) {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: x.tls.Clone()}}
	response, err := client.Get(x.url(path))
	if err != nil {
		t.Errorf("asking for %s: %v", path, err)
		return &http.Response{}, ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Errorf("reading the answer to %s: %v", path, err)
	}
	return response, string(body)
}

// checkScraped checks that an ordinary scraper is served, and told the truth.
func (x *target) checkScraped(t *testing.T) {
	t.Helper()
	if _, body := x.get(t, "/metrics"); !strings.Contains(body, `appfigures_token_valid{token="watched"} 1`) {
		t.Errorf("an ordinary scrape says:\n%.500s", body)
	}
}

// TestSecurityHeaders checks that a browser is told to do nothing with any answer but show it.
func TestSecurityHeaders(t *testing.T) {
	x := start(t)
	for _, path := range []string{"/", "/metrics", "/probe?target=watched", "/probe?target=<script>", "/sd", "/-/healthy", "/-/ready", "/-/reload", "/nowhere"} {
		response, body := x.get(t, path)
		for header, want := range map[string]string{
			"X-Content-Type-Options":  "nosniff",
			"Referrer-Policy":         "no-referrer",
			"Cache-Control":           "no-store",
			"Content-Security-Policy": "default-src 'none'",
		} {
			if got := response.Header.Get(header); !strings.Contains(got, want) {
				t.Errorf("%s: %s is %q, want %q", path, header, got, want)
			}
		}
		if got := response.Header.Get("Content-Security-Policy"); !strings.Contains(got, "frame-ancestors 'none'") {
			t.Errorf("%s may be shown in a frame: %q", path, got)
		}
		if strings.Contains(body, "<script") || strings.Contains(body, secret) {
			t.Errorf("%s shows what it must not:\n%s", path, body)
		}
	}
}

// TestPprof checks that profiles are there only when asked for: they would show what is in memory.
func TestPprof(t *testing.T) {
	paths := []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline", "/debug/pprof/profile?seconds=1", "/debug/pprof/trace?seconds=1", "/debug/vars"}
	without := start(t)
	for _, path := range paths {
		if response, _ := without.get(t, path); response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s, want 404", path, response.Status)
		}
	}
	with := start(t, "--web.enable-pprof")
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile?seconds=1"} {
		if response, _ := with.get(t, path); response.StatusCode != http.StatusOK {
			t.Errorf("%s with the flag: %s, want 200", path, response.Status)
		}
	}
	if _, dump := with.get(t, "/debug/pprof/goroutine?debug=2"); strings.Contains(dump, secret) {
		t.Error("the dump of goroutines holds the token")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, string(text))
}
