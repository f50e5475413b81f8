package prometheus

import (
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// watched are the tokens of the tests of alerts, with their accounts and owners.
var watched = []struct{ name, account, team string }{
	{"reporting", "acme", "growth"}, {"etl", "acme", "growth"}, {"billing", "globex", "finance"},
}

// startWatched starts an exporter of these tokens, which are valid.
func startWatched(t *testing.T) (*harness.API, *harness.Exporter) {
	t.Helper()
	api := harness.NewAPI(t, simulator.Options{})
	config := api.Config() + harness.Unpaced + "timeout: 1s\ntokens:\n"
	for _, w := range watched {
		api.SetAccount(secretOf(w.name), w.account)
		config += fmt.Sprintf("  - {name: %s, account: %s, labels: {team: %s}, token: %s}\n",
			w.name, w.account, w.team, secretOf(w.name))
	}
	x := harness.NewExporter(t)
	x.WriteConfig(config)
	x.StateFile = filepath.Join(x.Dir, "state.json")
	return api, x.Start()
}

// TestAlerts runs the shipped rules and configurations of Prometheus and Alertmanager through one story, up to a
// webhook. Each scene awaits all notifications since the beginning, so the next one finds any that should not have come.
func TestAlerts(t *testing.T) {
	t.Parallel()
	api, x := startWatched(t)
	webhook, growth := harness.NewWebhook(t, "127.0.0.1"), harness.NewWebhook(t, "127.0.0.1")
	rules := filepath.Join(t.TempDir(), "rules.yml")
	harness.Write(t, rules, "groups: []\n")
	server := harness.StartPrometheus(t, regexp.MustCompile(`\b(60s|15s)\b`).ReplaceAllString(
		harness.ReadWith(t, "prometheus/prometheus.yml",
			"exporter:10187", x.Address, "alertmanager:9093", startAlertmanager(t, webhook, growth),
			"localhost:9090", "127.0.0.1:1", // a job that is down and not ours
			"- appfigures.rules.yml", "- "+rules), "1s"))
	all := map[string]float64{"acme/reporting": 1, "acme/etl": 1, "globex/billing": 1}
	server.Await(t, timeout, all, `appfigures_token_valid * on (token) group_left (account) appfigures_token_info`,
		"account", "token")
	harness.Write(t, rules, harness.Read(t, fasterRules(t))) // before the first scrape the exporter would be down
	server.Signal(syscall.SIGHUP)

	notified := map[string]string{}
	await := func(news map[string]string) {
		t.Helper()
		maps.Copy(notified, news)
		harness.Until(t, timeout, func() error {
			got := webhook.Statuses()
			for key, status := range growth.Statuses() { // by the example of a route
				got["growth: "+key] = status
			}
			if difference := harness.Difference(got, notified); difference != "" {
				return fmt.Errorf("notifications:\n%s", difference)
			}
			return nil
		})
	}
	const rejected, locked = "growth: AppfiguresTokenRejected/acme/etl/growth", "AppfiguresAccountLocked/globex//finance"
	const badConfig, apiDown, down = "AppfiguresExporterConfigReloadFailed///", "AppfiguresAPIDown///", "AppfiguresExporterDown///"
	config := harness.Read(t, x.Dir+"/config.yml")
	x.WriteConfig("tokens: broken\n")
	x.Signal(syscall.SIGHUP)
	api.Set(secretOf("etl"), simulator.Revoked)
	api.Set(secretOf("billing"), simulator.Locked)
	await(map[string]string{rejected: "firing", locked: "firing", badConfig: "firing"})
	x.WriteConfig(config)
	x.Signal(syscall.SIGHUP)
	await(map[string]string{badConfig: "firing, resolved"})

	api.Close()
	await(map[string]string{apiDown: "firing"})
	api.Open()
	await(map[string]string{apiDown: "firing, resolved"})

	api.Set(secretOf("etl"), simulator.Valid)
	api.Set(secretOf("billing"), simulator.Valid)
	await(map[string]string{rejected: "firing, resolved", locked: "firing, resolved"})

	x.Kill()
	await(map[string]string{down: "firing"})
	x.Start()
	await(map[string]string{down: "firing, resolved"})
	checkTexts(t, append(webhook.Last(), growth.Last()...))
	if strings.Contains(x.Log(), "pat_") {
		t.Error("the exporter logs a token")
	}
}

// example matches the lines of alertmanager.yml's commented example of a route to the team growth, and of its receiver.
var example = regexp.MustCompile(`(?m)^( *)# (- matchers: \['team=.*|  receiver: growth|  routes:|    - matchers: .*|` +
	`      repeat_interval: .*|- name: growth|  webhook_configs:|    - url: .*|      send_resolved: .*)$`)

// startAlertmanager starts an Alertmanager with the shipped configuration and the example, and returns its address.
func startAlertmanager(t *testing.T, team, growth *harness.Webhook) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "alertmanager.yml")
	config := harness.ReadWith(t, "prometheus/alertmanager.yml",
		"http://127.0.0.1:5001/", team.URL, "http://127.0.0.1:5002/", growth.URL)
	config = example.ReplaceAllString(config, "$1$2")
	harness.Write(t, file, regexp.MustCompile(`(group_wait|group_interval): \S+`).ReplaceAllString(config, "$1: 1s"))
	return harness.StartProcess(t, "Alertmanager", exec.Command(
		harness.Tool(t, "prometheus-alertmanager", "apt-get install prometheus-alertmanager"),
		"--config.file="+file, "--storage.path="+filepath.Join(dir, "data"),
		"--web.listen-address=127.0.0.1:0", "--cluster.listen-address=",
	)).AwaitListening()
}

