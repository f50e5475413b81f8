// Package prometheus tests the real exporter with a real Prometheus: scrapes, service discovery, replicas, the demo
// with all shipped queries, and the shipped alerts with a real Alertmanager.
package prometheus

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

func TestMain(m *testing.M) { harness.Main(m) }

// scrapeTimeout is how long Prometheus may take to know a change: many scrapes, on a slow machine.
const scrapeTimeout = 60 * time.Second

// expectation is what Prometheus must know of a token after its first scrapes.
type expectation struct {
	result   string
	status   float64 // of HTTP
	answered float64 // appfigures_up
	reason   string  // of a denied verdict; "valid" of a valid one; "" without a verdict
	metered  bool    // whether the API has reported the account's quota
}

// expectations is the contract's table of results, from the side of the API.
var expectations = map[simulator.Behavior]expectation{
	simulator.Valid:               {"valid", 200, 1, "valid", true},
	simulator.Slow:                {"valid", 200, 1, "valid", true},
	simulator.Unmetered:           {"valid", 200, 1, "valid", false},
	simulator.Revoked:             {"rejected", 401, 1, "rejected", true},
	simulator.RevokedQuotingEmail: {"rejected", 401, 1, "rejected", true},
	simulator.RevokedOAuth:        {"rejected", 401, 1, "rejected", true},
	simulator.RevokedBare:         {"rejected", 401, 1, "rejected", false},
	simulator.RevokedOnce:         {"valid", 200, 1, "valid", true},
	simulator.Rejected:            {"rejected", 403, 1, "rejected", true},
	simulator.Locked:              {"locked", 403, 1, "locked", true},
	simulator.Disabled:            {"locked", 403, 1, "locked", true},
	simulator.Forbidden:           {"forbidden", 403, 1, "forbidden", true},
	simulator.DailyLimit:          {"rate_limited", 420, 1, "", true},
	simulator.SlowDown:            {"rate_limited", 429, 1, "", true},
	simulator.SlowDownUntimed:     {"rate_limited", 429, 1, "", true},
	simulator.ServerError:         {"server_error", 503, 0, "", false},
	simulator.Maintenance:         {"unexpected", 503, 0, "", false},
	simulator.ProxyPage:           {"unexpected", 403, 0, "", false},
	simulator.Redirect:            {"unexpected", 302, 0, "", false},
	simulator.Hang:                {"timeout", 0, 0, "", false},
	simulator.Drop:                {"unreachable", 0, 0, "", false},
}

// TestEnvironment starts the exporter with only the two variables of the vendor's own client, and scrapes it in each of
// the formats that Prometheus accepts.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	const secret = "pat_known_to_the_environment_alone"
	api := harness.NewAPI(t, simulator.Options{})
	api.Set(secret, simulator.Valid)
	x := harness.NewExporter(t)
	x.Env = append(x.Env, api.Env(secret)...)
	x.Start()

	var config strings.Builder
	config.WriteString("global: {scrape_interval: 500ms, scrape_timeout: 500ms}\nscrape_configs:\n")
	formats := []string{
		"PrometheusProto", "OpenMetricsText1.0.0", "OpenMetricsText0.0.1", "PrometheusText1.0.0", "PrometheusText0.0.4",
	}
	for _, format := range formats {
		fmt.Fprintf(&config, "  - {job_name: %s, scrape_protocols: [%[1]s], static_configs: [{targets: ['%s']}]}\n",
			format, x.Address)
	}
	server := harness.StartPrometheus(t, config.String())
	await := func(expr string, value float64) {
		t.Helper()
		want := map[string]float64{}
		for _, format := range formats {
			want[format+"/default"] = value
		}
		server.Await(t, scrapeTimeout, want, expr, "job", "token")
	}
	await(`appfigures_token_valid`, 1)
	await(`appfigures_token_info{account="default"}`, 1)
	await(`appfigures_up`, 1)
	await(`appfigures_probe_result{result="valid"}`, 1)
	await(`appfigures_probe_http_status_code`, 200)
	await(`label_replace(appfigures_account_quota_limit_requests, "token", "$1", "account", "(.*)")`, harness.Plenty)
	await(`label_replace(appfigures_account_quota_used_requests > bool 0, "token", "$1", "account", "(.*)")`, 1)
	await(`appfigures_probe_duration_seconds > bool 0`, 1)
	await(`abs(time() - appfigures_probe_timestamp_seconds) < bool 30`, 1)

	for _, change := range []struct {
		behavior simulator.Behavior
		valid    float64
	}{{simulator.Revoked, 0}, {simulator.ServerError, 0}, {simulator.Valid, 1}, {simulator.Maintenance, 1}} {
		api.Set(secret, change.behavior)
		await(fmt.Sprintf(`appfigures_probe_result{result=%q}`, expectations[change.behavior].result), 1)
		await(`appfigures_token_valid`, change.valid)
	}

	server.Stop() // so that no scrape is under way when requests are counted
	exposition := x.Scrape()
	if err := counted(exposition, api.API); err != nil {
		t.Error(err)
	}
	x.Stop()
	for line, want := range map[string]int{
		"Token was denied; probing again": 1, "Token is denied": 1, "Probe got no verdict": 2, "Token is valid": 1,
	} {
		if got := strings.Count(x.Log(), line); got != want {
			t.Errorf("the log has %q %d times, want %d", line, got, want)
		}
	}
	for what, text := range map[string]string{"log": x.Log(), "exposition": exposition} {
		if strings.Contains(text, secret) {
			t.Errorf("the token is in the exporter's %s", what)
		}
	}
}

