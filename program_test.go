package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

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
