package grafana

import (
	"os"
	"path/filepath"
)

// Where the files lie in the repository.
const (
	RulesPath     = "prometheus/appfigures.rules.yml"
	DashboardPath = "grafana/dashboards/appfigures-tokens.json"
	GrafanaPath   = "grafana/provisioning/alerting/appfigures.yml" // is made from the other two
)

// ReadRules returns the Prometheus rules of the repository.
func ReadRules(repository string) ([]Group, error) {
	file, err := os.Open(filepath.Join(repository, RulesPath))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return Parse(file)
}

// GrafanaFile returns what the repository's file of Grafana alert rules should hold.
func GrafanaFile(repository string) ([]byte, error) {
	groups, err := ReadRules(repository)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(repository, DashboardPath))
	if err != nil {
		return nil, err
	}
	dashboard, err := ParseDashboard(text)
	if err != nil {
		return nil, err
	}
	return Grafana(groups, dashboard)
}
