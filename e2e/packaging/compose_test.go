package packaging

import (
	"net"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

// projects are the two ways to start: without a token, and with tokens.
var projects = map[string][]string{
	"demo":   {"compose.yaml"},
	"tokens": {"compose.yaml", "compose.tokens.yaml"},
}

// TestServicesAreConfined checks that no service can do more than it needs to: write its files, use capabilities, be
// root, be another release tomorrow, or be reached from other machines.
func TestServicesAreConfined(t *testing.T) {
	for name, files := range projects {
		t.Run(name, func(t *testing.T) {
			for _, s := range loadProject(t, root(t), files...).Services {
				for problem, found := range map[string]bool{
					"a writable root":          !s.ReadOnly,
					"capabilities":             !slices.Contains(s.CapDrop, "ALL") || len(s.CapAdd) > 0 || s.Privileged,
					"new privileges":           !slices.Contains(s.SecurityOpt, "no-new-privileges:true"),
					"root":                     s.User == "" || s.User == "root" || strings.HasPrefix(s.User, "0"),
					"the host's namespaces":    s.NetworkMode != "" || s.Pid != "" || s.Ipc != "",
					"an image without version": s.Build == nil && strings.Count(s.Image, ".") != 2,
					"no health check":          s.HealthCheck == nil || s.HealthCheck.Disable,
				} {
					if found {
						t.Errorf("%s has %s", s.Name, problem)
					}
				}
				for _, port := range s.Ports {
					if port.HostIP != "127.0.0.1" {
						t.Errorf("%s publishes port %s on %q", s.Name, port.Published, port.HostIP)
					}
				}
			}
		})
	}
}

// TestMounts checks that what is mounted exists and is read-only, and that git ignores the user's own secrets.
func TestMounts(t *testing.T) {
	for name, files := range projects {
		t.Run(name, func(t *testing.T) {
			project := loadProject(t, root(t), files...)
			for _, s := range project.Services {
				for _, volume := range s.Volumes {
					if volume.Type != types.VolumeTypeBind {
						continue
					}
					if !volume.ReadOnly {
						t.Errorf("%s can write to %s", s.Name, volume.Source)
					}
					checkInRepository(t, volume.Source)
				}
			}
			for _, secret := range project.Secrets {
				if filepath.Dir(secret.File) != filepath.Join(root(t), "secrets") {
					checkInRepository(t, secret.File)
					continue
				}
				ignored := harness.Read(t, filepath.Join(filepath.Dir(secret.File), ".gitignore"))
				if !slices.Contains(strings.Split(ignored, "\n"), "*") {
					t.Errorf("git does not ignore %s", secret.File)
				}
			}
		})
	}
}

func checkInRepository(t *testing.T, path string) {
	t.Helper()
	relative, err := filepath.Rel(root(t), path)
	if err != nil || !filepath.IsLocal(relative) {
		t.Errorf("%s is outside the checkout", path)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// TestGrafanaPassword checks that the password is a secret, and not in the environment, which others can inspect.
func TestGrafanaPassword(t *testing.T) {
	grafana := getService(t, loadProject(t, root(t), "compose.yaml"), "grafana")
	file := grafana.Environment["GF_SECURITY_ADMIN_PASSWORD__FILE"]
	if file == nil || len(grafana.Secrets) != 1 || *file != "/run/secrets/"+grafana.Secrets[0].Source {
		t.Errorf("the password's file is %v, want the service's secret %v", file, grafana.Secrets)
	}
	if _, found := grafana.Environment["GF_SECURITY_ADMIN_PASSWORD"]; found {
		t.Error("the password is in the environment")
	}
}

// TestComposeExporter checks that the exporter accepts its command line and its configuration.
func TestComposeExporter(t *testing.T) {
	for name, files := range projects {
		t.Run(name, func(t *testing.T) {
			exporter := getService(t, loadProject(t, root(t), files...), "exporter")
			checkFlags(t, exporter.Command)
			if name == "demo" {
				return
			}
			var tokens []string
			for _, secret := range exporter.Secrets {
				tokens = append(tokens, secret.Source)
			}
			checkConfig(t, mountedAt(t, exporter, "/etc/appfigures_exporter/config.yml"), "/run/secrets", tokens)
		})
	}
}

// TestPrometheusIsWired checks that Prometheus scrapes the exporter, alerts through Alertmanager, and has its rules.
func TestPrometheusIsWired(t *testing.T) {
	project := loadProject(t, root(t), "compose.yaml")
	prometheus := getService(t, project, "prometheus")
	const configFile = "/etc/prometheus/prometheus.yml"
	type targets []struct {
		StaticConfigs []struct{ Targets []string } `yaml:"static_configs"`
	}
	var config struct {
		RuleFiles     []string `yaml:"rule_files"`
		ScrapeConfigs targets  `yaml:"scrape_configs"`
		Alerting      struct{ Alertmanagers targets }
	}
	readYAML(t, mountedAt(t, prometheus, configFile), &config)

	reached := map[string]bool{}
	for _, group := range slices.Concat(config.ScrapeConfigs, config.Alerting.Alertmanagers) {
		for _, static := range group.StaticConfigs {
			for _, target := range static.Targets {
				reached[checkAddress(t, project, target)] = true
			}
		}
	}
	for _, name := range []string{"exporter", "alertmanager"} {
		if !reached[name] {
			t.Errorf("prometheus.yml has no target of the service %s", name)
		}
	}
	if len(config.RuleFiles) == 0 {
		t.Error("prometheus.yml loads no rules")
	}
	for _, file := range config.RuleFiles {
		if !path.IsAbs(file) {
			file = path.Join(path.Dir(configFile), file)
		}
		mountedAt(t, prometheus, file)
	}
}

// TestGrafanaIsWired checks that Grafana has Prometheus as its data source, and its dashboards.
func TestGrafanaIsWired(t *testing.T) {
	project := loadProject(t, root(t), "compose.yaml")
	grafana := getService(t, project, "grafana")
	provisioning := mountedAt(t, grafana, "/etc/grafana/provisioning")

	reached := map[string]bool{}
	for _, file := range provisioned(t, provisioning, "datasources") {
		var config struct{ Datasources []struct{ URL string } }
		readYAML(t, file, &config)
		for _, datasource := range config.Datasources {
			address, err := url.Parse(datasource.URL)
			if err != nil {
				t.Fatal(err)
			}
			reached[checkAddress(t, project, address.Host)] = true
		}
	}
	if !reached["prometheus"] {
		t.Error("no data source is the service prometheus")
	}
	for _, file := range provisioned(t, provisioning, "dashboards") {
		var config struct {
			Providers []struct{ Options struct{ Path string } }
		}
		readYAML(t, file, &config)
		for _, provider := range config.Providers {
			mountedAt(t, grafana, provider.Options.Path)
		}
	}
	home := grafana.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
	if home == nil {
		t.Fatal("Grafana has no home dashboard")
	}
	if _, err := os.Stat(filepath.Join(mountedAt(t, grafana, path.Dir(*home)), path.Base(*home))); err != nil {
		t.Errorf("Grafana's home dashboard: %v", err)
	}
}

// TestLoadIsStrict checks that the other tests would notice a misspelled key.
func TestLoadIsStrict(t *testing.T) {
	dir := t.TempDir()
	harness.Write(t, filepath.Join(dir, "compose.yaml"), "services: {x: {image: x, read_onyl: true}}")
	if _, err := projectOptions(t, dir, "compose.yaml").LoadProject(t.Context()); err == nil {
		t.Error("a service with the key read_onyl was loaded without an error")
	}
}

// loadProject loads the files as Compose does, without variables of this machine.
func loadProject(t *testing.T, dir string, files ...string) *types.Project {
	t.Helper()
	project, err := projectOptions(t, dir, files...).LoadProject(t.Context())
	if err != nil {
		t.Fatalf("loading %q: %v", files, err)
	}
	return project
}

func projectOptions(t *testing.T, dir string, files ...string) *cli.ProjectOptions {
	t.Helper()
	paths := make([]string, len(files))
	for i, file := range files {
		paths[i] = filepath.Join(dir, file)
	}
	options, err := cli.NewProjectOptions(paths,
		cli.WithWorkingDirectory(dir), cli.WithName("test"), cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	return options
}

func getService(t *testing.T, project *types.Project, name string) types.ServiceConfig {
	t.Helper()
	service, err := project.GetService(name)
	if err != nil {
		t.Fatal(err)
	}
	return service
}

// mountedAt returns the host's file or directory that the service sees at target.
func mountedAt(t *testing.T, service types.ServiceConfig, target string) string {
	t.Helper()
	for _, volume := range service.Volumes {
		if volume.Target == target {
			return volume.Source
		}
	}
	t.Fatalf("%s mounts nothing at %s", service.Name, target)
	return ""
}

// checkAddress checks that a service publishes the port of the address, so listens there. It returns the service's
// name.
func checkAddress(t *testing.T, project *types.Project, address string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	if host == "localhost" { // Prometheus scrapes itself
		return ""
	}
	for _, published := range getService(t, project, host).Ports {
		if strconv.Itoa(int(published.Target)) == port {
			return host
		}
	}
	t.Errorf("address %s: the service %s does not listen on port %s", address, host, port)
	return ""
}

func provisioned(t *testing.T, provisioning, kind string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(provisioning, kind, "*.y*ml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s are provisioned: %v", kind, err)
	}
	return files
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(harness.Read(t, file)), into); err != nil {
		t.Fatalf("reading %s: %v", file, err)
	}
}
