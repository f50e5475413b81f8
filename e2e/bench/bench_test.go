// Package bench measures what the exporter costs, compared with the least that the same requests can cost. It needs
// Linux and takes some minutes:
//
//	cd e2e && go test -count=1 -v -timeout 0 ./bench
//
// The exporter, a bare net/http client that makes the same requests, blackbox_exporter if it is installed, and the
// simulated API behind TLS are processes of their own, so that the kernel measures the CPU time of each. They take
// turns on the same machine: a busy machine slows all of them, and ratios are medians over the rounds. A test fails if
// a figure exceeds its limit.
package bench

import (
	"cmp"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

var rounds = flag.Int("rounds", 7, "number of rounds to take the median of")

// role is the environment variable that makes the test binary be another program.
const role = "APPFIGURES_BENCH_ROLE"

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(role) {
	case "":
		harness.Main(m)
	case "api":
		err = serveAPI(os.Args[1:])
	case "bare":
		err = serveBare(os.Args[1:])
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// startRole starts this program in a role.
func startRole(t *testing.T, name string, args ...string) *harness.Process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), role+"="+name)
	return harness.StartProcess(t, name, cmd)
}

// load is the work of a measurement.
type load struct {
	tokens      int
	accounts    int           // of the tokens; 0: one
	concurrency int           // max_concurrency of the exporter
	latency     time.Duration // of the API
	minInterval time.Duration // between two probes of a token
	state       bool          // whether the exporter has a state file
}

// contender is one of the programs that make the same requests in turn.
type contender struct {
	*harness.Process
	name  string
	round func() time.Duration // makes one request per token
	cpu   []time.Duration      // of one request, by round
	took  []time.Duration      // by each round
}

// TestCPU measures the CPU time of one probe, its part of the exposition included. With 50 series per token in the text
// format of the client library, and the response decoded by encoding/json, the least is about 1.6 requests of a bare
// client, which decodes nothing and reports nothing.
func TestCPU(t *testing.T) {
	l := load{tokens: 1000, concurrency: 50}
	api := startAPI(t, l)
	contenders := []*contender{startExporter(t, api, l).contender, startBare(t, api, l)}
	if binary := findBlackbox(); binary != "" {
		contenders = append(contenders, startBlackbox(t, binary, api, l))
	}
	compare(contenders, l)
	for _, c := range contenders {
		t.Logf("CPU time of a request by %s: %s", c.name, median(c.cpu))
	}
	exporter, bare := contenders[0], contenders[1]
	check(t, "CPU time of a probe, in requests of a bare client", ratio(exporter.cpu, bare.cpu), 3)
	if len(contenders) == 3 {
		inBlackbox := ratio(exporter.cpu, contenders[2].cpu)
		check(t, "CPU time of a probe, in probes of blackbox_exporter", inBlackbox, 0.15) // the aim is 0.1
	} else {
		t.Log("blackbox_exporter is not installed: no comparison with it")
	}
}

// TestManyTokens measures scrapes of ten thousand tokens of one account.
func TestManyTokens(t *testing.T) {
	l := load{tokens: 10_000, concurrency: 1000, latency: 50 * time.Millisecond}
	api := startAPI(t, l)
	exporter, bare := startExporter(t, api, l), startBare(t, api, l)
	compare([]*contender{exporter.contender, bare}, l)
	t.Logf("scrape: %s; bare client: %s", median(exporter.took), median(bare.took))
	check(t, "duration of a scrape, in that of a bare client", ratio(exporter.took, bare.took), 2)        // the aim is 1.3
	check(t, "MiB resident at the peak", mebibytes(exporter.contender.Memory(harness.PeakResident)), 180) // the aim is 150
}

