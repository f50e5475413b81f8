package prometheus

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// TestVMAlert runs the shipped rules under vmalert over a single-node VictoriaMetrics, which scrapes the exporter.
func TestVMAlert(t *testing.T) {
	awaitMidnight(t)
	api := harness.NewAPI(t, simulator.Options{DailyLimit: limit})
	var config strings.Builder
	config.WriteString(api.Config() + fmt.Sprintf("timeout: 1s\npacing: {assumed_daily_limit: %d}\ntokens:\n", limit))
	for name, behavior := range map[string]simulator.Behavior{
		"steady": simulator.Valid, "dead": simulator.Revoked,
		"locked": simulator.Locked, "forbidden": simulator.Forbidden,
	} {
		api.SetAccount(secretOf(name), name)
		api.Set(secretOf(name), behavior)
		fmt.Fprintf(&config, "  - {name: %[1]s, account: %[1]s, labels: {team: %[1]s-team}, token: %[2]s}\n",
			name, secretOf(name))
	}
	config.WriteString("  - {name: missing, account: missing, labels: {team: missing-team}, token_file: missing}\n")
	exporter := harness.StartExporter(t, config.String())

	const install = "go install github.com/VictoriaMetrics/VictoriaMetrics/app/...@v1.151.0, see .ci/run"
	dir := t.TempDir()
	scrape, rules := filepath.Join(dir, "scrape.yml"), filepath.Join(dir, "rules.yml")
	harness.Write(t, scrape, "scrape_configs: [{job_name: appfigures, scrape_interval: 1s, "+
		"static_configs: [{targets: ['"+exporter.Address+"']}]}]\n")
	harness.Write(t, rules, shipped(t, "appfigures.rules.yml", inRules, numbers...))
	database, alerter := harness.FreeAddress(t), harness.FreeAddress(t)
	harness.StartProcess(t, "VictoriaMetrics", exec.Command(harness.Tool(t, "victoria-metrics", install),
		"-httpListenAddr="+database, "-storageDataPath="+filepath.Join(dir, "data"), "-promscrape.config="+scrape,
		"-search.latencyOffset=0s", "-search.maxStalenessInterval=5m"))
	harness.StartProcess(t, "vmalert", exec.Command(harness.Tool(t, "vmalert", install),
		"-httpListenAddr="+alerter, "-rule="+rules, "-datasource.url=http://"+database, "-notifier.blackhole"))

	want := map[string]string{
		"AppfiguresTokenRejected/dead": "dead-team", "AppfiguresAccountLocked/": "locked-team",
		"AppfiguresTokenForbidden/forbidden":       "forbidden-team",
		"AppfiguresTokenSecretUnavailable/missing": "missing-team",
	}
	harness.Until(t, time.Minute, func() error {
		got, err := vmalertFiring("http://" + alerter + "/api/v1/alerts")
		if err != nil {
			return err
		}
		for alert, team := range want {
			if got[alert] != team {
				return fmt.Errorf("%s: team %q, want %q; firing: %q", alert, got[alert], team, got)
			}
		}
		if team, wrong := got["AppfiguresTokenRejected/steady"]; wrong {
			t.Fatalf("the valid token is rejected (%s)", team)
		}
		return nil
	})
}

// vmalertFiring returns the label team of each firing alert, by its name and token.
func vmalertFiring(url string) (map[string]string, error) {
	response, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Alerts []struct {
				State  string            `json:"state"`
				Labels map[string]string `json:"labels"`
				Name   string            `json:"name"`
			} `json:"alerts"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("%w in %s", err, body)
	}
	alerts := make(map[string]string)
	for _, a := range answer.Data.Alerts {
		if a.State == "firing" {
			alerts[a.Name+"/"+a.Labels["token"]] = a.Labels["team"]
		}
	}
	return alerts, nil
}
