package grafana

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/collector"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// TestNamesExist checks that the metrics that rules, panels and runbooks name are in the collector's table, and that the
// results they name are in the closed set.
func TestNamesExist(t *testing.T) {
	known := []string{"appfigures_exporter", "appfigures_api_request_duration_seconds_bucket"} // the program; a histogram's
	for _, m := range collector.Metrics() {
		known = append(known, m.Name)
	}
	var results []string
	for _, r := range probe.Results() {
		results = append(results, r.String())
	}
	metricRE := regexp.MustCompile(`\bappfigures_[a-z_]+[a-z]`)
	resultRE := regexp.MustCompile(`result=\\?"([a-z_]+)\\?"`)
	for _, path := range []string{rulesPath, dashboardPath, "../docs/runbooks.md"} {
		text := readFile(t, path)
		names := metricRE.FindAllString(text, -1)
		if len(names) == 0 {
			t.Errorf("%s: no metric found", path)
		}
		for _, name := range names {
			if !slices.Contains(known, name) {
				t.Errorf("%s: the exporter has no metric %s", path, name)
			}
		}
		for _, m := range resultRE.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(results, m[1]) {
				t.Errorf("%s: there is no result %q", path, m[1])
			}
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