// checkTexts checks that the texts of notifications are complete.
func checkTexts(t *testing.T, notifications []harness.Notification) {
	t.Helper()
	broken := regexp.MustCompile(`\{\{|\}\}|<no value>|<error|%!|NaN|pat_`)
	for _, n := range notifications {
		if n.Annotations["summary"] == "" || n.Annotations["runbook_url"] == "" || n.Labels["severity"] == "" ||
			broken.MatchString(fmt.Sprint(n.Annotations)) {
			t.Errorf("%+v", n)
		}
	}
}

// TestVMAlert runs the shipped rules under vmalert over a single-node VictoriaMetrics, which scrapes the exporter.
func TestVMAlert(t *testing.T) {
	t.Parallel()
	api, x := startWatched(t)
	api.Set(secretOf("etl"), simulator.Revoked)
	api.Set(secretOf("billing"), simulator.Locked)
	const install = "go install github.com/VictoriaMetrics/VictoriaMetrics/app/...@v1.151.0, see .ci/run"
	dir := t.TempDir()
	scrape := filepath.Join(dir, "scrape.yml")
	harness.Write(t, scrape, "scrape_configs: [{job_name: appfigures, scrape_interval: 1s, "+
		"static_configs: [{targets: ['"+x.Address+"']}]}]\n")
	database, alerter := harness.FreeAddress(t), harness.FreeAddress(t)
	harness.StartProcess(t, "VictoriaMetrics", exec.Command(harness.Tool(t, "victoria-metrics", install),
		"-httpListenAddr="+database, "-storageDataPath="+filepath.Join(dir, "data"), "-promscrape.config="+scrape,
		"-search.latencyOffset=0s", "-search.maxStalenessInterval=5m"))
	harness.StartProcess(t, "vmalert", exec.Command(harness.Tool(t, "vmalert", install),
		"-httpListenAddr="+alerter, "-rule="+fasterRules(t), "-datasource.url=http://"+database, "-notifier.blackhole"))
	want := map[string]string{"AppfiguresTokenRejected/etl": "growth", "AppfiguresAccountLocked/": "finance"}
	harness.Until(t, timeout, func() error {
		body, err := harness.Get("http://" + alerter + "/api/v1/alerts")
		if err != nil {
			return err
		}
		var answer struct {
			Data struct {
				Alerts []struct {
					Name, State string
					Labels      map[string]string
				}
			}
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			return err
		}
		got := map[string]string{}
		for _, a := range answer.Data.Alerts {
			if a.State == "firing" {
				got[a.Name+"/"+a.Labels["token"]] = a.Labels["team"]
			}
		}
		if !maps.Equal(got, want) {
			return fmt.Errorf("firing:\n%s", harness.Difference(got, want))
		}
		return nil
	})
}