// TestAllBehaviors scrapes an exporter with tokens of every behavior of the simulated API.
func TestAllBehaviors(t *testing.T) {
	t.Parallel()
	const perBehavior = 10
	api := harness.NewAPI(t, simulator.Options{SlowDelay: 200 * time.Millisecond})
	x := harness.NewExporter(t, "--log.level=debug")
	var config strings.Builder
	config.WriteString(api.Config() + harness.Unpaced + "timeout: 3s\nmax_concurrency: 200\ntokens:\n")
	want := map[string]map[string]float64{}
	expect := func(metric, key string, value float64) {
		if want[metric] == nil {
			want[metric] = map[string]float64{}
		}
		want[metric][key] = value
	}
	for _, behavior := range simulator.Behaviors() {
		for i := range perBehavior {
			name := fmt.Sprintf("%v-%d", behavior, i)
			secret := "pat_of_" + name
			api.SetAccount(secret, name) // of its own, because the API may stop an account
			api.Set(secret, behavior)
			harness.Write(t, filepath.Join(x.Dir, name), secret+"\n")
			fmt.Fprintf(&config, "  - {name: %s, account: %[1]s, token_file: %[1]s, labels: {behavior: %v}}\n",
				name, behavior)
			e := expectations[behavior]
			expect("result", name+"/"+e.result, 1)
			expect("status", name, e.status)
			expect("up", name, e.answered)
			if e.metered {
				expect("quota", name, harness.Plenty)
			}
			switch e.reason {
			case "":
			case "valid":
				expect("valid", name, 1)
			default:
				expect("valid", name, 0)
				expect("denied", name+"/"+e.reason, 1)
			}
		}
	}
	config.WriteString("  - {name: missing, account: missing, token_file: missing}\n")
	expect("result", "missing/no_token", 1)
	expect("status", "missing", 0)
	expect("up", "missing", 0)
	x.WriteConfig(config.String())
	x.Start()

	server := harness.StartPrometheus(t, fmt.Sprintf(`
scrape_configs:
  - {job_name: appfigures, scrape_interval: 2s, scrape_timeout: 2s, static_configs: [{targets: ['%s']}]}
`, x.Address))
	server.Await(t, scrapeTimeout, want["valid"], `appfigures_token_valid`, "token")
	server.Await(t, scrapeTimeout, want["denied"], `appfigures_token_denied == 1`, "token", "reason")
	server.Await(t, scrapeTimeout, want["result"], `appfigures_probe_result == 1`, "token", "result")
	server.Await(t, scrapeTimeout, want["status"], `appfigures_probe_http_status_code`, "token")
	server.Await(t, scrapeTimeout, want["up"], `appfigures_up`, "token")
	server.Await(t, scrapeTimeout, want["quota"], `appfigures_account_quota_limit_requests`, "account")
	for _, nothing := range []string{
		`appfigures_probe_duration_seconds{token!="missing"} <= 0 or appfigures_probe_duration_seconds > 4`,
		`appfigures_probe_duration_seconds{token=~"slow-.*"} < 0.2`,
		`sum by (token) (appfigures_probe_phase_duration_seconds) > appfigures_probe_duration_seconds + 0.001`,
		`appfigures_probe_phase_duration_seconds{token=~"slow-.*", phase="processing"} < 0.2`,
	} {
		server.Await(t, scrapeTimeout, map[string]float64{}, nothing, "token", "phase")
	}
	for expr, value := range map[string]float64{
		`max(appfigures_probe_phase_duration_seconds{phase="tls"}) > bool 0`: 1,
		`appfigures_api_certificate_expiry_timestamp_seconds`:                float64(api.Identity.Expiry.Unix()),
		`sum(appfigures_token_info{behavior!=""})`:                           perBehavior * float64(len(expectations)),
		`min_over_time(up[1m])`:                                              1,
	} {
		server.Await(t, scrapeTimeout, map[string]float64{"": value}, expr)
	}

	server.Stop()
	for i := range perBehavior { // so that no probe is under way when requests are counted
		api.Set(fmt.Sprintf("pat_of_%v-%d", simulator.Hang, i), simulator.Valid)
	}
	exposition := x.Scrape()
	checkLint(t, exposition)
	x.Until(scrapeTimeout, func(exposition string) error { return counted(exposition, api.API) })
	if strings.Contains(exposition+x.Log(), "pat_of_") {
		t.Error("a token is in what the exporter prints")
	}
}

