// Package grafana holds what Grafana is given: a dashboard and alert rules. Its tests make the alert rules from those of
// Prometheus, and check that both fit the exporter's metrics and runbooks. They run neither Grafana nor Prometheus.
package grafana

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"

	"gopkg.in/yaml.v3"

	"github.com/appfigures-exporter/appfigures_exporter/collector"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

var update = flag.Bool("update", false, "write Grafana's alert rules")

const (
	rulesPath     = "../prometheus/appfigures.rules.yml"
	dashboardPath = "dashboards/appfigures-tokens.json"
	alertsPath    = "provisioning/alerting/appfigures.yml"
)

// group is a group of Prometheus rules.
type group struct {
	Name     string
	Interval string
	Rules    []rule
}

// rule is a Prometheus alert rule, and what Grafana needs besides.
type rule struct {
	Alert         string
	Expr          string
	For           string
	KeepFiringFor string `yaml:"keep_firing_for"`
	Labels        map[string]string
	Annotations   map[string]string

	UID       string `yaml:"-"`
	Panel     int    `yaml:"-"` // of the dashboard: the one that links to the alert's runbook
	Query     string `yaml:"-"` // what Expr compares
	Evaluator string `yaml:"-"` // how it compares, in Grafana's words
}

// TestAlertRules checks that Grafana's alert rules are those of Prometheus.
func TestAlertRules(t *testing.T) {
	groups := prometheusRules(t)
	for _, g := range groups {
		for i := range g.Rules {
			g.Rules[i].complete(t)
		}
	}
	// A string of Go is one of YAML. In Grafana $value is a text about all queries; the number is in $values.
	quote := func(text string) string {
		return strconv.Quote(strings.ReplaceAll(text, "{{ $value |", "{{ $values.A.Value |"))
	}
	var want bytes.Buffer
	const file = "alerts.yml.tmpl"
	parsed := template.Must(template.New(file).Funcs(template.FuncMap{"quote": quote}).ParseFiles(file))
	if err := parsed.Execute(&want, groups); err != nil {
		t.Fatal(err)
	}
	if *update {
		_ = os.WriteFile(alertsPath, want.Bytes(), 0o644) // or else they differ
	}
	if readFile(t, alertsPath) != want.String() {
		t.Errorf("%s is not what %s makes: run go test ./grafana -update", alertsPath, rulesPath)
	}
}

