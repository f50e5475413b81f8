package prometheus

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// TestDiscovery follows tokens that are there, change, come and go, with prometheus/examples/discovery.yml.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	api := harness.NewAPI(t, simulator.Options{})
	names := []string{"works", "revoked", "locked", "fails", "a name with spaces & signs?", "日本"}
	for _, name := range names {
		api.Set(secretOf(name), simulator.Valid)
	}
	api.Set(secretOf("revoked"), simulator.Revoked)
	api.Set(secretOf("locked"), simulator.Locked)
	api.Set(secretOf("fails"), simulator.ServerError)
	x := harness.StartExporter(t, configOf(api, names), "--no-collector.tokens")

	server := harness.StartPrometheus(t, harness.ReadWith(t, "prometheus/examples/discovery.yml",
		harness.Substitution{Old: "exporter:10187", New: x.Address},
		harness.Substitution{Old: "interval: 60s", New: "interval: 1s"},
		harness.Substitution{Old: "timeout: 15s", New: "timeout: 1s"}))
	// Each token's target has the token's name as its instance.
	up := map[string]float64{"appfigures/" + x.Address: 1}
	verdicts := map[string]float64{}
	for _, name := range names {
		up["appfigures_tokens/"+name] = 1
		verdicts[name+"/"+name] = 1
	}
	verdicts["revoked/revoked"], verdicts["locked/locked"] = 0, 0
	delete(verdicts, "fails/fails") // it has none yet
	server.Await(t, scrapeTimeout, up, `up`, "job", "instance")
	server.Await(t, scrapeTimeout, verdicts, `appfigures_token_valid`, "instance", "token")
	server.Await(t, scrapeTimeout, map[string]float64{},
		`go_goroutines{job="appfigures_tokens"} or appfigures_token_info{job="appfigures"}`)

	api.Set(secretOf("works"), simulator.Rejected)
	verdicts["works/works"] = 0
	server.Await(t, scrapeTimeout, verdicts, `appfigures_token_valid`, "instance", "token")

	api.Set(secretOf("new"), simulator.Valid)
	x.WriteConfig(configOf(api, append(names[1:], "new")))
	x.Signal(syscall.SIGHUP)
	delete(verdicts, "works/works")
	verdicts["new/new"] = 1
	server.Await(t, scrapeTimeout, verdicts, `appfigures_token_valid`, "instance", "token")
}

// TestReplicas shares the same thousand tokens between two exporters, with prometheus/examples/replicas.yml. Each has a
// server of its own for the one API, which counts its requests.
func TestReplicas(t *testing.T) {
	t.Parallel()
	const sharedTokens = 1000
	ca := harness.NewAuthority(t)
	api := simulator.New(simulator.Options{DailyLimit: harness.Plenty})
	var names []string
	for i := range sharedTokens {
		name := fmt.Sprintf("token-%04d", i)
		names = append(names, name)
		api.SetAccount(secretOf(name), accountOf(name, i))
	}
	counters := [2]requestCounter{{requests: map[string]int{}}, {requests: map[string]int{}}}
	port := "0" // chosen by the first replica, then the second's too
	for i := range counters {
		served := harness.ServeAPI(t, ca, api, counters[i].wrap)
		replica := harness.NewExporter(t, "--no-collector.tokens")
		replica.WriteConfig(configOf(served, names))
		replica.Address = fmt.Sprintf("127.0.0.1%d:%s", i, port)
		replica.Start()
		_, port, _ = net.SplitHostPort(replica.Address)
	}

	server := harness.StartPrometheus(t, harness.ReadWith(t, "prometheus/examples/replicas.yml",
		harness.Substitution{Old: "exporter-", New: "127.0.0.1"}, // a digit follows: 127.0.0.10 and 127.0.0.11
		harness.Substitution{Old: ":10187", New: ":" + port},
		harness.Substitution{Old: "interval: 60s", New: "interval: 5s"},
		harness.Substitution{Old: "timeout: 15s", New: "timeout: 5s"}))
	for _, step := range []struct {
		expr  string
		value float64
	}{
		{`count(up{job=~"appfigures_tokens_[01]"} == 1)`, sharedTokens},
		{`count(appfigures_token_valid == 1)`, sharedTokens},
		{`count(sum by (token) (appfigures_probes_total) >= 2)`, sharedTokens},
		{`count(appfigures_exporter_build_info)`, 2},
		{`sum(up == bool 0)`, 0},
	} {
		server.Await(t, scrapeTimeout, map[string]float64{"": step.value}, step.expr)
	}
	server.Stop() // so that no request comes while they are compared

	replicaOf := map[string]int{} // by account
	all := map[string]bool{}
	for i := range counters {
		requests := counters[i].bySecret()
		if len(requests) < sharedTokens/4 {
			t.Errorf("replica %d has probed %d tokens of %d: they are not shared", i, len(requests), sharedTokens)
		}
		for secret := range requests {
			if all[secret] {
				t.Errorf("%s was probed by both replicas", secret)
			}
			all[secret] = true
		}
		for j, name := range names {
			if requests[secretOf(name)] == 0 {
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

// requestCounter counts the requests to one of the servers.
type requestCounter struct {
	mu       sync.Mutex
	requests map[string]int // guarded by mu; by secret
}

func (c *requestCounter) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.requests[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]++
		c.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

func (c *requestCounter) bySecret() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.requests)
}

func secretOf(name string) string { return fmt.Sprintf("pat_%x", name) }

// accountOf returns the account of the i-th token: five tokens share one, but each token without a number has its own.
func accountOf(name string, i int) string {
	if strings.HasPrefix(name, "token-") {
		return fmt.Sprintf("account-%03d", i/5)
	}
	return name
}

func configOf(api *harness.API, names []string) string {
	var config strings.Builder
	config.WriteString(api.Config() + harness.Unpaced + "tokens:\n")
	for i, name := range names {
		fmt.Fprintf(&config, "  - {name: %q, account: %q, token: %s}\n", name, accountOf(name, i), secretOf(name))
	}
	return config.String()
}
