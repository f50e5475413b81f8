// Package harness builds the exporter and runs it, a simulated Appfigures API over TLS, Prometheus, and other programs.
// Everything that a test starts ends with the test. The other packages of this module are tests that use it.
package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Root is the repository's root, relative to each package of this module, where go test runs it.
const Root = "../.."

var builds = struct {
	sync.Mutex
	dir    string            // of the binaries; set by Main
	byKind map[string]string // paths of the binaries
}{byKind: make(map[string]string)}

// Main is the body of TestMain in packages that build the exporter: it removes the binaries in the end.
func Main(m *testing.M) {
	dir, err := os.MkdirTemp("", "appfigures_exporter_e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	builds.dir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// Build returns the path of the exporter, linked statically as in a release: it runs where there are no libraries.
func Build(t testing.TB) string {
	t.Helper()
	return build(t, "static", "CGO_ENABLED=0")
}

// BuildRace returns the path of the exporter with the race detector.
func BuildRace(t testing.TB) string {
	t.Helper()
	return build(t, "race", "CGO_ENABLED=1", "-race")
}

// build builds each kind once per test binary.
func build(t testing.TB, kind, env string, flags ...string) string {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	if path := builds.byKind[kind]; path != "" {
		return path
	}
	if builds.dir == "" {
		t.Fatal("the package has no TestMain that calls harness.Main")
	}
	path := filepath.Join(builds.dir, kind)
	cmd := exec.Command("go", append(append([]string{"build", "-o", path}, flags...), ".")...)
	cmd.Dir = Root
	cmd.Env = append(os.Environ(), env)
	Output(t, cmd)
	builds.byKind[kind] = path
	return path
}

// Output runs a command and returns its standard output without white space around it.
func Output(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", cmd, err, out, &stderr)
	}
	return strings.TrimSpace(string(out))
}

// Tool returns the path of a program: from PATH, or where `go install` puts it. install is the command that installs
// it.
func Tool(t testing.TB, name, install string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	path := filepath.Join(Output(t, exec.Command("go", "env", "GOPATH")), "bin", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is neither in PATH nor at %s; install it with: %s", name, path, install)
	}
	return path
}

// PrometheusOperator is the module that defines ServiceMonitor and PrometheusRule, in example/prometheus-operator-crd.
const PrometheusOperator = "github.com/prometheus-operator/prometheus-operator@v0.94.1"

// Module returns the directory with the files of MODULE@VERSION.
func Module(t testing.TB, module string) string {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", module)
	cmd.Dir = t.TempDir() // outside of this module, so that its go.sum does not change
	var download struct{ Dir string }
	if err := json.Unmarshal([]byte(Output(t, cmd)), &download); err != nil {
		t.Fatal(err)
	}
	return download.Dir
}

// NeedRoot fails the test unless it runs as root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts or enters directories, which takes root")
	}
}

// Read returns the content of a file.
func Read(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// Write writes a file that only its owner can read.
func Write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Substitution is a text of a file and what replaces it in the test.
type Substitution struct{ Old, New string }

// ReadWith returns the content of a file of the repository with the substitutions made. Each must find its text.
func ReadWith(t testing.TB, path string, substitutions ...Substitution) string {
	t.Helper()
	content := Read(t, filepath.Join(Root, path))
	for _, s := range substitutions {
		if !strings.Contains(content, s.Old) {
			t.Fatalf("%s does not contain %q", path, s.Old)
		}
		content = strings.ReplaceAll(content, s.Old, s.New)
	}
	return content
}
