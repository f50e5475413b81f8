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

// The API of the stage.
const (
	slowAnswer  = 300 * time.Millisecond // more than the 0.2 s that [numbers] leaves, less than a scrape's second
	pause       = 30 * time.Second       // what a 429 asks for
	limit       = 1_000_000              // requests a day of each account: no probe is ever paced
	usedByOther = 950_000                // of the account of "spender": more than 90 %
)

// stage is all that plays: the simulated API, the exporter, Prometheus, Alertmanager, and who is notified.
type stage struct {
	t          *testing.T
	api        *harness.API
	binary     string
	config     string // file of the exporter's configuration
	watcher    *harness.Exporter
	prometheus *harness.Prometheus
	receiver   *receiver
}

// tokens are the exporter's, in order, and whose they are.
var tokens = []struct{ name, account string }{
	{"steady", "steady"},       // works all the time
	{"revoked", "revoked"},     // is revoked and restored
	{"dead", "dead"},           // is revoked, through an outage and a restart
	{"first", "lapsed"},        // is locked
	{"second", "lapsed"},       // is locked with it
	{"forbidden", "forbidden"}, // may not
	{"throttled", "throttled"}, // is told to slow down
	{"exhausted", "exhausted"}, // has used up its day
	{"spender", "spender"},     // has almost used up its day
	{"odd", "odd"},             // is rejected once, by mistake
	{"failing", "failing"},     // has no answer but 503
	{"proxied", "proxied"},     // has never had an answer of the API's own
	{"expiring", "expiring"},   // by its configuration
	{"missing", "missing"},     // its secret is missing at first
}

func secretOf(token string) string { return "pat_" + token }

// setStage starts everything. A token works unless it is among the troubled.
func setStage(t *testing.T, troubled map[string]simulator.Behaviour) *stage {
	t.Helper()
	awaitMidnight(t)
	ca := harness.NewAuthority(t)
	s := &stage{t: t, binary: harness.Build(t), config: filepath.Join(t.TempDir(), "config.yml"), receiver: newReceiver(t)}
	s.api = simulated.Start(t, ca, simulator.New(simulator.Options{DailyLimit: limit, SlowDelay: slowAnswer, RetryAfter: pause}), nil)
	var config strings.Builder
	fmt.Fprintf(&config, "api_url: %s\ntls_config: {ca_file: %s}\ntokens:\n", s.api.URL(), ca.File)
	for _, token := range tokens {
		s.api.SetAccount(secretOf(token.name), token.account)
		fmt.Fprintf(&config, "  - {name: %s, account: %s, ", token.name, token.account)
		switch token.name {
		case "missing":
			fmt.Fprintf(&config, "token_file: %s}\n", s.secretFile())
		case "expiring":
			fmt.Fprintf(&config, "token: %s, expires_at: %s}\n", secretOf(token.name), inDays(5))
		default:
			fmt.Fprintf(&config, "token: %s}\n", secretOf(token.name))
		}
	}
	for token, behaviour := range troubled {
		s.api.Set(secretOf(token), behaviour)
	}
	write(t, s.config, config.String())
	s.startExporter(exporter.AnyPort)
	s.startPrometheus()
	return s
}

// awaitMidnight waits for a day that has begun and does not end while the stage is set: what is used of a quota, and
// who may not ask again, begins anew at 00:00 UTC.
func awaitMidnight(t *testing.T) {
	const show, blind = 6 * time.Minute, 20 * time.Second // how long all takes; how long a day's quota is not believed
	harness.Until(t, show+2*blind, func() error {
		now := time.Now().UTC()
		if today := now.Sub(now.Truncate(24 * time.Hour)); today < blind || today > 24*time.Hour-show {
			return fmt.Errorf("it is %s UTC, too near to midnight", now.Format(time.TimeOnly))
		}
		return nil
	})
}

func inDays(days int) string { return time.Now().AddDate(0, 0, days).UTC().Format(time.DateOnly) }

func (s *stage) secretFile() string { return filepath.Join(filepath.Dir(s.config), "missing") }

func (s *stage) startExporter(listen string) {
	s.t.Helper()
	s.watcher = exporter.Start(s.t, s.binary, listen, nil, "--config.file="+s.config)
}

// reconfigure has the exporter read a changed configuration.
func (s *stage) reconfigure(written, meant string) {
	s.t.Helper()
	content, err := os.ReadFile(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	if !strings.Contains(string(content), written) {
		s.t.Fatalf("the exporter's configuration does not say %q", written)
	}
	write(s.t, s.config, strings.ReplaceAll(string(content), written, meant))
	s.watcher.Signal(syscall.SIGHUP)
}

// startAlertmanager starts a real Alertmanager with the shipped configuration, and returns its address.
func (s *stage) startAlertmanager() string {
	s.t.Helper()
	dir := s.t.TempDir()
	file := filepath.Join(dir, "alertmanager.yml")
	write(s.t, file, shipped(s.t, "alertmanager.yml", inConfig, replacement{"http://127.0.0.1:5001/", s.receiver.url}))
	return harness.StartProcess(s.t, "Alertmanager", exec.Command(
		harness.Tool(s.t, "prometheus-alertmanager", "apt-get install prometheus-alertmanager"),
		"--config.file="+file, "--storage.path="+filepath.Join(dir, "data"),
		"--web.listen-address=127.0.0.1:0", "--cluster.listen-address=",
	)).Address()
}

// startPrometheus starts a real Prometheus with the shipped configuration, and with the shipped rules once it scrapes.
// It takes some seconds from the start until it knows its targets, which would be minutes to rules that are faster.
func (s *stage) startPrometheus() {
	s.t.Helper()
	rules := filepath.Join(s.t.TempDir(), "appfigures.rules.yml")
	write(s.t, rules, "groups: []\n")
	s.prometheus = harness.StartPrometheus(s.t, shipped(s.t, "prometheus.yml", inConfig,
		replacement{"exporter:10187", s.watcher.Address},
		replacement{"alertmanager:9093", s.startAlertmanager()},
		replacement{"localhost:9090", "127.0.0.1:1"}, // a job that is down, and none of ours
		replacement{"- appfigures.rules.yml", "- " + rules},
		replacement{"scrape_timeout: 15s", "scrape_timeout: 60s"})) // to be a second: a quarter of one is too short
	s.prometheus.Await(s.t, patience, map[string]float64{"appfigures": 1, "prometheus": 0}, `up`, "job")
	write(s.t, rules, shipped(s.t, "appfigures.rules.yml", inRules, numbers...))
	s.prometheus.Signal(syscall.SIGHUP)
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
