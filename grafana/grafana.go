package grafana

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// DataSource is the UID of the Prometheus data source that the Grafana rules ask. It is the one that
// grafana/provisioning/datasources makes.
const DataSource = "prometheus"

// Dashboard is what the rules need to know of a Grafana dashboard.
type Dashboard struct {
	UID    string  `json:"uid"`
	Panels []Panel `json:"panels"`
}

// Panel is a panel of a dashboard. A row holds panels.
type Panel struct {
	ID     int     `json:"id"`
	Title  string  `json:"title"`
	Links  []Link  `json:"links"`
	Panels []Panel `json:"panels"`
}

// Link is one of a panel's links.
type Link struct {
	Title string `json:"title"`
	URL   string `json:"url"`
}

// ParseDashboard reads a dashboard in Grafana's classic JSON model.
func ParseDashboard(text []byte) (Dashboard, error) {
	var d Dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		return Dashboard{}, fmt.Errorf("reading dashboard: %w", err)
	}
	return d, nil
}

// panelFor returns the panel that shows what an alert is about: the one that links to its runbook.
func (d Dashboard) panelFor(runbook string) (Panel, error) {
	var found []Panel
	for _, outer := range d.Panels {
		for _, p := range append([]Panel{outer}, outer.Panels...) {
			if slices.ContainsFunc(p.Links, func(l Link) bool { return l.URL == runbook }) {
				found = append(found, p)
			}
		}
	}
	if len(found) != 1 {
		return Panel{}, fmt.Errorf("%d panels of the dashboard %s link to %s: it takes one", len(found), d.UID, runbook)
	}
	return found[0], nil
}

const grafanaHeader = `# Made from prometheus/appfigures.rules.yml by: go generate ./grafana
# Change it there; a test fails if the two differ. For Grafana 11 and newer; keepFiringFor works from 12.1.2.
# The rules ask the data source with the uid "` + DataSource + `". Contact points and policies stay yours: see grafana/examples.
`

// Grafana's file of provisioned alert rules, as far as these rules need it.
type (
	grafanaFile struct {
		APIVersion int            `yaml:"apiVersion"`
		Groups     []grafanaGroup `yaml:"groups"`
	}
	grafanaGroup struct {
		OrgID    int           `yaml:"orgId"`
		Name     string        `yaml:"name"`
		Folder   string        `yaml:"folder"`
		Interval string        `yaml:"interval"`
		Rules    []grafanaRule `yaml:"rules"`
	}
	grafanaRule struct {
		UID           string            `yaml:"uid"`
		Title         string            `yaml:"title"`
		Condition     string            `yaml:"condition"`
		For           string            `yaml:"for"`
		KeepFiringFor string            `yaml:"keepFiringFor,omitempty"`
		NoDataState   string            `yaml:"noDataState"`
		ExecErrState  string            `yaml:"execErrState"`
		DashboardUID  string            `yaml:"dashboardUid"`
		PanelID       int               `yaml:"panelId"`
		Labels        map[string]string `yaml:"labels"`
		Annotations   map[string]string `yaml:"annotations"`
		Data          [2]grafanaQuery   `yaml:"data"`
	}
	grafanaQuery struct {
		RefID         string `yaml:"refId"`
		DatasourceUID string `yaml:"datasourceUid"`
		TimeRange     struct {
			From int `yaml:"from"` // seconds before now
			To   int `yaml:"to"`
		} `yaml:"relativeTimeRange"`
		Model any `yaml:"model"`
	}
	prometheusModel struct {
		RefID         string           `yaml:"refId"`
		Datasource    grafanaReference `yaml:"datasource"`
		EditorMode    string           `yaml:"editorMode"`
		Expr          string           `yaml:"expr"`
		Instant       bool             `yaml:"instant"`
		Range         bool             `yaml:"range"`
		IntervalMs    int              `yaml:"intervalMs"`
		MaxDataPoints int              `yaml:"maxDataPoints"`
	}
	thresholdModel struct {
		RefID      string             `yaml:"refId"`
		Datasource grafanaReference   `yaml:"datasource"`
		Type       string             `yaml:"type"`
		Expression string             `yaml:"expression"`
		Conditions []grafanaCondition `yaml:"conditions"`
	}
	grafanaReference struct {
		Type string `yaml:"type"`
		UID  string `yaml:"uid"`
	}
	grafanaCondition struct {
		Type      string           `yaml:"type"`
		Evaluator grafanaEvaluator `yaml:"evaluator"`
	}
	grafanaEvaluator struct {
		Type   string    `yaml:"type"`
		Params []float64 `yaml:"params,flow"`
	}
)

