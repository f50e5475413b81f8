// Package exporter builds the program that the suites of this module test.
package exporter

import (
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// Root is the repository's root, relative to every package of this module: each lies at e2e/NAME, and that is where
// go test runs it.
const Root = "../.."

// Build compiles the exporter as a user does who runs `go build .` in a checkout, with flags if there are any, and
// returns the path of the binary.
func Build(t *testing.T, flags ...string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "appfigures_exporter")
	build := exec.Command("go", slices.Concat([]string{"build", "-o", binary}, flags, []string{"."})...)
	build.Dir = Root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the exporter: %v\n%s", err, out)
	}
	return binary
}
