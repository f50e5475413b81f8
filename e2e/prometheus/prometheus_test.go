// Package prometheus tests the real exporter with a real Prometheus: every result of a probe, the shipped alerts with a
// real Alertmanager and with vmalert, service discovery, replicas, and the demo with all shipped queries.
package prometheus

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

func TestMain(m *testing.M) { harness.Main(m) }

// timeout is how long Prometheus may take to know a change, and Alertmanager to notify: many scrapes, on a slow machine.
const timeout = 2 * time.Minute

func secretOf(token string) string { return fmt.Sprintf("pat_%x", token) }

// scrapeEverySecond returns the configuration of a Prometheus that scrapes the addresses as a job.
func scrapeEverySecond(addresses ...string) string {
	return fmt.Sprintf("global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"+
		"scrape_configs: [{job_name: appfigures, scrape_protocols: [PrometheusProto], scrape_native_histograms: true, "+
		"always_scrape_classic_histograms: true, "+
		"static_configs: [{targets: ['%s']}]}]\n", strings.Join(addresses, "', '"))
}

// fasterRules writes the shipped rules, without their long waits, and returns the path.
func fasterRules(t *testing.T) string {
	t.Helper()
	rules := harness.ReadWith(t, "prometheus/appfigures.rules.yml")
	for pattern, faster := range map[string]string{
		`(?m)^( *(?:for|interval)): .*`: "$1: 1s", `(?m)^( *keep_firing_for): .*`: "$1: 3s",
	} {
		expression := regexp.MustCompile(pattern)
		if !expression.MatchString(rules) {
			t.Errorf("the rules have nothing that matches %s", pattern)
		}
		rules = expression.ReplaceAllString(rules, faster)
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	harness.Write(t, file, rules)
	return file
}

// expectation is what Prometheus must know of a token after its first scrapes.
type expectation struct {
	result   string
	status   float64 // of HTTP
	answered float64 // appfigures_up
	reason   string  // of a denied verdict; "valid" of a valid one; "" without a verdict
}

// expectations is the table of results from the side of the API, by the name of a token's behavior.
var expectations = map[string]expectation{
	"valid":           {"valid", 200, 1, "valid"},
	"slow":            {"valid", 200, 1, "valid"},
	"revoked":         {"rejected", 401, 1, "rejected"},
	"rejected":        {"rejected", 403, 1, "rejected"},
	"locked":          {"locked", 403, 1, "locked"},
	"forbidden":       {"forbidden", 403, 1, "forbidden"},
	"quota_exhausted": {"quota_exhausted", 420, 1, ""},
	"rate_limited":    {"rate_limited", 429, 1, ""},
	"server_error":    {"server_error", 503, 0, ""},
	"proxy_page":      {"unexpected", 403, 0, ""},
	"redirect":        {"unexpected", 302, 0, ""},
	"hang":            {"timeout", 0, 0, ""},
	"drop":            {"unreachable", 0, 0, ""},
}

// TestResults scrapes an exporter with a token of every behavior of the simulated API.
func TestResults(t *testing.T) {
	t.Parallel()
	api := harness.NewAPI(t, simulator.Options{SlowDelay: 200 * time.Millisecond})
	x := harness.NewExporter(t, "--log.level=debug")
	config := api.Config() + harness.Unpaced + "timeout: 2s\nmax_concurrency: 100\ntokens:\n"
	want := map[string]map[string]float64{"valid": {}, "denied": {}, "result": {}, "status": {}, "up": {}}
	for _, behavior := range simulator.Behaviors() {
		name := fmt.Sprint(behavior)
		api.SetAccount(secretOf(name), name) // of its own, because the API may stop an account
		api.Set(secretOf(name), behavior)
		harness.Write(t, filepath.Join(x.Dir, name), secretOf(name)+"\n")
		config += fmt.Sprintf("  - {name: %s, account: %[1]s, token_file: %[1]s, labels: {team: qa}}\n", name)
		e, known := expectations[name]
		if !known {
			t.Errorf("nothing is expected of the behavior %s", name)
		}
		want["result"][name+"/"+e.result] = 1
		want["status"][name] = e.status
		want["up"][name] = e.answered
		if e.reason == "valid" {
			want["valid"][name] = 1
		} else if e.reason != "" {
			want["valid"][name] = 0
			want["denied"][name+"/"+e.reason] = 1
		}
	}
	x.WriteConfig(config + "  - {name: missing, account: missing, token_file: missing}\n")
	want["result"]["missing/no_token"], want["status"]["missing"], want["up"]["missing"] = 1, 0, 0
	x.Start()

	server := harness.StartPrometheus(t, scrapeEverySecond(x.Address))
	server.Await(t, timeout, want["valid"], `appfigures_token_valid`, "token")
	server.Await(t, timeout, want["denied"], `appfigures_token_denied == 1`, "token", "reason")
	server.Await(t, timeout, want["result"], `appfigures_probe_result == 1`, "token", "result")
	server.Await(t, timeout, want["status"], `appfigures_probe_http_status_code`, "token")
	server.Await(t, timeout, want["up"], `appfigures_up`, "token")
	for expr, value := range map[string]float64{
		`appfigures_account_quota_limit_requests{account="valid"}`:                           harness.Plenty,
		`appfigures_account_quota_used_requests{account="valid"} > bool 0`:                   1,
		`appfigures_probe_phase_duration_seconds{token="slow",phase="processing"} > bool .2`: 1,
		`min(appfigures_probe_phase_duration_seconds{token="valid"} >= bool 0)`:              1,
		`appfigures_api_certificate_expiry_timestamp_seconds`:                                float64(api.Identity.Expiry.Unix()),
		`histogram_count(appfigures_api_request_duration_seconds{account="valid"}) > bool 0`: 1,
		`sum(appfigures_token_info{team="qa"})`:                                              float64(len(expectations)),
		`min_over_time(up[1m])`:                                                              1,
	} {
		server.Await(t, timeout, map[string]float64{"": value}, expr)
	}

	server.Stop()
	api.Set(secretOf("hang"), simulator.Valid) // so that no probe is under way when requests are counted
	x.Until(timeout, func(exposition string) error {
		counted, _ := harness.Sum(exposition, `appfigures_probes_total\{.*\}`)
		if seen := float64(api.TotalRequests()); counted != seen {
			return fmt.Errorf("appfigures_probes_total counts %v requests, the API has seen %v", counted, seen)
		}
		return nil
	})
	exposition := x.Scrape()
	lint := exec.Command(harness.Promtool(t), "check", "metrics")
	lint.Stdin = strings.NewReader(exposition)
	if out, err := lint.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%s: %v\n%s", lint, err, out)
	}
	for _, secret := range []string{"pat_", "owner-"} { // tokens, and e-mail addresses of users
		if strings.Contains(exposition+x.Log(), secret) {
			t.Errorf("the exporter prints %q", secret)
		}
	}
}
