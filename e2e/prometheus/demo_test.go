package prometheus

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// demoTimeout is how long it may take until there is data for each query: the demo's slowest change comes after 25 s.
const demoTimeout = 2 * time.Minute

// empty lists the queries that must return no data, and why.
var empty = map[string]string{
	"panel API certificate A": "the demo's simulated API serves plain HTTP",
}

// notInDemo lists the metrics that the demo does not have, and why.
var notInDemo = map[string]string{
	"appfigures_api_certificate_expiry_timestamp_seconds": "the demo's simulated API serves plain HTTP",
	"appfigures_api_request_duration_seconds":             "by default Prometheus stores the classic histogram",
	"appfigures_exporter_state_saved_timestamp_seconds":   "the demo keeps no state",
	"appfigures_exporter_state_errors_total":              "the demo keeps no state",
}

// notMetrics lists words that look like metrics and are not.
var notMetrics = map[string]string{
	"appfigures_exporter": "the program",
	"appfigures_state":    "a volume",
	"appfigures_tokens":   "a job of Prometheus",
	"appfigures_tokens_":  "a job of Prometheus for each replica",
}

// TestDemo checks that what is shipped for Prometheus and Grafana fits the exposition: Prometheus scrapes the demo, and
// each query of each rule and panel returns data.
func TestDemo(t *testing.T) {
	t.Parallel()
	x := harness.StartExporter(t, "", "demo")
	rules := filepath.Join(t.TempDir(), "rules.yml")
	harness.Write(t, rules, harness.ReadWith(t, "prometheus/appfigures.rules.yml"))
	server := harness.StartPrometheus(t, fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [%s]
scrape_configs:
  - {job_name: appfigures, static_configs: [{targets: ['%s']}]}
`, rules, x.Address))

	every := map[string]float64{}
	for _, result := range probe.Results() {
		every[result.String()] = 1
	}
	server.Await(t, demoTimeout, every, `max by (result) (max_over_time(appfigures_probe_result[5m])) == 1`, "result")
	server.Await(t, demoTimeout, map[string]float64{"etl": 1},
		`changes(appfigures_token_valid{token="etl"}[5m]) > bool 0`, "token")

	queries := allQueries(t)
	t.Run("data", func(t *testing.T) { testData(t, server, queries) })
	known := knownSeries(t, server)
	t.Run("names", func(t *testing.T) {
		for _, q := range queries {
			testNames(t, server, known, q)
		}
	})
	t.Run("documents", func(t *testing.T) { testDocuments(t, known) })
}

// testData checks that each query returns data, except for those in empty.
func testData(t *testing.T, server *harness.Prometheus, queries []query) {
	unused := maps.Clone(empty)
	for _, q := range queries {
		delete(unused, q.where)
	}
	for where := range unused {
		t.Errorf("%s is listed as empty, but there is no such query", where)
	}
	harness.Until(t, demoTimeout, func() error {
		var problems []error
		for _, q := range queries {
			if err := q.test(server); err != nil {
				problems = append(problems, err)
			}
		}
		return errors.Join(problems...)
	})
}

// test returns an error unless the query returns data, or none if it is listed as empty.
func (q query) test(server *harness.Prometheus) error {
	count, err := q.series(server)
	switch reason := empty[q.where]; {
	case err != nil:
		return fmt.Errorf("%s: %w", q.where, err)
	case count == 0 && reason == "":
		return fmt.Errorf("%s has no data: %s", q.where, q.expr)
	case count > 0 && reason != "":
		return fmt.Errorf("%s has data, although %s", q.where, reason)
	}
	return nil
}
