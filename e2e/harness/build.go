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

var binary struct {
	sync.Mutex
	dir, path string // dir is set by Main, path by the first Build
}

// Main is the body of TestMain in packages that build the exporter: it removes the binary in the end.
func Main(m *testing.M) {
	dir, err := os.MkdirTemp("", "appfigures_exporter_e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary.dir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// Build returns the path of the exporter, linked statically as in a release: it runs where there are no libraries.
func Build(t testing.TB) string {
	t.Helper()
	binary.Lock()
	defer binary.Unlock()
	if binary.dir == "" {
		t.Fatal("the package has no TestMain that calls harness.Main")
	}
	if binary.path == "" {
		path := filepath.Join(binary.dir, "appfigures_exporter")
		cmd := exec.Command("go", "build", "-o", path, ".")
		cmd.Dir, cmd.Env = Root, append(os.Environ(), "CGO_ENABLED=0")
		Output(t, cmd)
		binary.path = path
	}
	return binary.path
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

// Run runs a program in dir, with env besides this process's environment, and returns what it prints.
func Run(t testing.TB, dir string, env []string, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	return Output(t, cmd)
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

// ReadWith returns the content of a file of the repository with texts replaced, given as old and new in turn. Each old
// one must be in it.
func ReadWith(t testing.TB, path string, oldnew ...string) string {
	t.Helper()
	content := Read(t, filepath.Join(Root, path))
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(content, oldnew[i]) {
			t.Fatalf("%s does not contain %q", path, oldnew[i])
		}
	}
	return strings.NewReplacer(oldnew...).Replace(content)
}
