package prometheus

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

// series is what Prometheus knows: the values of each label of each metric.
type series map[string]map[string]map[string]bool

// knownSeries returns all series.
func knownSeries(t *testing.T, server *harness.Prometheus) series {
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

// node is a node of a parsed query, as Prometheus returns it, with the fields that contain names.
type node struct {
	Type     string
	Name     string // of a metric
	Matchers []struct{ Name, Type, Value string }
	Grouping []string
	Matching *struct{ Labels, Include []string }

	Expr, LHS, RHS, Param *node
	Args                  []*node
}

// check returns the labels of the metrics below n, and the names below n that are not in known.
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
		if !exists && notInDemo[n.Name] == "" {
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
		if label == "pod" { // Kubernetes' service discovery adds it
			continue
		}
		if len(labels) > 0 && !slices.Contains(labels, label) {
			problems = append(problems, fmt.Sprintf("none of the metrics below has the label %s", label))
		}
	}
	return labels, problems
}

// testNames checks that each metric, label and label value of the query exists.
func testNames(t *testing.T, server *harness.Prometheus, known series, q query) {
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

// metricName matches what looks like a metric.
var metricName = regexp.MustCompile(`\bappfigures_[a-z0-9_]+`)

// testDocuments checks that each metric in documents exists.
func testDocuments(t *testing.T, known series) {
	t.Helper()
	documents := slices.Concat(
		files(t, "*.md"), files(t, "docs", "*.md"), files(t, "config.yml.example"),
		files(t, "prometheus", "examples", "*.yml"),
		files(t, "grafana", "*.md"), files(t, "deploy", "*.md"))
	documents = slices.DeleteFunc(documents, func(path string) bool {
		return filepath.Base(path) == "CHANGELOG.md" // names what was renamed
	})
	metrics := 0
	for _, document := range documents {
		for _, name := range metricName.FindAllString(harness.Read(t, document), -1) {
			if notMetrics[name] != "" {
				continue
			}
			metrics++
			if !known.has(name) {
				relative, _ := filepath.Rel(harness.Root, document)
				t.Errorf("%s mentions %s, which does not exist", relative, name)
			}
		}
	}
	if metrics < 20 {
		t.Errorf("the documents mention only %d metrics", metrics)
	}
}

// has reports whether there is a metric or histogram of that name or, if the name ends in an underscore, one that
// begins with it.
func (known series) has(name string) bool {
	if notInDemo[name] != "" || known[name] != nil || known[name+"_bucket"] != nil {
		return true
	}
	for metric := range known {
		if strings.HasSuffix(name, "_") && strings.HasPrefix(metric, name) {
			return true
		}
	}
	return false
}
