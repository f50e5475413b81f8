package prometheus

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// withoutData lists the panels that have no data in the demo, and why.
var withoutData = map[string]string{
	"API certificate": "the demo's simulated API serves plain HTTP",
}

// TestDemo checks that what is shipped for Prometheus and Grafana fits the exposition: Prometheus scrapes the demo, its
// alerts fire, and each panel has data.
func TestDemo(t *testing.T) {
	t.Parallel()
	x := harness.NewExporter(t, "demo")
	x.StateFile = "" // the demo keeps none
	x.Start()
	server := harness.StartPrometheus(t, scrapeEverySecond(x.Address)+"rule_files: ["+fasterRules(t)+"]\n")
	every := map[string]float64{}
	for _, result := range probe.Results() {
		every[result.String()] = 1
	}
	server.Await(t, timeout, every, `max by (result) (max_over_time(appfigures_probe_result[5m])) == 1`, "result")
	alerts := map[string]float64{
		"AppfiguresTokenRejected": 1, "AppfiguresAccountLocked": 1, "AppfiguresTokenForbidden": 1,
		"AppfiguresTokenExpiringSoon": 1, "AppfiguresTokenSecretUnavailable": 1,
	}
	server.Await(t, timeout, alerts, `max by (alertname) (max_over_time(ALERTS{alertstate="firing",`+
		`alertname=~"AppfiguresAccountLocked|AppfiguresToken(Rejected|Forbidden|ExpiringSoon|SecretUnavailable)"}[5m]))`,
		"alertname")
	if page := x.Get("/"); !strings.Contains(page, "</table>") || !strings.Contains(page, "denied") {
		t.Errorf("the page:\n%s", page)
	}

	dashboards := files(t, "grafana/dashboards/*.json")
	harness.Until(t, timeout, func() error {
		var missing []error
		for _, p := range panels(t, dashboards) {
			for _, target := range p.Targets {
				count, err := server.By("count(" + fill(target.Expr) + ")")
				if reason := withoutData[p.Title]; err != nil || (count[""] == 0) != (reason != "") {
					missing = append(missing, fmt.Errorf("%s: %v series, %v: %s", p.Title, count[""], err, target.Expr))
				}
			}
		}
		return errors.Join(missing...)
	})
}

// panel is a panel of a dashboard. A row holds panels.
type panel struct {
	Title   string
	Targets []struct{ Expr string }
	Panels  []panel
}

// panels returns all panels of dashboards.
func panels(t *testing.T, dashboards []string) (all []panel) {
	t.Helper()
	for _, file := range dashboards {
		var dashboard panel
		if err := json.Unmarshal([]byte(harness.Read(t, file)), &dashboard); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, p := range dashboard.Panels {
			all = append(append(all, p), p.Panels...)
		}
	}
	if len(all) < 10 {
		t.Fatalf("the dashboards have only %d panels", len(all))
	}
	return all
}

// fill replaces Grafana's variables: its own are durations, the dashboard's select everything.
func fill(expr string) string {
	expr = regexp.MustCompile(`\$\{?__[a-z_]+\}?`).ReplaceAllString(expr, "1m")
	return regexp.MustCompile(`\$\{?[a-z_]+(:\w+)?\}?`).ReplaceAllString(expr, ".*")
}

// files returns the files of the repository that match; there must be one.
func files(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(harness.Root, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("there is no %s: %v", pattern, err)
	}
	return found
}