// TestWebConfig serves with TLS and basic auth: Prometheus with the password gets metrics. Without it, nobody gets
// anything or causes a probe.
func TestWebConfig(t *testing.T) {
	t.Parallel()
	const secret = "pat_behind_a_password"
	api := harness.NewAPI(t, simulator.Options{})
	api.Set(secret, simulator.Valid)
	identity := api.CA.Issue(t, "127.0.0.1")
	x := harness.NewExporter(t, "--web.config.file=web.yml")
	x.Env = append(x.Env, api.Env(secret)...)
	harness.Write(t, filepath.Join(x.Dir, "web.yml"), harness.TLSConfig(identity, "TLS12")+harness.PasswordConfig)
	x.TLS = api.CA.ClientConfig(t)
	x.Start()

	var config strings.Builder
	config.WriteString("global: {scrape_interval: 500ms, scrape_timeout: 500ms}\nscrape_configs:\n")
	for job, password := range map[string]string{"known": harness.Password, "unknown": "wrong"} {
		config.WriteString(fmt.Sprintf("  - {job_name: %s, scheme: https, tls_config: {ca_file: %s}, "+
			"basic_auth: {username: %s, password: %s}, static_configs: [{targets: ['%s']}]}\n",
			job, api.CA.File, harness.User, password, x.Address))
	}
	server := harness.StartPrometheus(t, config.String())
	server.Await(t, scrapeTimeout, map[string]float64{"known": 1, "unknown": 0}, `up`, "job")
	server.Await(t, scrapeTimeout, map[string]float64{"known/default": 1}, `appfigures_token_valid`, "job", "token")

	server.Stop() // so that only what follows could cause a probe
	before := api.TotalRequests()
	for _, path := range []string{"/", "/metrics", "/probe?target=default", "/sd", "/api/v1/status", "/-/healthy"} {
		if response, _ := x.Get(path); response.StatusCode != 401 {
			t.Errorf("%s without a password: %s, want 401", path, response.Status)
		}
	}
	if api.TotalRequests() != before {
		t.Error("a request without a password caused a probe")
	}
}

// TestFormats requests each page in both formats, as clients other than Prometheus do.
func TestFormats(t *testing.T) {
	t.Parallel()
	const secret = "pat_in_open_metrics"
	api := harness.NewAPI(t, simulator.Options{})
	api.Set(secret, simulator.Valid)
	x := harness.NewExporter(t)
	x.Env = append(x.Env, api.Env(secret)...)
	x.Start()
	for _, path := range []string{"/metrics", "/probe?target=default"} {
		for _, accept := range []string{"text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0"} {
			format, _, _ := strings.Cut(accept, ";")
			response, body := x.Get(path, "Accept", accept)
			kind := response.Header.Get("Content-Type")
			if !strings.HasPrefix(kind, format) || response.StatusCode != 200 {
				t.Errorf("%s as %s: %s, %s", path, format, response.Status, kind)
			}
			openMetrics := format != "text/plain"
			if strings.HasSuffix(body, "\n# EOF\n") != openMetrics || strings.Contains(body, "# EOF") != openMetrics {
				t.Errorf("%s as %s ends with %q", path, format, body[max(0, len(body)-20):])
			}
			if !openMetrics {
				checkLint(t, body)
			}
		}
	}
}

// counted returns an error unless the exporter has counted exactly the requests that the API has seen.
func counted(exposition string, api *simulator.API) error {
	counted, _ := harness.Sum(exposition, `appfigures_probes_total\{.*\}`)
	if seen := float64(api.TotalRequests()); seen == 0 || counted != seen {
		return fmt.Errorf("appfigures_probes_total counts %v requests, the API has seen %v", counted, seen)
	}
	return nil
}

// checkLint checks that promtool finds nothing to improve.
func checkLint(t *testing.T, exposition string) {
	t.Helper()
	check := exec.Command(harness.Promtool(t), "check", "metrics")
	check.Stdin = strings.NewReader(exposition)
	if out, err := check.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("%s: %v\n%s", check, err, out)
	}
}
