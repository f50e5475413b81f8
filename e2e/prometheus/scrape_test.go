// Package scrape holds the proof of the main thing: a real Prometheus that scrapes the real exporter, which watches a
// simulated API over TLS, knows of each token whether it works.
package scrape

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/exporter"
	"github.com/appfigures-exporter/appfigures_exporter/e2e/prometheus"
	"github.com/appfigures-exporter/appfigures_exporter/e2e/simulated"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// patience is how long Prometheus may take to know what has changed: many scrapes, on a slow machine.
const patience = 30 * time.Second

// TestEnvironment starts the exporter with nothing but the two variables of the vendor's own client, and has it
// scraped in each of the formats that Prometheus asks for.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	const secret = "pat_known_to_the_environment_alone"
	ca := simulated.NewAuthority(t)
	api := simulated.Start(t, ca, simulator.New(simulator.Options{DailyLimit: simulated.Plenty}), nil)
	api.Set(secret, simulator.Valid)
	watcher := exporter.Start(t, exporter.Build(t), exporter.AnyPort, []string{
		"APPFIGURES_API_KEY=" + secret, "APPFIGURES_API_BASE_URL=" + api.URL(), "SSL_CERT_FILE=" + ca.File,
	})

	var config strings.Builder
	config.WriteString("global: {scrape_interval: 500ms, scrape_timeout: 500ms}\nscrape_configs:\n")
	protocols := []string{"PrometheusProto", "OpenMetricsText1.0.0", "OpenMetricsText0.0.1", "PrometheusText1.0.0", "PrometheusText0.0.4"}
	for _, protocol := range protocols {
		fmt.Fprintf(&config, "  - {job_name: %s, scrape_protocols: [%[1]s], static_configs: [{targets: ['%s']}]}\n", protocol, watcher.Address)
	}
	server := prometheus.Start(t, config.String())
	each := func(value float64) map[string]float64 {
		all := map[string]float64{}
		for _, protocol := range protocols {
			all[protocol+"/default"] = value
		}
		return all
	}

	await := func(expr string, value float64) {
		t.Helper()
		server.Await(t, patience, each(value), expr, "job", "token")
	}
	await(`appfigures_token_valid`, 1)
	await(`appfigures_token_info{account="default"}`, 1)
	await(`appfigures_up`, 1)
	await(`appfigures_probe_result{result="valid"}`, 1)
	await(`appfigures_probe_http_status_code`, 200)
	await(`appfigures_quota_limit_requests`, simulated.Plenty)
	await(`appfigures_quota_used_requests > bool 0`, 1)
	await(`appfigures_probe_duration_seconds > bool 0`, 1)
	await(`abs(time() - appfigures_probe_timestamp_seconds) < bool 30`, 1)

	// Since when is the moment of the change; before the next one Prometheus must have seen this one.
	for _, change := range []struct {
		behaviour simulator.Behaviour
		valid     float64
	}{{simulator.Revoked, 0}, {simulator.ServerError, 0}, {simulator.Valid, 1}, {simulator.Maintenance, 1}} {
		api.Set(secret, change.behaviour)
		await(fmt.Sprintf(`appfigures_probe_result{result=%q}`, meanings[change.behaviour].result), 1)
		await(`appfigures_token_valid`, change.valid)
	}

	server.Stop() // so that no scrape is under way when requests are counted
	exposition := get(t, http.DefaultClient, "http://"+watcher.Address+"/metrics", "")
	testCounted(t, exposition, api.API)
	watcher.Stop()
	if got := strings.Count(watcher.Log(), "Token changed state"); got != 5 { // with the first
		t.Errorf("the exporter has logged %d changes, want 5", got)
	}
	for what, text := range map[string]string{"log": watcher.Log(), "exposition": exposition} {
		if strings.Contains(text, secret) {
			t.Errorf("the token is in the exporter's %s", what)
		}
	}
}

// tokensEach is how many tokens behave alike in [TestManyTokens].
const tokensEach = 10

