package prometheus

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// The simulated API of the alerts' test.
const (
	slowAnswer  = 300 * time.Millisecond // more than the 0.2 s in numbers
	retryAfter  = 2 * time.Second        // of a 429
	limit       = 4000 * fasterMinutes   // so that probes are as many scrapes apart as with a limit of 4,000
	usedByOther = limit * 93 / 100       // of the account "spender": more than 90 %, but not the reserve
)

// stage is everything that runs: the simulated API, the exporter, Prometheus, Alertmanager and the receiver.
type stage struct {
	t          *testing.T
	api        *harness.API
	exporter   *harness.Exporter
	prometheus *harness.Prometheus
	receiver   *receiver
	config     string // of the exporter
}

// tokens are the exporter's, with their accounts.
var tokens = []struct{ name, account string }{
	{"steady", "steady"},       // valid all the time
	{"revoked", "revoked"},     // is revoked and restored
	{"dead", "dead"},           // is revoked, through an outage and a restart
	{"first", "lapsed"},        // is locked
	{"second", "lapsed"},       // is locked with it
	{"forbidden", "forbidden"}, // is forbidden
	{"throttled", "throttled"}, // gets 429
	{"exhausted", "exhausted"}, // gets 420
	{"spender", "spender"},     // has used 93 % of its quota
	{"odd", "odd"},             // is rejected once
	{"failing", "failing"},     // gets only 503
	{"proxied", "proxied"},     // gets only a proxy's page
	{"expiring", "expiring"},   // by its configuration
	{"missing", "missing"},     // has no secret at first
}

// startStage starts everything. Tokens are valid unless behaviors has another one for them.
func startStage(t *testing.T, behaviors map[string]simulator.Behavior) *stage {
	t.Helper()
	awaitMidnight(t)
	s := &stage{t: t, receiver: newReceiver(t), exporter: harness.NewExporter(t)}
	s.api = harness.NewAPI(t, simulator.Options{DailyLimit: limit, SlowDelay: slowAnswer, RetryAfter: retryAfter})
	s.config = s.api.Config() + fmt.Sprintf("timeout: 1s\npacing: {assumed_daily_limit: %d}\ntokens:\n", limit)
	for _, token := range tokens {
		secret := secretOf(token.name)
		s.api.SetAccount(secret, token.account)
		source := "token: " + secret
		switch token.name {
		case "missing":
			source = "token_file: missing"
		case "expiring":
			source += ", expires_at: " + inDays(5)
		}
		s.config += fmt.Sprintf("  - {name: %[1]s, account: %[2]s, labels: {team: %[2]s-team}, %[3]s}\n",
			token.name, token.account, source)
	}
	for token, behavior := range behaviors {
		s.api.Set(secretOf(token), behavior)
	}
	s.exporter.WriteConfig(s.config)
	s.exporter.StateFile = filepath.Join(t.TempDir(), "state.json")
	s.exporter.Start()
	s.startPrometheus()
	return s
}

// awaitMidnight waits until the UTC day has begun and does not end during the test, because quotas and holds end with
// it.
func awaitMidnight(t *testing.T) {
	const longest = 10 * time.Minute
	harness.Until(t, 2*longest, func() error {
		now := time.Now().UTC()
		if today := now.Sub(now.Truncate(24 * time.Hour)); today < 5*time.Second || today > 24*time.Hour-longest {
			return fmt.Errorf("%s UTC is too close to midnight", now.Format(time.TimeOnly))
		}
		return nil
	})
}

func inDays(days int) string { return time.Now().AddDate(0, 0, days).UTC().Format(time.DateOnly) }

// reconfigure changes the exporter's configuration and reloads it.
func (s *stage) reconfigure(from, to string) {
	s.t.Helper()
	if !strings.Contains(s.config, from) {
		s.t.Fatalf("the exporter's configuration does not contain %q", from)
	}
	s.config = strings.ReplaceAll(s.config, from, to)
	s.exporter.WriteConfig(s.config)
	s.exporter.Signal(syscall.SIGHUP)
}

// restart starts the exporter again after it was stopped; without its state if asked.
func (s *stage) restart(forget bool) {
	s.t.Helper()
	if forget {
		if err := os.Remove(s.exporter.StateFile); err != nil {
			s.t.Fatal(err)
		}
	}
	s.exporter.Start()
}

// startAlertmanager starts an Alertmanager with the shipped configuration and returns its address.
func (s *stage) startAlertmanager() string {
	s.t.Helper()
	dir := s.t.TempDir()
	file := filepath.Join(dir, "alertmanager.yml")
	harness.Write(s.t, file, shipped(s.t, "alertmanager.yml", inConfig,
		harness.Substitution{Old: "http://127.0.0.1:5001/", New: s.receiver.url}))
	return harness.StartProcess(s.t, "Alertmanager", exec.Command(
		harness.Tool(s.t, "prometheus-alertmanager", "apt-get install prometheus-alertmanager"),
		"--config.file="+file, "--storage.path="+filepath.Join(dir, "data"),
		"--web.listen-address=127.0.0.1:0", "--cluster.listen-address=",
	)).AwaitListening()
}

// startPrometheus starts a Prometheus with the shipped configuration, and adds the shipped rules once it scrapes: until
// then some seconds pass, which are minutes to these rules.
func (s *stage) startPrometheus() {
	s.t.Helper()
	rules := filepath.Join(s.t.TempDir(), "appfigures.rules.yml")
	harness.Write(s.t, rules, "groups: []\n")
	s.prometheus = harness.StartPrometheus(s.t, shipped(s.t, "prometheus.yml", inConfig,
		harness.Substitution{Old: "exporter:10187", New: s.exporter.Address},
		harness.Substitution{Old: "alertmanager:9093", New: s.startAlertmanager()},
		harness.Substitution{Old: "localhost:9090", New: "127.0.0.1:1"}, // a job that is down and not ours
		harness.Substitution{Old: "- appfigures.rules.yml", New: "- " + rules},
		harness.Substitution{Old: "scrape_timeout: 15s", New: "scrape_timeout: 60s"})) // a second: 250 ms are too short
	s.prometheus.Await(s.t, alertTimeout, map[string]float64{"appfigures": 1, "prometheus": 0}, `up`, "job")
	harness.Write(s.t, rules, shipped(s.t, "appfigures.rules.yml", inRules, numbers...))
	s.prometheus.Signal(syscall.SIGHUP)
}