// prometheusRules returns the shipped rules.
func prometheusRules(t *testing.T) []group {
	var file struct{ Groups []group }
	decoder := yaml.NewDecoder(strings.NewReader(readFile(t, rulesPath)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	return file.Groups
}

// complete sets what Grafana needs besides the Prometheus rule.
func (r *rule) complete(t *testing.T) {
	// AppfiguresAPIDown: appfigures-api-down.
	r.UID = strings.ToLower(regexp.MustCompile(`[a-z][A-Z]|[A-Z][A-Z][a-z]`).ReplaceAllStringFunc(r.Alert,
		func(s string) string { return s[:1] + "-" + s[1:] }))
	if len(r.UID) > 40 {
		t.Errorf("Grafana refuses a UID as long as %s", r.UID)
	}
	r.Panel = panelOf(t, r.Annotations["runbook_url"])

	// What stands before the comparison is one operand: a metric, or something in parentheses, indented if it has several
	// lines. So no operator that binds less tightly than the comparison can stand beside it.
	const operand = `(?:[a-z]+ without \([a-z, ]+\) )?(?:[a-z_]+|\([^()]*\)|\((?:\n .*)+\n\))`
	m := regexp.MustCompile(`^(` + operand + `) (==|>=|>|<) ([0-9]+(?:\.[0-9]+)?)\n$`).FindStringSubmatch(r.Expr)
	if m == nil {
		t.Fatalf("%s: the expression is not one comparison of one operand with a number", r.Alert)
	}
	r.Query = m[1]
	threshold, _ := strconv.ParseFloat(m[3], 64)
	switch m[2] {
	case ">":
		r.Evaluator = fmt.Sprintf("{type: gt, params: [%v]}", threshold)
	case "<":
		r.Evaluator = fmt.Sprintf("{type: lt, params: [%v]}", threshold)
	case ">=": // of whole numbers; Grafana 11 has neither this nor the next
		r.Evaluator = fmt.Sprintf("{type: gt, params: [%v]}", threshold-0.5)
	case "==":
		r.Evaluator = fmt.Sprintf("{type: within_range, params: [%v, %v]}", threshold-0.5, threshold+0.5)
	}
}

// panelOf returns the dashboard's panel that links to a runbook; there must be one.
func panelOf(t *testing.T, runbook string) int {
	var dashboard struct {
		Panels []struct {
			ID    int
			Links []struct{ URL string }
		}
	}
	if err := json.Unmarshal([]byte(readFile(t, dashboardPath)), &dashboard); err != nil {
		t.Fatal(err)
	}
	var panels []int
	for _, p := range dashboard.Panels {
		for _, link := range p.Links {
			if link.URL == runbook {
				panels = append(panels, p.ID)
			}
		}
	}
	if len(panels) != 1 {
		t.Fatalf("%d panels of the dashboard link to %s: it takes one", len(panels), runbook)
	}
	return panels[0]
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRunbooks checks that each alert has a runbook which answers the four questions, a row in the runbooks' table, and
// unit tests that show it firing and not firing; and that there is no runbook of another alert.
func TestRunbooks(t *testing.T) {
	const url = "https://github.com/appfigures-exporter/appfigures_exporter/blob/main/docs/runbooks.md#"
	runbooks := readFile(t, "../docs/runbooks.md")
	unitTests := readFile(t, "../prometheus/appfigures.rules.test.yml")
	questions := regexp.MustCompile(`(?s)\*\*Means\.\*\*.*\*\*At stake\.\*\*.*\*\*Find out\.\*\*.*\*\*Do\.\*\*`)
	var want []string
	for _, g := range prometheusRules(t) {
		for _, r := range g.Rules {
			want = append(want, r.Alert)
			anchor := strings.ToLower(r.Alert)
			row := fmt.Sprintf("| [%s](#%s) | %s |", r.Alert, anchor, r.Labels["severity"])
			if !strings.Contains(runbooks, row) {
				t.Errorf("the runbooks' table has no row %s", row)
			}
			if r.Annotations["runbook_url"] != url+anchor || r.For == "" || len(r.Labels) != 1 || len(r.Annotations) != 3 {
				t.Errorf("%s: want a runbook_url, a for, a severity, a summary and a description, and no more", r.Alert)
			}
			fires := regexp.MustCompile(`alertname: ` + r.Alert + `\n +exp_alerts:( &\w+)?\n`)
			rests := regexp.MustCompile(`alertname: ` + r.Alert + `, exp_alerts: \[\]`)
			if !fires.MatchString(unitTests) || !rests.MatchString(unitTests) {
				t.Errorf("%s is not tested to fire and not to fire", r.Alert)
			}
		}
	}
	var got []string
	for _, section := range strings.Split(runbooks, "\n## Appfigures")[1:] {
		heading, text, _ := strings.Cut(section, "\n")
		got = append(got, "Appfigures"+heading)
		if !questions.MatchString(text) {
			t.Errorf("the runbook of Appfigures%s does not answer the four questions in their order", heading)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("runbooks of %q\nwant %q", got, want)
	}
}

// TestNamesExist checks that the metrics that rules, panels and documents name are in the collector's table, that the
// results they name are in the closed set, and that the table of tokens has a color for each.
func TestNamesExist(t *testing.T) {
	metricRE := regexp.MustCompile(`\bappfigures_[a-z_]+[a-z]`)
	resultRE := regexp.MustCompile(`result=\\?"([a-z_]+)\\?"`)
	names := []string{"appfigures_exporter", "appfigures_state", "appfigures_tokens"} // a program, a volume, a job
	for _, m := range collector.Metrics() {
		names = append(names, m.Name, m.Name+"_bucket")
	}
	var paths []string
	for _, pattern := range []string{
		rulesPath, dashboardPath, "provisioning/alerting/*.yml", "../prometheus/examples/*.yml", "../config.yml.example",
		"../*.md", "../docs/*.md", "*.md", "../deploy/*.md",
	} {
		matches, err := filepath.Glob(pattern)
		if err != nil || len(matches) == 0 {
			t.Fatalf("%s matches %q, %v", pattern, matches, err)
		}
		paths = append(paths, matches...)
	}
	for _, path := range paths {
		text := readFile(t, path)
		for _, name := range metricRE.FindAllString(text, -1) {
			if !slices.Contains(names, name) {
				t.Errorf("%s: the exporter has no metric %s", path, name)
			}
		}
		for _, m := range resultRE.FindAllStringSubmatch(text, -1) {
			if !slices.ContainsFunc(probe.Results(), func(r probe.Result) bool { return r.String() == m[1] }) {
				t.Errorf("%s: there is no result %q", path, m[1])
			}
		}
	}
	for _, r := range probe.Results() {
		if !strings.Contains(readFile(t, dashboardPath), fmt.Sprintf("%q: {", r)) {
			t.Errorf("%s: the table of tokens has no color for %s", dashboardPath, r)
		}
	}
}

// TestDashboardFilters checks that the variables of the dashboard filter every metric of every query.
func TestDashboardFilters(t *testing.T) {
	exprs := regexp.MustCompile(`"expr": "(.*)"`).FindAllStringSubmatch(readFile(t, dashboardPath), -1)
	if len(exprs) < 20 {
		t.Fatalf("found only %d queries", len(exprs))
	}
	metricRE := regexp.MustCompile(`\b(?:appfigures_[a-z_]+|up)\b(\{[^}]*\})?`)
	for _, expr := range exprs {
		for _, m := range metricRE.FindAllStringSubmatch(expr[1], -1) {
			if !strings.HasPrefix(m[1], `{job=~\"$job\", instance=~\"$instance\"`) {
				t.Errorf("%s is not filtered by job and instance in\n%s", m[0], expr[1])
			}
		}
	}
}
