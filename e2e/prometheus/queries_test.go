package demo

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/exporter"
	"github.com/appfigures-exporter/appfigures_exporter/e2e/prometheus"
	"github.com/appfigures-exporter/appfigures_exporter/internal/alerts"
)

// query is a question that a shipped file asks of Prometheus.
type query struct {
	where string // the file's kind, what asks in it, and which of its queries it is
	expr  string
	// overTime asks for each step of the time shown; else it is about now.
	overTime bool
}

// ask returns how many series the answer has.
func (q query) ask(server *prometheus.Server) (int, error) {
	var samples []prometheus.Sample
	var err error
	if q.overTime {
		samples, err = server.QueryRange(q.expr, shown, step)
	} else {
		samples, err = server.Query(q.expr)
	}
	return len(samples), err
}

// What a dashboard shows here, with how many seconds between two points: Grafana's variables of that name.
const (
	shown = 2 * time.Minute
	step  = time.Second
)

// allQueries returns the questions of all shipped files.
func allQueries(t *testing.T) []query {
	t.Helper()
	var all []query
	for kind, found := range map[string][]query{
		"rules": ruleQueries(t), "Grafana alerts": grafanaAlertQueries(t), "dashboards": dashboardQueries(t),
	} {
		if len(found) < 10 {
			t.Errorf("%s ask %d queries: too few to be all", kind, len(found))
		}
		all = append(all, found...)
	}
	return all
}

// ruleQueries returns what the Prometheus rules record, and what they compare.
func ruleQueries(t *testing.T) []query {
	t.Helper()
	groups, err := alerts.ReadRules(exporter.Root)
	if err != nil {
		t.Fatal(err)
	}
	var all []query
	for _, group := range groups {
		for _, rule := range group.Rules {
			if rule.Record != "" {
				all = append(all, query{where: "rule " + rule.Record, expr: rule.Expr})
				continue
			}
			condition, err := rule.Condition()
			if err != nil {
				t.Error(err)
			}
			all = append(all, query{where: "rule " + rule.Alert, expr: condition.Query})
		}
	}
	return all
}

// grafanaAlertQueries returns what the provisioned alert rules of Grafana ask of Prometheus.
func grafanaAlertQueries(t *testing.T) []query {
	t.Helper()
	var all []query
	for _, name := range files(t, "grafana", "provisioning", "alerting", "*.y*ml") {
		var file struct {
			Groups []struct {
				Rules []struct {
					Title string
					Data  []struct {
						RefID         string `yaml:"refId"`
						DatasourceUID string `yaml:"datasourceUid"`
						Model         struct{ Expr string }
					}
				}
			}
		}
		if err := yaml.Unmarshal(read(t, name), &file); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, group := range file.Groups {
			for _, rule := range group.Rules {
				for _, data := range rule.Data {
					if data.DatasourceUID == alerts.DataSource {
						all = append(all, query{where: "Grafana alert " + rule.Title + " " + data.RefID, expr: data.Model.Expr})
					}
				}
			}
		}
	}
	return all
}

// panel is a panel of a dashboard. A row holds panels.
type panel struct {
	Title   string
	Targets []struct {
		RefID   string
		Expr    string
		Instant bool
	}
	Panels []panel
}

// dashboardQueries returns what the panels and the variables of all dashboards ask, as Grafana would.
func dashboardQueries(t *testing.T) []query {
	t.Helper()
	var all []query
	for _, name := range files(t, "grafana", "dashboards", "*.json") {
		var dashboard struct {
			Panels     []panel
			Templating struct {
				List []struct{ Name, Type, Definition, AllValue string }
			}
		}
		if err := json.Unmarshal(read(t, name), &dashboard); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		variables := map[string]string{"__range": shown.String(), "__interval": step.String(), "__rate_interval": "10s"}
		for _, v := range dashboard.Templating.List {
			if v.Type == "query" {
				variables[v.Name] = v.AllValue
			}
		}
		for _, v := range dashboard.Templating.List {
			if v.Type == "query" {
				all = append(all, query{where: "variable " + v.Name, expr: labelValues(t, fill(t, v.Definition, variables))})
			}
		}
		var walk func([]panel)
		walk = func(panels []panel) {
			for _, p := range panels {
				for _, target := range p.Targets {
					all = append(all, query{"panel " + p.Title + " " + target.RefID, fill(t, target.Expr, variables), !target.Instant})
				}
				walk(p.Panels)
			}
		}
		walk(dashboard.Panels)
	}
	return all
}

var (
	variable = regexp.MustCompile(`\$\{?([a-zA-Z_]+)\}?`)
	values   = regexp.MustCompile(`^label_values\((.+), ([a-z_]+)\)$`)
	// slowStep is the step of a subquery, in minutes. One that looks at each fifth minute has nothing to compare
	// before ten have passed; here it looks at each fifth second.
	slowStep = regexp.MustCompile(`(:\d+)m\]`)
)

// fill puts values in the place of Grafana's variables.
func fill(t *testing.T, expr string, variables map[string]string) string {
	t.Helper()
	filled := variable.ReplaceAllStringFunc(expr, func(found string) string {
		value, known := variables[variable.FindStringSubmatch(found)[1]]
		if !known {
			t.Errorf("%s: no value for %s", expr, found)
		}
		return value
	})
	return slowStep.ReplaceAllString(filled, "${1}s]")
}

// labelValues returns the query that answers Grafana's label_values.
func labelValues(t *testing.T, definition string) string {
	t.Helper()
	parts := values.FindStringSubmatch(definition)
	if parts == nil {
		t.Fatalf("the variable is no label_values(metric, label): %s", definition)
	}
	return fmt.Sprintf("count by (%s) (%s)", parts[2], parts[1])
}

// files returns the files of the repository that match; there must be one.
func files(t *testing.T, pattern ...string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(exporter.Root, filepath.Join(pattern...)))
	if err != nil || len(found) == 0 {
		t.Fatalf("there is no %s: %v", strings.Join(pattern, "/"), err)
	}
	return found
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