// TestLatency compares the latency that is reported with what the API sees, however many probes are under way at once.
func TestLatency(t *testing.T) {
	for _, tokens := range []int{1, 50, 1000} {
		for _, concurrency := range []int{1, 50, 300, 1000} {
			t.Run(fmt.Sprintf("tokens=%d/max_concurrency=%d", tokens, concurrency), func(t *testing.T) {
				l := load{tokens: tokens, concurrency: concurrency, latency: 50 * time.Millisecond}
				api := startAPI(t, l)
				exporter := startExporter(t, api, l)
				var reported, seen []float64
				for range max(1, min(*rounds, 100*concurrency/tokens)) { // one by one, 1,000 take a minute
					exporter.round()
					seen = append(seen, api.medianLatency(t))
					durations := valuesOf(t, exporter.exposition, "appfigures_probe_duration_seconds{")
					reported = append(reported, median(durations))
				}
				t.Logf("reported: %.3f s; seen by the API: %.3f s", median(reported), median(seen))
				check(t, "median latency, in that seen by the API", ratio(reported, seen), 1.3)
			})
		}
	}
}

// TestScrapeWithoutProbes measures scrapes when no token is due.
func TestScrapeWithoutProbes(t *testing.T) {
	l := load{tokens: 1000, concurrency: 50, minInterval: time.Hour}
	exporter := startExporter(t, startAPI(t, l), l)
	exporter.round() // probes
	var took []time.Duration
	for range *rounds {
		took = append(took, exporter.round())
	}
	check(t, "milliseconds per scrape", median(took).Seconds()*1000, 100) // the aim is 30
}

// TestGrowth measures what a token costs among few and many, in one account and in a thousand, when none is due. The
// cost must not grow with their number.
func TestGrowth(t *testing.T) {
	sizes := []int{100, 1000, 5000, 20_000}
	for _, accounts := range []int{1, 1000} {
		costs := make(map[string][]float64) // by what is done: microseconds per token, by size
		for _, tokens := range sizes {
			l := load{tokens: tokens, accounts: min(accounts, tokens), concurrency: 500, minInterval: time.Hour, state: true}
			x := startExporter(t, startAPI(t, l), l)
			x.round() // probes
			took := make(map[string][]time.Duration)
			measure := func(what string, do func()) {
				start := time.Now()
				do()
				took[what] = append(took[what], time.Since(start))
			}
			for range max(3, *rounds) {
				measure("scrape", func() { x.round() })
				measure("page", func() { request(t, http.MethodGet, x.URL("/")) })
				measure("reload", func() { request(t, http.MethodPost, x.URL("/-/reload")) })
				measure("scrape that saves the state", func() { x.round() })
			}
			for what, times := range took {
				costs[what] = append(costs[what], float64(median(times).Microseconds())/float64(tokens))
			}
			x.contender.Stop()
		}
		for what, perToken := range costs {
			t.Logf("%s, up to %d accounts: %.1f µs per token of %v", what, accounts, perToken, sizes)
			check(t, "cost of a token among 20,000, in that among 1,000", perToken[3]/perToken[1], 2)
		}
	}
}

// request makes a request, whose response must have status 200.
func request(t *testing.T, method, url string) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(http.DefaultClient.Do(r)); err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
}

// TestIdleMemory measures an exporter of ten tokens that is scraped now and then.
func TestIdleMemory(t *testing.T) {
	l := load{tokens: 10, concurrency: 50}
	exporter := startExporter(t, startAPI(t, l), l)
	for range 5 {
		exporter.round()
		time.Sleep(2 * time.Second)
	}
	check(t, "MiB resident", mebibytes(exporter.contender.Memory(harness.Resident)), 25) // the aim is 20
}

// check logs a figure, and fails the test if it exceeds its limit.
func check(t *testing.T, what string, value, limit float64) {
	t.Helper()
	if t.Logf("%s: %.2f, limit %g", what, value, limit); value > limit {
		t.Errorf("%s: %.2f exceeds the limit, %g", what, value, limit)
	}
}

// compare lets the contenders make their requests in turn, after one round that does not count. In a round each of them
// makes enough requests for the kernel's clock, which ticks 100 times per second.
func compare(contenders []*contender, l load) {
	const enough = 5000
	for round := range 1 + *rounds {
		for _, c := range contenders {
			repeat := max(1, enough/l.tokens)
			if c.name == blackbox {
				repeat = 1 // slow enough
			}
			for range repeat {
				if took := c.round(); round > 0 {
					c.took = append(c.took, took)
				}
			}
			if cpu := c.CPU(); round > 0 {
				c.cpu = append(c.cpu, cpu/time.Duration(repeat*l.tokens))
			}
		}
	}
}

