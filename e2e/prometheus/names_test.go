package demo

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/exporter"
	"github.com/appfigures-exporter/appfigures_exporter/e2e/prometheus"
)

// series is what Prometheus knows: the values of each label of each metric.
type series map[string]map[string]map[string]bool

// knownSeries asks Prometheus for all series.
func knownSeries(t *testing.T, server *prometheus.Server) series {
	t.Helper()
	var found []map[string]string
	if err := server.Get("series", url.Values{"match[]": {`{__name__!=""}`}}, &found); err != nil {
		t.Fatal(err)
	}
	known := series{}
	for _, one := range found {
		labels := known[one["__name__"]]
		if labels == nil {
			labels = map[string]map[string]bool{}
			known[one["__name__"]] = labels
		}
		for label, value := range one {
			if labels[label] == nil {
				labels[label] = map[string]bool{}
			}
			labels[label][value] = true
		}
	}
	return known
}

// node is a node of a parsed query, as Prometheus tells it, with the fields that hold names.
type node struct {
	Type     string
	Name     string // of a metric
	Matchers []struct{ Name, Type, Value string }
	Grouping []string
	Matching *struct{ Labels, Include []string }

	Expr, LHS, RHS, Param *node
	Args                  []*node
}

// check holds that each name of the query below n exists in known. It returns the labels of the metrics below n.
func (n *node) check(known series) (labels []string, problems []string) {
	if n == nil {
		return nil, nil
	}
	for _, child := range append([]*node{n.Expr, n.LHS, n.RHS, n.Param}, n.Args...) {
		l, p := child.check(known)
		labels, problems = append(labels, l...), append(problems, p...)
	}
	if n.Type == "vectorSelector" || n.Type == "matrixSelector" {
		metric, exists := known[n.Name]
		if !exists && elsewhere[n.Name] == "" {
			return labels, append(problems, fmt.Sprintf("the metric %s does not exist", n.Name))
		}
		for label := range metric {
			labels = append(labels, label)
		}
		for _, m := range n.Matchers {
			switch {
			case !exists:
			case metric[m.Name] == nil:
				problems = append(problems, fmt.Sprintf("the metric %s has no label %s", n.Name, m.Name))
			case m.Type == "=" && !metric[m.Name][m.Value]:
				problems = append(problems, fmt.Sprintf("the metric %s never has %s=%q", n.Name, m.Name, m.Value))
			}
		}
		return labels, problems
	}
	wanted := n.Grouping
	if n.Matching != nil {
		wanted = slices.Concat(wanted, n.Matching.Labels, n.Matching.Include)
	}
	for _, label := range wanted {
		if len(labels) > 0 && !slices.Contains(labels, label) {
			problems = append(problems, fmt.Sprintf("none of the metrics compared or summed up has the label %s", label))
		}
	}
	return labels, problems
}

// testNames holds that each metric, label and label's value that the query names exists.
func testNames(t *testing.T, server *prometheus.Server, known series, q query) {
	t.Helper()
	var root node
	if err := server.Get("parse_query", url.Values{"query": {q.expr}}, &root); err != nil {
		t.Errorf("%s: %v", q.where, err)
		return
	}
	labels, problems := root.check(known)
	if len(labels) == 0 && len(problems) == 0 && !strings.Contains(q.expr, "appfigures_api_certificate") {
		t.Errorf("%s: no metric was found in the query, so none was checked: %s", q.where, q.expr)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", q.where, problem)
	}
}

// word finds what looks like a metric.
var word = regexp.MustCompile(`\bappfigures_[a-z0-9_]+`)

// testDocuments holds that each metric that people are told of exists.
func testDocuments(t *testing.T, known series) {
	t.Helper()
	documents := slices.Concat(
		files(t, "*.md"), files(t, "docs", "*.md"), files(t, "config.yml.example"), files(t, "prometheus", "examples", "*.yml"),
		files(t, "grafana", "*.md"), files(t, "deploy", "*.md"))
	metrics := 0
	for _, document := range documents {
		for _, name := range word.FindAllString(string(read(t, document)), -1) {
			if noMetrics[name] != "" {
				continue
			}
			metrics++
			if !known.has(name) {
				relative, _ := filepath.Rel(exporter.Root, document)
				t.Errorf("%s names %s, which does not exist", relative, name)
			}
		}
	}
	if metrics < 20 {
		t.Errorf("the documents name only %d metrics", metrics)
	}
}

// has reports whether there is a metric of that name, or, if the name ends in an underscore, one that begins so.
func (known series) has(name string) bool {
	if elsewhere[name] != "" || known[name] != nil {
		return true
	}
	for metric := range known {
		if strings.HasSuffix(name, "_") && strings.HasPrefix(metric, name) {
			return true
		}
	}
	return false
}
