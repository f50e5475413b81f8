// Package grafana holds what Grafana is given: a dashboard and alert rules. Its tests make the alert rules from those of
// Prometheus, and check that both fit the exporter's metrics and runbooks. They run neither Grafana nor Prometheus.
package grafana

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"

	"gopkg.in/yaml.v3"
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

//go:embed alerts.yml.tmpl
var alertsTemplate string

// TestAlertRules checks that Grafana's alert rules are those of Prometheus.
func TestAlertRules(t *testing.T) {
	groups := prometheusRules(t)
	for _, g := range groups {
		for i := range g.Rules {
			g.Rules[i].complete(t)
		}
	}
	// A string of JSON is one of YAML. In Grafana $value is a text about all queries; the number is in $values.
	quote := func(text string) (string, error) {
		var quoted bytes.Buffer
		encoder := json.NewEncoder(&quoted)
		encoder.SetEscapeHTML(false)
		err := encoder.Encode(strings.ReplaceAll(text, "{{ $value |", "{{ $values.A.Value |"))
		return strings.TrimSpace(quoted.String()), err
	}
	var want bytes.Buffer
	parsed := template.Must(template.New("").Funcs(template.FuncMap{"quote": quote}).Parse(alertsTemplate))
	if err := parsed.Execute(&want, groups); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(alertsPath, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if readFile(t, alertsPath) != want.String() {
		t.Errorf("%s is not what %s makes: run go test ./grafana -update", alertsPath, rulesPath)
	}
}

// prometheusRules returns the shipped rules.
func prometheusRules(t *testing.T) []group {
	t.Helper()
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
	t.Helper()
	// AppfiguresAPIDown: appfigures-api-down.
	r.UID = strings.ToLower(regexp.MustCompile(`[a-z][A-Z]|[A-Z][A-Z][a-z]`).ReplaceAllStringFunc(r.Alert,
		func(s string) string { return s[:1] + "-" + s[1:] }))
	if len(r.UID) > 40 {
		t.Errorf("Grafana refuses a UID as long as %s", r.UID)
	}
	panels := panelsOf(t)[r.Annotations["runbook_url"]]
	if len(panels) != 1 {
		t.Fatalf("%d panels of the dashboard link to the runbook of %s: it takes one", len(panels), r.Alert)
	}
	r.Panel = panels[0]

	// What stands before the comparison is one operand: a metric, or something in parentheses. So no operator that binds
	// less tightly than the comparison can stand beside it.
	m := regexp.MustCompile(`(?s)^([a-z_]+|(?:[a-z]+ without \([a-z, ]+\) )?(\(.*\))) (==|>=|>|<) ([0-9.]+)\s*$`).
		FindStringSubmatch(r.Expr)
	if m == nil || !isOneGroup(m[2]) {
		t.Fatalf("%s: the expression is not one comparison of one operand with a number", r.Alert)
	}
	threshold, err := strconv.ParseFloat(m[4], 64)
	if err != nil {
		t.Fatal(err)
	}
	r.Query = m[1]
	switch m[3] {
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

// isOneGroup reports whether the first parenthesis closes at the end of the text.
func isOneGroup(text string) bool {
	depth := 0
	for i, c := range text {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 && i < len(text)-1 {
			return false
		}
	}
	return depth == 0
}

// panelsOf returns the dashboard's panels by the runbooks to which they link.
func panelsOf(t *testing.T) map[string][]int {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			ID    int
			Links []struct{ URL string }
		}
	}
	if err := json.Unmarshal([]byte(readFile(t, dashboardPath)), &dashboard); err != nil {
		t.Fatal(err)
	}
	panels := map[string][]int{}
	for _, p := range dashboard.Panels {
		for _, link := range p.Links {
			panels[link.URL] = append(panels[link.URL], p.ID)
		}
	}
	return panels
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
	for section := range strings.SplitSeq(runbooks, "\n## Appfigures") {
		heading, text, _ := strings.Cut(section, "\n")
		if strings.HasPrefix(section, "# ") {
			continue
		}
		got = append(got, "Appfigures"+heading)
		if !questions.MatchString(text) {
			t.Errorf("the runbook of Appfigures%s does not answer the four questions in their order", heading)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("runbooks of %q\nwant %q", got, want)
	}
}
