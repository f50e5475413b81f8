package packaging

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"
)

// prometheusConfig is what is read of a prometheus.yml.
type prometheusConfig struct {
	RuleFiles     []string `yaml:"rule_files"`
	ScrapeConfigs []struct {
		JobName       string         `yaml:"job_name"`
		StaticConfigs []staticConfig `yaml:"static_configs"`
	} `yaml:"scrape_configs"`
	Alerting struct {
		Alertmanagers []struct {
			StaticConfigs []staticConfig `yaml:"static_configs"`
		}
	}
}

type staticConfig struct{ Targets []string }

func TestPrometheusIsWired(t *testing.T) {
	project := load(t, root(t), "compose.yaml")
	prometheus := service(t, project, "prometheus")
	const configFile = "/etc/prometheus/prometheus.yml"
	var config prometheusConfig
	readYAML(t, mounted(t, prometheus, configFile), &config)

	reached := map[string]bool{}
	for _, job := range config.ScrapeConfigs {
		for _, static := range job.StaticConfigs {
			for _, target := range static.Targets {
				reached[testAddress(t, project, target)] = true
			}
		}
	}
	for _, alertmanager := range config.Alerting.Alertmanagers {
		for _, static := range alertmanager.StaticConfigs {
			for _, target := range static.Targets {
				reached[testAddress(t, project, target)] = true
			}
		}
	}
	for _, name := range []string{"exporter", "alertmanager"} {
		if !reached[name] {
			t.Errorf("prometheus.yml names no target of the service %s", name)
		}
	}

	if len(config.RuleFiles) == 0 {
		t.Error("prometheus.yml loads no rules")
	}
	for _, file := range config.RuleFiles {
		if !path.IsAbs(file) {
			file = path.Join(path.Dir(configFile), file)
		}
		mounted(t, prometheus, file)
	}
}

func TestGrafanaIsWired(t *testing.T) {
	project := load(t, root(t), "compose.yaml")
	grafana := service(t, project, "grafana")
	provisioning := mounted(t, grafana, "/etc/grafana/provisioning")

	reached := map[string]bool{}
	for _, file := range glob(t, provisioning, "datasources") {
		var config struct{ Datasources []struct{ Name, URL string } }
		readYAML(t, file, &config)
		for _, datasource := range config.Datasources {
			address, err := url.Parse(datasource.URL)
			if err != nil {
				t.Errorf("data source %s: %v", datasource.Name, err)
				continue
			}
			reached[testAddress(t, project, address.Host)] = true
		}
	}
	if !reached["prometheus"] {
		t.Error("no data source of Grafana is the service prometheus")
	}

	for _, file := range glob(t, provisioning, "dashboards") {
		var config struct {
			Providers []struct {
				Name    string
				Options struct{ Path string }
			}
		}
		readYAML(t, file, &config)
		for _, provider := range config.Providers {
			mounted(t, grafana, provider.Options.Path)
		}
	}

	home := grafana.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
	if home == nil {
		t.Fatal("Grafana has no home dashboard")
	}
	if _, err := os.Stat(filepath.Join(mounted(t, grafana, path.Dir(*home)), path.Base(*home))); err != nil {
		t.Errorf("Grafana's home dashboard: %v", err)
	}
}

// testAddress checks that address is that of a service, and that it publishes the port, so listens on it; it returns the
// service's name.
func testAddress(t *testing.T, project *types.Project, address string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Errorf("address %q: %v", address, err)
		return ""
	}
	if host == "localhost" { // Prometheus watching itself
		return ""
	}
	service, err := project.GetService(host)
	if err != nil {
		t.Errorf("address %s: %v", address, err)
		return ""
	}
	for _, published := range service.Ports {
		if strconv.Itoa(int(published.Target)) == port {
			return host
		}
	}
	t.Errorf("address %s: the service %s does not listen on port %s", address, host, port)
	return ""
}

func glob(t *testing.T, provisioning, kind string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(provisioning, kind, "*.y*ml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s are provisioned: %v", kind, err)
	}
	return files
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err == nil {
		err = yaml.Unmarshal(content, into)
	}
	if err != nil {
		t.Fatal(fmt.Errorf("reading %s: %w", file, err))
	}
}
