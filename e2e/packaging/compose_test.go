// Package compose holds the test of compose.yaml: what it mounts exists, what it passes to the exporter is known to the
// exporter, what it wires by name is there, and nothing is open that need not be.
package packaging

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

// projects are the two ways to start: without a token, and with tokens.
var projects = map[string][]string{
	"demo":   {"compose.yaml"},
	"tokens": {"compose.yaml", "compose.tokens.yaml"},
}

func TestServices(t *testing.T) {
	for name, files := range projects {
		t.Run(name, func(t *testing.T) {
			project := load(t, root(t), files...)
			if got, want := project.ServiceNames(), []string{"alertmanager", "exporter", "grafana", "prometheus"}; !slices.Equal(got, want) {
				t.Errorf("services are %q, want %q", got, want)
			}
			for _, service := range project.Services {
				t.Run(service.Name, func(t *testing.T) {
					testConfined(t, service)
					testPinned(t, service)
					testHealthcheck(t, service)
					testPorts(t, service)
				})
			}
		})
	}
}

func testConfined(t *testing.T, service types.ServiceConfig) {
	if !service.ReadOnly {
		t.Error("its files can be written to: read_only is not set")
	}
	if !slices.Equal(service.CapDrop, []string{"ALL"}) || len(service.CapAdd) > 0 || service.Privileged {
		t.Errorf("it has capabilities: cap_drop %q, cap_add %q, privileged %t", service.CapDrop, service.CapAdd, service.Privileged)
	}
	if !slices.Equal(service.SecurityOpt, []string{"no-new-privileges:true"}) {
		t.Errorf("security_opt is %q, want no-new-privileges:true", service.SecurityOpt)
	}
	if service.User == "" || service.User == "root" || strings.HasPrefix(service.User, "0") {
		t.Errorf("user is %q, want one that is not root", service.User)
	}
	if service.Name == "exporter" && service.User != "65532:65532" {
		t.Errorf("user is %q, want the image's own, 65532:65532", service.User)
	}
	if service.NetworkMode != "" || service.Pid != "" || service.Ipc != "" {
		t.Errorf("it shares the host's namespaces: network %q, pid %q, ipc %q", service.NetworkMode, service.Pid, service.Ipc)
	}
}

var release = regexp.MustCompile(`^[a-z]+/[a-z]+:v?[0-9]+\.[0-9]+\.[0-9]+$`)

func testPinned(t *testing.T, service types.ServiceConfig) {
	if service.Build != nil {
		if service.Image != "" || service.Build.Context != root(t) {
			t.Errorf("it is built from %q as %q, want the checkout, under no name that a registry could answer to", service.Build.Context, service.Image)
		}
		return
	}
	if !release.MatchString(service.Image) {
		t.Errorf("image is %q, want one release, as %s", service.Image, release)
	}
}

func testHealthcheck(t *testing.T, service types.ServiceConfig) {
	check := service.HealthCheck
	if check == nil || check.Disable || len(check.Test) < 2 || check.Test[0] != "CMD" {
		t.Fatalf("health check is %+v, want a command that needs no shell", check)
	}
	if service.Name == "exporter" && !slices.Equal(check.Test, []string{"CMD", "/appfigures_exporter", "healthcheck"}) {
		t.Errorf("health check is %q, want the image's own", check.Test)
	}
	if check.Interval == nil || check.Timeout == nil || *check.Timeout >= *check.Interval {
		t.Errorf("health check takes up to %v each %v", check.Timeout, check.Interval)
	}
}

func testPorts(t *testing.T, service types.ServiceConfig) {
	if len(service.Ports) == 0 {
		t.Error("no port is published: nobody can look at it")
	}
	for _, port := range service.Ports {
		if port.HostIP != "127.0.0.1" {
			t.Errorf("port %s is published on %q, want 127.0.0.1 alone", port.Published, port.HostIP)
		}
	}
}

// TestMounts checks that what a container is given is there, and stays as it is.
func TestMounts(t *testing.T) {
	for name, files := range projects {
		t.Run(name, func(t *testing.T) {
			project := load(t, root(t), files...)
			for _, service := range project.Services {
				for _, volume := range service.Volumes {
					if volume.Type != types.VolumeTypeBind {
						continue
					}
					if !volume.ReadOnly {
						t.Errorf("%s can write to %s", service.Name, volume.Source)
					}
					testExists(t, volume.Source)
				}
			}
			for secret, config := range project.Secrets {
				if filepath.Dir(config.File) == filepath.Join(root(t), "secrets") {
					testIgnored(t, config.File) // the user's own, which no commit may hold
					continue
				}
				if config.File == "" {
					t.Errorf("secret %s is no file", secret)
				}
				testExists(t, config.File)
			}
		})
	}
}

func testExists(t *testing.T, path string) {
	t.Helper()
	relative, err := filepath.Rel(root(t), path)
	if err != nil || !filepath.IsLocal(relative) {
		t.Errorf("%s lies outside the checkout", path)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("mounted, but not there: %v", err)
	}
}

// testIgnored checks that git would not add the file.
func testIgnored(t *testing.T, path string) {
	t.Helper()
	ignore, err := os.ReadFile(filepath.Join(filepath.Dir(path), ".gitignore"))
	if err != nil || !slices.Contains(strings.Split(string(ignore), "\n"), "*") {
		t.Errorf("git does not ignore %s: %v", path, err)
	}
}

func TestGrafanaPassword(t *testing.T) {
	grafana := service(t, load(t, root(t), "compose.yaml"), "grafana")
	file := grafana.Environment["GF_SECURITY_ADMIN_PASSWORD__FILE"]
	if file == nil || len(grafana.Secrets) != 1 || *file != "/run/secrets/"+grafana.Secrets[0].Source {
		t.Errorf("the password's file is %v, want the service's secret %v", file, grafana.Secrets)
	}
	if _, ok := grafana.Environment["GF_SECURITY_ADMIN_PASSWORD"]; ok {
		t.Error("the password is in the environment, for everyone who may inspect the container")
	}
}

// TestLoadIsStrict checks that the other tests would notice a misspelt key.
func TestLoadIsStrict(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte("services: {x: {image: x, read_onyl: true}}"), 0o644); err != nil {
		t.Fatal(err)
	}
	options := options(t, dir, "compose.yaml")
	if _, err := options.LoadProject(t.Context()); err == nil {
		t.Error("a service with the key read_onyl was loaded without an error")
	}
}

// load loads the files as Compose does, without variables of this machine.
func load(t *testing.T, dir string, files ...string) *types.Project {
	t.Helper()
	project, err := options(t, dir, files...).LoadProject(t.Context())
	if err != nil {
		t.Fatalf("loading %q: %v", files, err)
	}
	return project
}

func options(t *testing.T, dir string, files ...string) *cli.ProjectOptions {
	t.Helper()
	paths := make([]string, len(files))
	for i, file := range files {
		paths[i] = filepath.Join(dir, file)
	}
	options, err := cli.NewProjectOptions(paths, cli.WithWorkingDirectory(dir), cli.WithName("test"), cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	return options
}

func service(t *testing.T, project *types.Project, name string) types.ServiceConfig {
	t.Helper()
	service, err := project.GetService(name)
	if err != nil {
		t.Fatal(err)
	}
	return service
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(harness.Root)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