// TestManyTokens has a configuration with tokens of every behaviour that the simulated API knows.
func TestManyTokens(t *testing.T) {
	t.Parallel()
	ca := simulated.NewAuthority(t)
	api := simulated.Start(t, ca, simulator.New(simulator.Options{DailyLimit: simulated.Plenty, SlowDelay: 200 * time.Millisecond}), nil)
	dir := t.TempDir()
	var config strings.Builder
	fmt.Fprintf(&config, "api_url: %s\ntls_config: {ca_file: %s}\nmax_concurrency: 200\ntokens:\n", api.URL(), ca.File)
	want := expectations{}
	for _, behaviour := range simulator.Behaviours() {
		for i := range tokensEach {
			name := fmt.Sprintf("%v-%d", behaviour, i)
			secret := "pat_of_" + name
			api.SetAccount(secret, name) // of its own, as the API may stop an account
			api.Set(secret, behaviour)
			write(t, filepath.Join(dir, name), secret+"\n")
			fmt.Fprintf(&config, "  - {name: %s, account: %[1]s, token_file: %s, labels: {behaviour: %v}}\n", name, filepath.Join(dir, name), behaviour)
			want.add(name, behaviour)
		}
	}
	fmt.Fprintf(&config, "  - {name: missing, account: missing, token_file: %s}\n", filepath.Join(dir, "missing"))
	want.result["missing/no_token"], want.up["missing"], want.status["missing"] = 1, 0, 0
	write(t, filepath.Join(dir, "config.yml"), config.String())
	watcher := exporter.Start(t, exporter.Build(t), exporter.AnyPort, nil, "--config.file="+filepath.Join(dir, "config.yml"), "--log.level=debug")

	server := prometheus.Start(t, fmt.Sprintf(`
scrape_configs:
  - {job_name: appfigures, scrape_interval: 2s, scrape_timeout: 2s, static_configs: [{targets: ['%s']}]}
`, watcher.Address))
	server.Await(t, patience, want.valid, `appfigures_token_valid`, "token")
	server.Await(t, patience, want.result, `appfigures_probe_result == 1`, "token", "result")
	server.Await(t, patience, want.status, `appfigures_probe_http_status_code`, "token")
	server.Await(t, patience, want.up, `appfigures_up`, "token")
	server.Await(t, patience, want.quota, `appfigures_quota_limit_requests`, "token")
	for _, nothing := range []string{
		`appfigures_probe_duration_seconds{token!="missing"} <= 0 or appfigures_probe_duration_seconds > 2`,
		`appfigures_probe_duration_seconds{token=~"slow-.*"} < 0.2`,
		`sum by (token) (appfigures_probe_phase_duration_seconds) > appfigures_probe_duration_seconds + 0.001`,
		`appfigures_probe_phase_duration_seconds{token=~"slow-.*", phase="processing"} < 0.2`,
	} {
		server.Await(t, patience, map[string]float64{}, nothing, "token", "phase")
	}
	server.Await(t, patience, map[string]float64{"": 1}, `max(appfigures_probe_phase_duration_seconds{phase="tls"}) > bool 0`)
	server.Await(t, patience, map[string]float64{"": float64(api.Identity().Expiry.Unix())}, `appfigures_api_certificate_expiry_timestamp_seconds`)
	server.Await(t, patience, map[string]float64{"": tokensEach * float64(len(meanings))}, `sum(appfigures_token_info{behaviour!=""})`)
	server.Await(t, patience, map[string]float64{"": 1}, `min_over_time(up[1m])`)

	server.Stop()
	exposition := get(t, http.DefaultClient, "http://"+watcher.Address+"/metrics", "")
	testCounted(t, exposition, api.API)
	testLint(t, exposition)
	if strings.Contains(exposition+watcher.Log(), "pat_of_") {
		t.Error("a token is in what the exporter prints")
	}
}

// expectations is what Prometheus should know, by token; of results by token and result.
type expectations struct{ valid, result, status, up, quota map[string]float64 }

func (e *expectations) add(name string, behaviour simulator.Behaviour) {
	if e.valid == nil {
		e.valid, e.result, e.status = map[string]float64{}, map[string]float64{}, map[string]float64{}
		e.up, e.quota = map[string]float64{}, map[string]float64{}
	}
	is := meanings[behaviour]
	e.result[name+"/"+is.result] = 1
	e.status[name] = is.status
	e.up[name] = is.up
	switch is.verdict {
	case valid:
		e.valid[name] = 1
	case denied:
		e.valid[name] = 0
	}
	if is.metered {
		e.quota[name] = simulated.Plenty
	}
}

// testCounted holds that the exporter has counted the requests that the API has seen, no more and no less. The
// exposition is that of the last scrape.
func testCounted(t *testing.T, exposition string, api *simulator.API) {
	t.Helper()
	var counted float64
	for line := range strings.Lines(exposition) {
		if strings.HasPrefix(line, "appfigures_probes_total{") {
			var value float64
			if _, err := fmt.Sscan(line[strings.LastIndex(line, " ")+1:], &value); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			counted += value
		}
	}
	if seen := float64(api.TotalRequests()); seen == 0 || counted != seen {
		t.Errorf("appfigures_probes_total counts %v requests, the API has seen %v", counted, seen)
	}
}

// testLint holds that promtool has nothing to say.
func testLint(t *testing.T, exposition string) {
	t.Helper()
	check := exec.Command(prometheus.Promtool(t), "check", "metrics")
	check.Stdin = strings.NewReader(exposition)
	if out, err := check.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("%s: %v\n%s", check, err, out)
	}
}

// get returns the body of a page, which must be there. accept is the header, empty for none.
func get(t *testing.T, client *http.Client, address, accept string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v\n%s", address, response.Status, err, body)
	}
	if kind := response.Header.Get("Content-Type"); accept != "" && !strings.HasPrefix(kind, strings.SplitN(accept, ";", 2)[0]) {
		t.Errorf("%s: Content-Type is %q, asked for %q", address, kind, accept)
	}
	return string(body)
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
