// Package demo holds the proof that what is shipped for Prometheus and Grafana fits what the exporter exposes: a real
// Prometheus scrapes the demo, and each query of each rule and panel brings data.
package demo

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/exporter"
	"github.com/appfigures-exporter/appfigures_exporter/e2e/process"
	"github.com/appfigures-exporter/appfigures_exporter/e2e/prometheus"
)

// patience is how long it may take until there is data for each query: the demo's slowest change comes after 25 s, and
// one of the rules looks at full minutes only.
const patience = 2 * time.Minute

// empty lists the queries that must bring no data, and why.
var empty = map[string]string{
	"panel API certificate A": "the simulated API of the demo speaks plain HTTP",
}

// elsewhere lists the metrics that the demo does not have, and why. The suite "scrape" has them.
var elsewhere = map[string]string{
	"appfigures_api_certificate_expiry_timestamp_seconds": "the simulated API of the demo speaks plain HTTP",
}

// noMetrics lists what looks like a metric and is none.
var noMetrics = map[string]string{
	"appfigures_exporter": "the program",
	"appfigures_tokens":   "a job of Prometheus",
	"appfigures_tokens_":  "a job of Prometheus for each replica",
}

// results are all that a probe can have.
const results = "valid rejected locked forbidden rate_limited server_error unexpected timeout unreachable no_token"

func TestDemo(t *testing.T) {
	watcher := exporter.Start(t, exporter.Build(t), exporter.AnyPort, nil, "demo")
	rules, err := filepath.Abs(files(t, "prometheus", "appfigures.rules.yml")[0])
	if err != nil {
		t.Fatal(err)
	}
	// The rules are evaluated as often as Prometheus scrapes, so that what they record is there soon.
	quick := filepath.Join(t.TempDir(), "rules.yml")
	write(t, quick, strings.Replace(string(read(t, rules)), "interval: 1m", "interval: 1s", 1))
	server := prometheus.Start(t, fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 1s}
rule_files: [%s]
scrape_configs:
  - {job_name: appfigures, static_configs: [{targets: ['%s']}]}
`, quick, watcher.Address))

	every := map[string]float64{}
	for result := range strings.FieldsSeq(results) {
		every[result] = 1
	}
	server.Await(t, patience, every, `max by (result) (max_over_time(appfigures_probe_result[5m])) == 1`, "result")
	server.Await(t, patience, map[string]float64{"etl": 1}, `changes(appfigures_token_valid{token="etl"}[5m]) > bool 0`, "token")

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

// testData holds that all queries bring data, but for those that are listed.
func testData(t *testing.T, server *prometheus.Server, queries []query) {
	unused := maps.Clone(empty)
	for _, q := range queries {
		delete(unused, q.where)
	}
	for where := range unused {
		t.Errorf("%s is listed as empty, but there is no such query", where)
	}
	process.Until(t, patience, func() error {
		var problems []error
		for _, q := range queries {
			if err := q.test(server); err != nil {
				problems = append(problems, err)
			}
		}
		return errors.Join(problems...)
	})
}

// test holds that the query brings data, or none if it is listed.
func (q query) test(server *prometheus.Server) error {
	count, err := q.ask(server)
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
