// Package bench measures what the exporter costs, compared with the least that the same requests can cost. It needs
// Linux and takes some minutes: make bench.
//
// The exporter, a bare net/http client, blackbox_exporter and the simulated API behind TLS are processes of their own,
// so that the kernel measures the CPU time of each. They take turns on the same machine: a busy machine slows all of
// them, and ratios are medians over the rounds. A test prints each figure beside its aim on a quiet machine, and fails
// if it exceeds a limit that a slow and busy one keeps.
package bench

import (
	"cmp"
	"flag"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

var rounds = flag.Int("rounds", 7, "number of rounds to take the median of")

// onceEach is a daily limit under which tokens get only their first probes while a test runs: those take two thirds of
// an account's extra turns, and each token has a regular turn every four hours.
func onceEach(tokensPerAccount int) int { return tokensPerAccount * 15 / 2 }

// TestCPU measures the CPU time of one probe, each with a connection of its own: what a scrape costs more than one in
// which no token has its turn.
func TestCPU(t *testing.T) {
	const tokens, perRound = 500, 10 // the kernel's clock ticks 100 times per second
	api := startAPI(t, tokens, 1, harness.Plenty, 0)
	x, idle := startExporter(t, api), startExporter(t, startAPI(t, tokens, 1, onceEach(tokens), 0))
	idle.awaitProbed()
	bare := startRole(t, "bare", api.url, api.ca.File, fmt.Sprint(tokens))
	bareAddress := bare.AwaitListening()
	blackbox, probeSome := startBlackbox(t, api, tokens/perRound)
	contenders := []struct {
		name    string
		process *harness.Process
		tokens  int
		request func()
	}{
		{"the exporter", x.Process, tokens, func() { x.scrape() }},
		{"the exporter, without a probe", idle.Process, tokens, func() { idle.scrape() }},
		{"a bare client", bare, tokens, func() { get(t, "http://"+bareAddress) }},
		{"blackbox_exporter", blackbox, tokens / perRound, probeSome},
	}
	costs := make([][]float64, len(contenders))
	for round := range 1 + *rounds {
		for range perRound { // in turns, as the speed of a virtual machine changes
			for _, c := range contenders {
				c.request()
			}
		}
		for i, c := range contenders {
			if cpu := c.process.CPU(); round > 0 { // the first round does not count
				costs[i] = append(costs[i], cpu.Seconds()*1e6/float64(perRound*c.tokens))
			}
		}
	}
	for i, c := range contenders {
		t.Logf("CPU time for a token by %s: %.0f µs", c.name, median(costs[i]))
	}
	check(t, "CPU time of a probe, in requests of a bare client",
		ratio(costs[0], costs[2])-ratio(costs[1], costs[2]), 1.25, 2)
	check(t, "CPU time of a probe and its metrics, in probes of blackbox_exporter", ratio(costs[0], costs[3]), 0.5, 1)
}

// TestLatency compares the latency that is reported, at the default concurrency, with what the API sees.
func TestLatency(t *testing.T) {
	x := startExporter(t, startAPI(t, 100, 1, harness.Plenty, 50*time.Millisecond))
	x.scrape()
	var reported []float64
	for range *rounds {
		sum, count := harness.Sum(x.scrape(), `appfigures_probe_duration_seconds\{.*\}`)
		reported = append(reported, sum/float64(count))
	}
	check(t, "latency, in that of the API", median(reported)/0.05, 1.3, 2)
}

// TestScrapeWithoutProbes measures scrapes in which no token has its turn, in the format that Prometheus 3 asks for,
// until the last byte of the compressed response: to unpack it is Prometheus' part.
func TestScrapeWithoutProbes(t *testing.T) {
	x := startExporter(t, startAPI(t, 1000, 100, onceEach(10), 0))
	x.awaitProbed()
	check(t, "milliseconds per scrape", median(measure(func() {
		if body := get(t, x.URL("/metrics"), "Accept-Encoding", "gzip"); !strings.HasPrefix(body, "\x1f\x8b") {
			t.Fatal("the response is not compressed")
		}
	}))*1000, 35, 350)
}

// TestIdle measures the memory of an exporter of ten tokens that is scraped now and then, and the time from its start
// to the first answer.
func TestIdle(t *testing.T) {
	api := startAPI(t, 10, 1, onceEach(10), 0)
	harness.Build(t)
	start := time.Now()
	x := startExporter(t, api)
	x.awaitProbed()
	check(t, "seconds from the start to the first answer", time.Since(start).Seconds(), 2, 20)
	for range 5 {
		time.Sleep(2 * time.Second) // as scrapes come
		x.scrape()
	}
	resident, _ := harness.Sum(x.scrape(), "process_resident_memory_bytes")
	check(t, "MiB resident", resident/(1<<20), 20, 25)
}

// TestGrowth measures what a token costs among few and many, in one account and in many, when none has its turn.
func TestGrowth(t *testing.T) {
	for _, perAccount := range []int{10, 5000} {
		costs := map[string][]float64{} // by what is done: microseconds per token, among 100 and among 5,000
		for _, tokens := range []int{100, 5000} {
			accounts := max(1, tokens/perAccount)
			x := startExporter(t, startAPI(t, tokens, accounts, onceEach(tokens/accounts), 0))
			x.awaitProbed()
			for what, do := range map[string]func(){
				"scrape": func() { x.scrape() },
				"page":   func() { x.Get("/") },
				"reload": func() { x.reload() },
				"save":   func() { x.save() },
			} {
				costs[what] = append(costs[what], median(measure(do))*1e6/float64(tokens))
			}
			x.Stop()
		}
		for what, perToken := range costs {
			t.Logf("%s, %d tokens per account: %.1f µs per token", what, perAccount, perToken)
			check(t, "cost of a token among 5,000, in that among 100", perToken[1]/perToken[0], 1.5, 4)
		}
	}
}

// exporter is the exporter over all tokens of an API. Those of the first tokens are in files.
type exporter struct {
	*harness.Exporter
	t             *testing.T
	tokens, saves int
}

const filed = 10

func startExporter(t *testing.T, api *api) *exporter {
	t.Helper()
	var config strings.Builder
	fmt.Fprintf(&config, "api_url: %s\ntls_config: {ca_file: %s}\n", api.url, api.ca.File)
	fmt.Fprintf(&config, "pacing: {quota_share: 1, assumed_daily_limit: %d}\ntokens:\n", api.limit)
	x := &exporter{harness.NewExporter(t), t, api.tokens, 0}
	for i := range api.tokens {
		source := "token: " + secretOf(i)
		if i < filed {
			source = fmt.Sprintf("token_file: file-%d", i)
			harness.Write(t, fmt.Sprintf("%s/file-%d", x.Dir, i), secretOf(i))
		}
		fmt.Fprintf(&config, "  - {name: token-%05d, account: account-%d, %s}\n", i, i%api.accounts, source)
	}
	x.WriteConfig(config.String())
	x.StateFile = filepath.Join(x.Dir, "state.json")
	x.Env = append(x.Env, sameTLS)
	x.Start()
	return x
}

// scrape scrapes as Prometheus does, with compression.
func (x *exporter) scrape() string {
	x.t.Helper()
	return get(x.t, x.URL("/metrics"))
}

// awaitProbed waits until each token has been probed and has no turn any more.
func (x *exporter) awaitProbed() {
	x.t.Helper()
	harness.Until(x.t, 5*time.Minute, func() error {
		before, _ := harness.Sum(x.scrape(), `appfigures_probes_total\{.*\}`)
		if after, _ := harness.Sum(x.scrape(), `appfigures_probes_total\{.*\}`); after < float64(x.tokens) || after > before {
			return fmt.Errorf("%v probes of %d tokens, then %v", before, x.tokens, after)
		}
		return nil
	})
}

func (x *exporter) reload() {
	if response, body, err := x.Request(http.MethodPost, "/-/reload"); err != nil || response.StatusCode != http.StatusOK {
		x.t.Errorf("reloading: %v, %v\n%s", response, err, body)
	}
}

// save changes the secret of a token, so that the next scrape probes it and saves the state before and after.
func (x *exporter) save() {
	harness.Write(x.t, fmt.Sprintf("%s/file-%d", x.Dir, x.saves), secretOf(changed+x.saves))
	x.saves++
	x.scrape()
}

// startBlackbox starts a blackbox_exporter with one module per token, as it needs, and returns what probes all of them.
func startBlackbox(t *testing.T, api *api, tokens int) (*harness.Process, func()) {
	t.Helper()
	var config strings.Builder
	config.WriteString("modules:\n")
	for i := range tokens {
		fmt.Fprintf(&config, "  token-%05d: {prober: http, http: {bearer_token: %s, tls_config: {ca_file: %s}}}\n",
			i, secretOf(i), api.ca.File)
	}
	file := filepath.Join(t.TempDir(), "blackbox.yml")
	harness.Write(t, file, config.String())
	binary := harness.Tool(t, "prometheus-blackbox-exporter", "apt-get install prometheus-blackbox-exporter")
	p := harness.StartProcess(t, "blackbox_exporter", exec.Command(binary,
		"--config.file="+file, "--web.listen-address=127.0.0.1:0"))
	address := p.AwaitListening()
	return p, func() {
		if err := forEach(tokens, func(i int) error {
			url := fmt.Sprintf("http://%s/probe?module=token-%05d&target=%s", address, i, api.url)
			body, err := read(http.Get(url))
			if err == nil && !strings.Contains(body, "\nprobe_success 1") {
				err = fmt.Errorf("a probe failed:\n%s", body)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// measure returns how many seconds each of nine rounds took, after one that does not count.
func measure(do func()) (took []float64) {
	do()
	for range filed - 1 {
		start := time.Now()
		do()
		took = append(took, time.Since(start).Seconds())
	}
	return took
}

// check logs a figure, and fails the test if it exceeds its limit.
func check(t *testing.T, what string, value, aim, limit float64) {
	t.Helper()
	if t.Logf("%s: %.2f, aim %g", what, value, aim); value > limit {
		t.Errorf("%s: %.2f exceeds the limit, %g", what, value, limit)
	}
}

// ratio returns the median over the rounds of a's measurement in b's.
func ratio(a, b []float64) float64 {
	ratios := make([]float64, len(a))
	for i := range ratios {
		ratios[i] = a[i] / b[i]
	}
	return median(ratios)
}

func median[T cmp.Ordered](values []T) T { return slices.Sorted(slices.Values(values))[len(values)/2] }
