package prometheus

import (
	"fmt"
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
	names := []string{"works", "revoked", "a name with spaces & signs?", "日本"}
	api.Set(secretOf("revoked"), simulator.Revoked)
	for _, name := range append(names, "new") {
		api.SetAccount(secretOf(name), name)
	}
	x := harness.StartExporter(t, configOf(api, names), "--no-collector.tokens")
	server := harness.StartPrometheus(t, harness.ReadWith(t, "prometheus/examples/discovery.yml",
		"exporter:10187", x.Address, "interval: 60s", "interval: 1s", "timeout: 15s", "timeout: 1s"))
	// Each token's target has the token's name as its instance.
	up, verdicts := map[string]float64{"appfigures/" + x.Address: 1}, map[string]float64{}
	for _, name := range names {
		up["appfigures_tokens/"+name], verdicts[name+"/"+name] = 1, 1
	}
	verdicts["revoked/revoked"] = 0
	server.Await(t, timeout, up, `up`, "job", "instance")
	server.Await(t, timeout, verdicts, `appfigures_token_valid`, "instance", "token")
	server.Await(t, timeout, map[string]float64{},
		`go_goroutines{job="appfigures_tokens"} or appfigures_token_info{job="appfigures"}`)

	x.WriteConfig(configOf(api, append(names[1:], "new")))
	x.Signal(syscall.SIGHUP)
	delete(verdicts, "works/works")
	verdicts["new/new"] = 1
	server.Await(t, timeout, verdicts, `appfigures_token_valid`, "instance", "token")
}

// TestReplicas shares tokens between two exporters, with prometheus/examples/replicas.yml: each account is probed by one
// of them. Each has a server of its own for the one API, which notes whose requests come to it.
func TestReplicas(t *testing.T) {
	t.Parallel()
	const count = 40
	ca, api := harness.NewAuthority(t), simulator.New(simulator.Options{DailyLimit: harness.Plenty})
	var names []string
	accountOf := map[string]string{} // by secret
	for i := range count {
		name := fmt.Sprintf("token-%02d", i)
		names = append(names, name)
		accountOf[secretOf(name)] = fmt.Sprintf("account-%d", i/4)
		api.SetAccount(secretOf(name), accountOf[secretOf(name)])
	}
	var mu sync.Mutex
	replicas := map[string]map[int]bool{} // that probed an account; guarded by mu
	port := "0"                           // chosen by the first replica, then the second's too
	for i := range 2 {
		served := harness.ServeAPI(t, "127.0.0.1", ca, api, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				account := accountOf[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
				mu.Lock()
				if replicas[account] == nil {
					replicas[account] = map[int]bool{}
				}
				replicas[account][i] = true
				mu.Unlock()
				next.ServeHTTP(w, r)
			})
		})
		replica := harness.NewExporter(t, "--no-collector.tokens")
		config := served.Config() + harness.Unpaced + "tokens:\n"
		for _, name := range names {
			config += fmt.Sprintf("  - {name: %s, account: %s, token: %s}\n", name, accountOf[secretOf(name)], secretOf(name))
		}
		replica.WriteConfig(config)
		replica.Address = fmt.Sprintf("127.0.0.1%d:%s", i, port)
		replica.Start()
		_, port, _ = net.SplitHostPort(replica.Address)
	}
	server := harness.StartPrometheus(t, harness.ReadWith(t, "prometheus/examples/replicas.yml",
		"exporter-", "127.0.0.1", // a digit follows: 127.0.0.10 and 127.0.0.11
		":10187", ":"+port, "interval: 60s", "interval: 1s", "timeout: 15s", "timeout: 1s"))
	for expr, value := range map[string]float64{
		`count(appfigures_token_valid == 1)`:                            count,
		`count(sum by (token) (appfigures_probes_total) >= 2)`:          count,
		`count(count by (job) (up{job=~"appfigures_tokens_[01]"}))`:     2,
		`count(appfigures_exporter_build_info) + sum(up == bool 0) * 9`: 2,
	} {
		server.Await(t, timeout, map[string]float64{"": value}, expr)
	}
	mu.Lock()
	defer mu.Unlock()
	for account, by := range replicas {
		if len(by) != 1 {
			t.Errorf("%s was probed by both replicas, so it has the share of both", account)
		}
	}
	if len(replicas) != count/4 {
		t.Errorf("%d accounts were probed, want %d", len(replicas), count/4)
	}
}

// configOf returns a configuration in which each token has an account of its own.
func configOf(api *harness.API, names []string) string {
	config := api.Config() + harness.Unpaced + "tokens:\n"
	for _, name := range names {
		config += fmt.Sprintf("  - {name: %q, account: %[1]q, token: %s}\n", name, secretOf(name))
	}
	return config
}