// ratio returns the median over the rounds of a's measurement in b's.
func ratio[T time.Duration | float64](a, b []T) float64 {
	ratios := make([]float64, min(len(a), len(b)))
	for i := range ratios {
		ratios[i] = float64(a[i]) / float64(b[i])
	}
	return median(ratios)
}

func median[T cmp.Ordered](values []T) T { return slices.Sorted(slices.Values(values))[len(values)/2] }

func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// exporter is the exporter as a contender.
type exporter struct {
	*contender
	*harness.Exporter
	exposition string // of the last scrape
}

// startExporter starts the exporter over all tokens of the API. Only min_interval paces its probes.
func startExporter(t *testing.T, api *api, l load) *exporter {
	t.Helper()
	var config strings.Builder
	fmt.Fprintf(&config, "api_url: %s\ntls_config: {ca_file: %s}\nmax_concurrency: %d\n",
		api.url, api.ca.File, l.concurrency)
	fmt.Fprintf(&config, "pacing: {quota_share: 1, assumed_daily_limit: %d, min_interval: %s}\ntokens:\n",
		harness.Plenty, l.minInterval)
	for i := range l.tokens {
		fmt.Fprintf(&config, "  - {name: token-%05d, token: %s, account: account-%d}\n", i, secretOf(i), i%max(1, l.accounts))
	}
	running := harness.NewExporter(t)
	running.WriteConfig(config.String())
	if l.state {
		running.StateFile = filepath.Join(running.Dir, "state.json")
	}
	running.Start()
	x := &exporter{contender: &contender{Process: running.Process, name: "the exporter"}, Exporter: running}
	probes := 0.0
	x.round = func() (took time.Duration) {
		t.Helper()
		var err error
		if x.exposition, took, err = scrape(http.DefaultClient, running.URL("/metrics")); err != nil {
			t.Fatal(err)
		}
		if l.minInterval == 0 || probes == 0 {
			probes++
		}
		counts := valuesOf(t, x.exposition, `appfigures_probes_total{result="valid",`)
		if len(counts) != l.tokens || slices.Min(counts) != probes || slices.Max(counts) != probes {
			t.Fatalf("not each of %d tokens was found valid %v times", l.tokens, probes)
		}
		return took
	}
	return x
}

// valuesOf returns the values of all series that start with the prefix.
func valuesOf(t *testing.T, exposition, prefix string) []float64 {
	t.Helper()
	var values []float64
	for line := range strings.Lines(exposition) {
		if strings.HasPrefix(line, prefix) {
			value, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			values = append(values, value)
		}
	}
	return values
}

// findBlackbox returns the path of blackbox_exporter, or "" if there is none.
func findBlackbox() string {
	for _, name := range []string{blackbox, "prometheus-blackbox-exporter"} { // the second is Debian's
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

const blackbox = "blackbox_exporter"

// startBlackbox starts a blackbox_exporter with one module per token, as it needs.
func startBlackbox(t *testing.T, binary string, api *api, l load) *contender {
	t.Helper()
	var config strings.Builder
	config.WriteString("modules:\n")
	for i := range l.tokens {
		fmt.Fprintf(&config, "  token-%05d: {prober: http, http: {bearer_token: %s, tls_config: {ca_file: %s}}}\n",
			i, secretOf(i), api.ca.File)
	}
	file := filepath.Join(t.TempDir(), "blackbox.yml")
	harness.Write(t, file, config.String())
	cmd := exec.Command(binary, "--config.file="+file, "--web.listen-address=127.0.0.1:0")
	p := harness.StartProcess(t, blackbox, cmd)
	address := p.AwaitListening()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: l.concurrency}}
	return &contender{Process: p, name: blackbox, round: func() time.Duration {
		t.Helper()
		start := time.Now()
		if err := forEach(l.tokens, l.concurrency, func(i int) error {
			url := fmt.Sprintf("http://%s/probe?module=token-%05d&target=%s", address, i, api.url)
			exposition, _, err := scrape(client, url)
			if err == nil && !strings.Contains(exposition, "\nprobe_success 1") {
				err = fmt.Errorf("a probe failed:\n%s", exposition)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return time.Since(start)
	}}
}
