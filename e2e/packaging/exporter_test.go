package packaging

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

// TestExporterKnowsItsFlags asks the program itself about the command line that it is given.
func TestExporterKnowsItsFlags(t *testing.T) {
	binary := harness.Build(t)
	for name, files := range projects {
		t.Run(name, func(t *testing.T) {
			command := service(t, load(t, root(t), files...), "exporter").Command
			if len(command) == 0 {
				t.Fatal("the exporter is given no command")
			}
			help, err := exec.Command(binary, command[0], "--help").CombinedOutput()
			if err != nil {
				t.Fatalf("%s --help: %v\n%s", command[0], err, help)
			}
			for _, argument := range command[1:] {
				flag, _, _ := strings.Cut(argument, "=")
				if !strings.HasPrefix(flag, "--") || !bytes.Contains(help, []byte(flag)) {
					t.Errorf("%q is no flag of %s:\n%s", argument, command[0], help)
				}
			}
		})
	}
}

// TestExporterTakesItsTokens runs the exporter's configuration check over the mounted file and over secrets as Compose
// lays them out.
func TestExporterTakesItsTokens(t *testing.T) {
	exporterService := service(t, load(t, root(t), projects["tokens"]...), "exporter")

	secrets := t.TempDir()
	for _, secret := range exporterService.Secrets {
		writeFile(t, filepath.Join(secrets, secret.Source), "pat_of_the_test\n")
	}
	config, err := os.ReadFile(mounted(t, exporterService, "/etc/appfigures_exporter/config.yml"))
	if err != nil {
		t.Fatal(err)
	}
	moved := bytes.ReplaceAll(config, []byte("/run/secrets"), []byte(secrets))
	if bytes.Equal(moved, config) {
		t.Fatal("the exporter's configuration does not look in /run/secrets, where Compose puts secrets")
	}
	file := filepath.Join(t.TempDir(), "config.yml")
	writeFile(t, file, string(moved))

	check := exec.Command(harness.Build(t), "--config.check", "--config.file="+file)
	out, err := check.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", check, err, out)
	}
	if warning := []byte("level=WARN"); bytes.Contains(out, warning) {
		t.Errorf("the exporter warns of its configuration:\n%s", out)
	}
}

// mounted returns the file of the host that the service sees at target.
func mounted(t *testing.T, service types.ServiceConfig, target string) string {
	t.Helper()
	for _, volume := range service.Volumes {
		if volume.Target == target {
			return volume.Source
		}
	}
	t.Fatalf("%s mounts nothing at %s", service.Name, target)
	return ""
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
