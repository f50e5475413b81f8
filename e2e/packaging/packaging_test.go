// Package packaging tests what the exporter is shipped in: the image, the packages, compose.yaml, the systemd unit, and
// the version that each way of building reports.
package packaging

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// root is the repository's root.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(harness.Root)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// checkFlags checks that the exporter knows a command line, which may begin with a command.
func checkFlags(t *testing.T, arguments []string) {
	t.Helper()
	var command []string
	if len(arguments) > 0 && !strings.HasPrefix(arguments[0], "-") {
		command, arguments = arguments[:1], arguments[1:]
	}
	help, err := exec.Command(harness.Build(t), append(command, "--help")...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s --help: %v\n%s", command, err, help)
	}
	for _, argument := range arguments {
		flag, _, _ := strings.Cut(argument, "=")
		if !strings.HasPrefix(flag, "--") || !bytes.Contains(help, []byte(flag)) {
			t.Errorf("%q is not a flag of %s:\n%s", argument, command, help)
		}
	}
}

// checkConfig validates a shipped configuration. Its tokens are in secretsDir when it is in use; here each of them is a
// file of another directory.
func checkConfig(t *testing.T, file, secretsDir string, tokens []string) {
	t.Helper()
	secrets := t.TempDir()
	for _, token := range tokens {
		harness.Write(t, filepath.Join(secrets, token), "pat_of_the_test\n")
	}
	config := harness.Read(t, file)
	if !strings.Contains(config, secretsDir) {
		t.Fatalf("%s does not use the secrets in %s", file, secretsDir)
	}
	moved := filepath.Join(t.TempDir(), "config.yml")
	harness.Write(t, moved, strings.ReplaceAll(config, secretsDir, secrets))
	check := exec.Command(harness.Build(t), "--config.check", "--config.file="+moved)
	if out, err := check.CombinedOutput(); err != nil || bytes.Contains(out, []byte("warning")) {
		t.Errorf("%s: %v\n%s", check, err, out)
	}
}
