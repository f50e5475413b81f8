package harness

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	loopback = "127.0.0.1"
	anyPort  = loopback + ":0"

	// ResponseTimeout is the deadline of requests to the exporter.
	ResponseTimeout = 5 * time.Second
)

// Exporter is the program under test. It can be started again after it has ended, in the same directory.
type Exporter struct {
	*Process
	Address string // host and port where it listens; port 0 before it is started

	Binary    string
	Args      []string    // of every command, flags and commands alike
	Env       []string    // the whole environment
	Dir       string      // its working directory
	StateFile string      // "none" by default; empty: without the flag
	TLS       *tls.Config // of clients; nil without TLS

	t testing.TB
}

// NewExporter returns an exporter that does not run yet. Its working directory is empty, and its environment has
// nothing of this machine's. It listens at a port of its own choice and keeps no state.
func NewExporter(t testing.TB, args ...string) *Exporter {
	t.Helper()
	dir := t.TempDir()
	return &Exporter{
		Address: anyPort, Binary: Build(t), Args: args, Env: []string{"HOME=" + dir, "TMPDIR=" + dir}, Dir: dir,
		StateFile: "none", t: t,
	}
}

// StartExporter starts an exporter with the content of its configuration file; without content, it has no such file.
func StartExporter(t testing.TB, config string, args ...string) *Exporter {
	t.Helper()
	x := NewExporter(t, args...)
	if config != "" {
		x.WriteConfig(config)
	}
	return x.Start()
}

// WriteConfig writes config.yml in the working directory, where the exporter finds it.
func (x *Exporter) WriteConfig(content string) {
	x.t.Helper()
	Write(x.t, filepath.Join(x.Dir, "config.yml"), content)
}

// Command returns a command of the exporter, with the flags of all its commands.
func (x *Exporter) Command(args ...string) *exec.Cmd {
	args = slices.Concat(x.Args, args)
	if x.StateFile != "" {
		args = append(args, "--state.file="+x.StateFile)
	}
	cmd := exec.Command(x.Binary, args...)
	cmd.Dir, cmd.Env = x.Dir, append([]string{}, x.Env...) // not nil, which would be the test's own
	return cmd
}

// Start starts the exporter and waits until it listens.
func (x *Exporter) Start() *Exporter {
	x.t.Helper()
	return x.StartCommand(x.Command("--web.listen-address=" + x.Address))
}

// StartCommand starts a changed [Exporter.Command] and waits until it listens.
func (x *Exporter) StartCommand(cmd *exec.Cmd) *Exporter {
	x.t.Helper()
	x.Process = StartProcess(x.t, "the exporter", cmd)
	x.Address = x.AwaitListening()
	return x
}

// URL returns the URL of a path.
func (x *Exporter) URL(path string) string {
	if x.TLS != nil {
		return "https://" + x.Address + path
	}
	return "http://" + x.Address + path
}

// Request makes a request over a connection of its own, with headers given as name and value in turn.
func (x *Exporter) Request(method, path string, headers ...string) (*http.Response, string, error) {
	request, err := http.NewRequest(method, x.URL(path), nil)
	if err != nil {
		return nil, "", err
	}
	for pair := range slices.Chunk(headers, 2) {
		request.Header.Set(pair[0], pair[1])
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: x.TLS.Clone()}
	response, err := (&http.Client{Timeout: ResponseTimeout, Transport: transport}).Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

// Get returns what is at a path. If that fails or its status is not 200, the test goes on, marked as failed.
func (x *Exporter) Get(path string, headers ...string) string {
	x.t.Helper()
	response, body, err := x.Request(http.MethodGet, path, headers...)
	if err != nil || response.StatusCode != http.StatusOK {
		x.t.Errorf("GET %s: %v, %v\n%s", path, response, err, body)
	}
	return body
}

// Scrape returns the exposition, as a Prometheus gets it whose scrape timeout is shorter than [ResponseTimeout].
func (x *Exporter) Scrape() string {
	x.t.Helper()
	return x.Get("/metrics", "X-Prometheus-Scrape-Timeout-Seconds", "4")
}

// Until scrapes until condition returns nil for the exposition.
func (x *Exporter) Until(timeout time.Duration, condition func(exposition string) error) {
	x.t.Helper()
	Until(x.t, timeout, func() error { return condition(x.Scrape()) })
}

// Sum returns the sum of the series of an exposition whose names and labels match the regular expression, and how many
// there are.
func Sum(exposition, series string) (sum float64, count int) {
	for _, found := range regexp.MustCompile(`(?m)^(?:`+series+`) (\S+)$`).FindAllStringSubmatch(exposition, -1) {
		value, err := strconv.ParseFloat(found[1], 64)
		if err != nil {
			panic(fmt.Sprintf("exposition with the line %q", found[0]))
		}
		sum += value
		count++
	}
	return sum, count
}

// Expect returns an error unless each of the lines is one of the exposition's.
func Expect(exposition string, lines ...string) error {
	var missing []error
	for _, line := range lines {
		if !strings.Contains("\n"+exposition, "\n"+line+"\n") {
			missing = append(missing, fmt.Errorf("the exposition lacks %s", line))
		}
	}
	return errors.Join(missing...)
}

// FreeAddress returns a loopback address where nothing listened a moment ago.
func FreeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