// Grafana returns the file of alert rules that makes Grafana raise the alerts of the groups, each linked to the panel
// of the dashboard that links to its runbook.
func Grafana(groups []Group, dashboard Dashboard) ([]byte, error) {
	file := grafanaFile{APIVersion: 1}
	for _, g := range groups {
		out := grafanaGroup{OrgID: 1, Name: g.Name, Folder: "Appfigures", Interval: g.Interval}
		for _, alert := range g.Rules {
			rule, err := alert.grafana(dashboard)
			if err != nil {
				return nil, err
			}
			out.Rules = append(out.Rules, rule)
		}
		file.Groups = append(file.Groups, out)
	}
	text := bytes.NewBufferString(grafanaHeader)
	encoder := yaml.NewEncoder(text)
	encoder.SetIndent(2)
	if err := encoder.Encode(file); err != nil {
		return nil, fmt.Errorf("writing Grafana rules: %w", err)
	}
	return text.Bytes(), nil
}

// grafana returns the rule as Grafana has it: a query A, which is never empty while the exporter is scraped, and the
// comparison C. So "no data" means that nothing was scraped, which is for AppfiguresExporterDown to say; all other
// alerts stay as they are until there is data again.
func (r Rule) grafana(dashboard Dashboard) (grafanaRule, error) {
	condition, err := r.Condition()
	if err != nil {
		return grafanaRule{}, err
	}
	panel, err := dashboard.panelFor(r.Annotations["runbook_url"])
	if err != nil {
		return grafanaRule{}, fmt.Errorf("%s: %w", r.Alert, err)
	}
	out := grafanaRule{
		UID:           uid(r.Alert),
		Title:         r.Alert,
		Condition:     "C",
		For:           r.For,
		KeepFiringFor: r.KeepFiringFor,
		NoDataState:   "KeepLast",
		ExecErrState:  "KeepLast",
		DashboardUID:  dashboard.UID,
		PanelID:       panel.ID,
		Labels:        r.Labels,
		Annotations:   map[string]string{"__dashboardUid__": dashboard.UID, "__panelId__": strconv.Itoa(panel.ID)},
		Data:          condition.grafana(),
	}
	if r.Alert == "AppfiguresExporterDown" {
		out.NoDataState, out.ExecErrState = "Alerting", "Error"
	}
	for key, text := range r.Annotations {
		// In Grafana $value is a text about all queries; the number is in $values, by the query's refId.
		out.Annotations[key] = strings.ReplaceAll(text, "{{ $value |", "{{ $values.A.Value |")
	}
	return out, nil
}

// grafana returns the query A and the comparison C.
func (c Condition) grafana() [2]grafanaQuery {
	query := grafanaQuery{RefID: "A", DatasourceUID: DataSource, Model: prometheusModel{
		RefID:         "A",
		Datasource:    grafanaReference{"prometheus", DataSource},
		EditorMode:    "code",
		Expr:          c.Query,
		Instant:       true,
		IntervalMs:    1000,
		MaxDataPoints: 43200,
	}}
	query.TimeRange.From = 600
	comparison := grafanaQuery{RefID: "C", DatasourceUID: "__expr__", Model: thresholdModel{
		RefID:      "C",
		Datasource: grafanaReference{"__expr__", "__expr__"},
		Type:       "threshold",
		Expression: "A",
		Conditions: []grafanaCondition{{"query", c.evaluator()}},
	}}
	comparison.TimeRange.From = 600
	return [2]grafanaQuery{query, comparison}
}

// evaluator returns the comparison in Grafana's words. Grafana 11 knows no equality, so whole numbers are taken to be
// equal when less than a half apart.
func (c Condition) evaluator() grafanaEvaluator {
	switch c.Operator {
	case ">":
		return grafanaEvaluator{"gt", []float64{c.Threshold}}
	case "<":
		return grafanaEvaluator{"lt", []float64{c.Threshold}}
	default:
		return grafanaEvaluator{"within_range", []float64{c.Threshold - 0.5, c.Threshold + 0.5}}
	}
}

// uid returns the alert's name in kebab case. Grafana allows a UID 40 characters.
func uid(alert string) string {
	return strings.ToLower(strings.Join(words(alert), "-"))
}

// words splits a name in camel case; capitals in a row are one word, but for the last if small letters follow.
func words(name string) []string {
	var list []string
	start := 0
	for i := 1; i < len(name); i++ {
		small := func(i int) bool { return i < len(name) && name[i] >= 'a' && name[i] <= 'z' }
		if !small(i) && (small(i-1) || small(i+1)) {
			list = append(list, name[start:i])
			start = i
		}
	}
	return append(list, name[start:])
}
