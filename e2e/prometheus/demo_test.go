package prometheus

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// withoutData lists the panels that have no data in the demo, and why.
var withoutData = map[string]string{
	"API certificate": "the demo's simulated API serves plain HTTP",
}

// notInDemo lists the metrics that the demo does not have, and words that only look like metrics.
var notInDemo = []string{
	"appfigures_api_certificate_expiry_timestamp_seconds",                                         // the demo's simulated API serves plain HTTP
	"appfigures_exporter_state_saved_timestamp_seconds", "appfigures_exporter_state_errors_total", // it keeps no state
	"appfigures_exporter", "appfigures_state", "appfigures_tokens", "appfigures_tokens_", "appfigures_exporter_", // a program, a volume, jobs
}

// TestDemo checks that what is shipped for Prometheus and Grafana fits the exposition: Prometheus scrapes the demo, its
// alerts fire, each panel has data, and each metric that a rule, a panel or a document names exists.
func TestDemo(t *testing.T) {
	t.Parallel()
	x := harness.NewExporter(t, "demo")
	x.StateFile = "" // the demo has no such flag
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
				samples, err := server.Query(fill(target.Expr))
				if reason := withoutData[p.Title]; err != nil || (len(samples) == 0) != (reason != "") {
					missing = append(missing, fmt.Errorf("%s: %d series, %v: %s", p.Title, len(samples), err, target.Expr))
				}
			}
		}
		return errors.Join(missing...)
	})

	var known []string
	if err := server.Get("label/__name__/values", &known); err != nil {
		t.Fatal(err)
	}
	known = append(known, notInDemo...)
	for _, pattern := range []string{
		"*.md", "docs/*.md", "grafana/*.md", "deploy/*.md", "config.yml.example", "prometheus/*.rules.yml",
		"prometheus/examples/*.yml", "grafana/provisioning/alerting/*.yml", "grafana/dashboards/*.json",
	} {
		for _, file := range files(t, pattern) {
			for _, name := range regexp.MustCompile(`\bappfigures_[a-z0-9_]+`).FindAllString(harness.Read(t, file), -1) {
				if !slices.Contains(known, name) && !slices.Contains(known, name+"_bucket") && filepath.Base(file) != "CHANGELOG.md" {
					t.Errorf("%s names %s, which does not exist", strings.TrimPrefix(file, harness.Root), name)
				}
			}
		}
	}
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
