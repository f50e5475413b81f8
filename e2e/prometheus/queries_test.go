package prometheus

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/grafana"
)

// query is a query of a shipped file.
type query struct {
	where string // the kind of file, the rule or panel, and the query's name
	expr  string
	// overTime evaluates it at each step of the time shown, else now.
	overTime bool
}

// series returns how many series the result has.
func (q query) series(server *harness.Prometheus) (int, error) {
	var samples []harness.Sample
	var err error
	if q.overTime {
		samples, err = server.QueryRange(q.expr, shown, step)
	} else {
		samples, err = server.Query(q.expr)
	}
	return len(samples), err
}

// What a dashboard shows: Grafana's variables $__range and $__interval.
const (
	shown = 2 * time.Minute
	step  = time.Second
)

// allQueries returns the queries of all shipped files.
func allQueries(t *testing.T) []query {
	t.Helper()
	var all []query
	for kind, found := range map[string][]query{
		"rules": ruleQueries(t), "Grafana alerts": grafanaAlertQueries(t), "dashboards": dashboardQueries(t),
	} {
		if len(found) < 10 {
			t.Errorf("%s have only %d queries, so some were missed", kind, len(found))
		}
		all = append(all, found...)
	}
	return all
}

// ruleQueries returns what the Prometheus rules compare.
func ruleQueries(t *testing.T) []query {
	t.Helper()
	groups, err := grafana.ReadRules(harness.Root)
	if err != nil {
		t.Fatal(err)
	}
	var all []query
	for _, group := range groups {
		for _, rule := range group.Rules {
			condition, err := rule.Condition()
			if err != nil {
				t.Error(err)
			}
			all = append(all, query{where: "rule " + rule.Alert, expr: condition.Query})
		}
	}
	return all
}

// grafanaAlertQueries returns the queries of Grafana's provisioned alert rules.
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
		if err := yaml.Unmarshal([]byte(harness.Read(t, name)), &file); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, group := range file.Groups {
			for _, rule := range group.Rules {
				for _, data := range rule.Data {
					if data.DatasourceUID == grafana.DataSource {
						where := "Grafana alert " + rule.Title + " " + data.RefID
						all = append(all, query{where: where, expr: data.Model.Expr})
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

// dashboardQueries returns the queries of the panels and variables of all dashboards, as Grafana sends them.
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
		if err := json.Unmarshal([]byte(harness.Read(t, name)), &dashboard); err != nil {
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
				expr := labelValues(t, fill(t, v.Definition, variables))
				all = append(all, query{where: "variable " + v.Name, expr: expr})
			}
		}
		var walk func([]panel)
		walk = func(panels []panel) {
			for _, p := range panels {
				for _, target := range p.Targets {
					where := "panel " + p.Title + " " + target.RefID
					all = append(all, query{where, fill(t, target.Expr, variables), !target.Instant})
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
	// slowStep is the step of a subquery in minutes; in the test it is in seconds.
	slowStep = regexp.MustCompile(`(:\d+)m\]`)
)

// fill replaces Grafana's variables by their values.
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

// labelValues returns the query for Grafana's label_values.
func labelValues(t *testing.T, definition string) string {
	t.Helper()
	parts := values.FindStringSubmatch(definition)
	if parts == nil {
		t.Fatalf("not label_values(metric, label): %s", definition)
	}
	return fmt.Sprintf("count by (%s) (%s)", parts[2], parts[1])
}

// files returns the files of the repository that match; there must be one.
func files(t *testing.T, pattern ...string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(harness.Root, filepath.Join(pattern...)))
	if err != nil || len(found) == 0 {
		t.Fatalf("there is no %s: %v", strings.Join(pattern, "/"), err)
	}
	return found
}
