// Package discovery holds the proof that a real Prometheus discovers the tokens and scrapes each as a target of its
// own, from one exporter and from two that share them, with the configurations in prometheus/examples.
package discovery

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/exporter"
	"github.com/appfigures-exporter/appfigures_exporter/e2e/prometheus"
	"github.com/appfigures-exporter/appfigures_exporter/e2e/simulated"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// patience is how long Prometheus may take to know what has changed: many scrapes, on a slow machine.
const patience = 60 * time.Second

// replacement is a text of an example and what stands for it in the test.
type replacement struct{ written, meant string }

// example returns one of prometheus/examples. Each of the replacements must find its text.
func example(t *testing.T, name string, replacements ...replacement) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(exporter.Root, "prometheus", "examples", name))
	if err != nil {
		t.Fatal(err)
	}
	config := string(content)
	for _, r := range replacements {
		if !strings.Contains(config, r.written) {
			t.Fatalf("%s does not say %q", name, r.written)
		}
		config = strings.ReplaceAll(config, r.written, r.meant)
	}
	return config
}

// TestDiscovery follows tokens that are there, change, come and go.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	ca := simulated.NewAuthority(t)
	api := simulated.Start(t, ca, simulator.New(simulator.Options{DailyLimit: simulated.Plenty}), nil)
	names := []string{"works", "revoked", "locked", "fails", "a name with spaces & signs?", "日本"}
	for _, name := range names {
		api.Set(secretOf(name), simulator.Valid)
	}
	api.Set(secretOf("revoked"), simulator.Revoked)
	api.Set(secretOf("locked"), simulator.Locked)
	api.Set(secretOf("fails"), simulator.ServerError)
	config := filepath.Join(t.TempDir(), "config.yml")
	writeConfig(t, config, ca, api, names)
	watcher := exporter.Start(t, exporter.Build(t), exporter.AnyPort, nil, "--config.file="+config, "--no-collector.tokens")

	server := prometheus.Start(t, example(t, "discovery.yml",
		replacement{"exporter:10187", watcher.Address},
		replacement{"interval: 60s", "interval: 1s"},
		replacement{"timeout: 15s", "timeout: 1s"}))
	// The instance of a token's target is the token's name, and of nobody else.
	up := map[string]float64{"appfigures/" + watcher.Address: 1}
	verdicts := map[string]float64{}
	for _, name := range names {
		up["appfigures_tokens/"+name] = 1
		verdicts[name+"/"+name] = 1
	}
	verdicts["revoked/revoked"], verdicts["locked/locked"] = 0, 0
	delete(verdicts, "fails/fails") // it had none yet
	server.Await(t, patience, up, `up`, "job", "instance")
	server.Await(t, patience, verdicts, `appfigures_token_valid`, "instance", "token")
	server.Await(t, patience, map[string]float64{}, `go_goroutines{job="appfigures_tokens"} or appfigures_token_info{job="appfigures"}`)

	api.Set(secretOf("works"), simulator.Rejected)
	verdicts["works/works"] = 0
	server.Await(t, patience, verdicts, `appfigures_token_valid`, "instance", "token")

	api.Set(secretOf("new"), simulator.Valid)
	writeConfig(t, config, ca, api, append(names[1:], "new"))
	watcher.Signal(syscall.SIGHUP)
	delete(verdicts, "works/works")
	verdicts["new/new"] = 1
	server.Await(t, patience, verdicts, `appfigures_token_valid`, "instance", "token")
}

// The shape of [TestReplicas]: as many tokens as the contract says, in accounts of five.
const (
	sharedTokens    = 1000
	tokensOfAccount = 5
)

// TestReplicas has two exporters with the same thousand tokens. Each has a door of its own to the one API, where its
// requests are counted.
func TestReplicas(t *testing.T) {
	t.Parallel()
	ca := simulated.NewAuthority(t)
	api := simulator.New(simulator.Options{DailyLimit: simulated.Plenty})
	var names []string
	for i := range sharedTokens {
		name := fmt.Sprintf("token-%04d", i)
		names = append(names, name)
		api.SetAccount(secretOf(name), accountOf(name, i))
	}
	binary := exporter.Build(t)
	doors := [2]door{{seen: map[string]int{}}, {seen: map[string]int{}}}
	port := "0" // the first replica's choice, and the second's too
	for i := range doors {
		served := simulated.Start(t, ca, api, doors[i].count)
		config := filepath.Join(t.TempDir(), "config.yml")
		writeConfig(t, config, ca, served, names)
		host := fmt.Sprintf("127.0.0.1%d", i)
		replica := exporter.Start(t, binary, host+":"+port, nil, "--config.file="+config, "--no-collector.tokens")
		_, port, _ = net.SplitHostPort(replica.Address)
	}

	server := prometheus.Start(t, example(t, "replicas.yml",
		replacement{"exporter-", "127.0.0.1"}, // a digit follows: 127.0.0.10 and 127.0.0.11
		replacement{":10187", ":" + port},
		replacement{"interval: 60s", "interval: 5s"},
		replacement{"timeout: 15s", "timeout: 5s"}))
	single := func(value float64) map[string]float64 { return map[string]float64{"": value} }
	server.Await(t, patience, single(sharedTokens), `count(up{job=~"appfigures_tokens_[01]"} == 1)`)
	server.Await(t, patience, single(sharedTokens), `count(appfigures_token_valid == 1)`)
	server.Await(t, patience, single(sharedTokens), `count(sum by (token) (appfigures_probes_total) >= 2)`)
	server.Await(t, patience, single(2), `count(appfigures_exporter_build_info)`)
	server.Await(t, patience, single(0), `sum(up == bool 0)`)
	server.Stop() // so that no request comes while they are compared

	replicaOf := map[string]int{} // by account
	all := map[string]bool{}
	for i := range doors {
		seen := doors[i].requests()
		if len(seen) < sharedTokens/4 {
			t.Errorf("replica %d has probed %d tokens of %d: they are not shared", i, len(seen), sharedTokens)
		}
		for secret := range seen {
			if all[secret] {
				t.Errorf("%s was probed by both replicas", secret)
			}
			all[secret] = true
		}
		for j, name := range names {
			if seen[secretOf(name)] == 0 {
				continue
			}
			account := accountOf(name, j)
			if other, known := replicaOf[account]; known && other != i {
				t.Errorf("%s was probed by both replicas, so it has the share of both", account)
			}
			replicaOf[account] = i
		}
	}
	if len(all) != sharedTokens {
		t.Errorf("%d tokens were probed, want %d", len(all), sharedTokens)
	}
}

// door counts the requests that come through it.
type door struct {
	mu   sync.Mutex
	seen map[string]int // guarded by mu; by secret
}

func (d *door) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		d.seen[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]++
		d.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

func (d *door) requests() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.seen)
}

func secretOf(name string) string { return fmt.Sprintf("pat_%x", name) }

// accountOf returns the account of the i-th token; of one with another kind of name, its own.
func accountOf(name string, i int) string {
	if strings.HasPrefix(name, "token-") {
		return fmt.Sprintf("account-%03d", i/tokensOfAccount)
	}
	return name
}

func writeConfig(t *testing.T, file string, ca *simulated.Authority, api *simulated.Server, names []string) {
	t.Helper()
	var config strings.Builder
	fmt.Fprintf(&config, "api_url: %s\ntls_config: {ca_file: %s}\ntokens:\n", api.URL(), ca.File)
	for i, name := range names {
		fmt.Fprintf(&config, "  - {name: %q, account: %q, token: %s}\n", name, accountOf(name, i), secretOf(name))
	}
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}
