package bench

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

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
		err = serveBare(os.Args[1], os.Args[2], os.Args[3])
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
	cmd.Env = append(os.Environ(), role+"="+name, sameTLS)
	return harness.StartProcess(t, name, cmd)
}

// secretOf returns the secret of the i-th token.
func secretOf(i int) string { return fmt.Sprintf("pat_%028d", i) }

// sameTLS lets Go agree on keys as Debian's blackbox_exporter does, which is of 2023: without ML-KEM.
const sameTLS = "GODEBUG=tlsmlkem=0"

// concurrency is how many requests the bare client and blackbox_exporter make at once: the exporter's max_concurrency.
const concurrency = 10

// api is a simulated API.
type api struct {
	ca                      *harness.Authority
	url                     string
	tokens, accounts, limit int // the limit: requests per account and day
}

func startAPI(t *testing.T, tokens, accounts, limit int, latency time.Duration) *api {
	t.Helper()
	ca := harness.NewAuthority(t)
	identity := ca.Issue(t, "127.0.0.1")
	p := startRole(t, "api", fmt.Sprint("-tokens=", tokens), fmt.Sprint("-accounts=", accounts),
		fmt.Sprint("-limit=", limit), fmt.Sprint("-latency=", latency),
		"-cert="+identity.CertFile, "-key="+identity.KeyFile)
	return &api{ca, "https://" + p.AwaitListening() + "/v2/", tokens, accounts, limit}
}

// changed is the number from which secrets are in place of others, see exporter.save.
const changed = 1_000_000

// serveAPI serves the simulated API until the process is killed.
func serveAPI(args []string) error {
	flags := flag.NewFlagSet("api", flag.ExitOnError)
	tokens, accounts := flags.Int("tokens", 0, "number of tokens"), flags.Int("accounts", 0, "number of their accounts")
	limit := flags.Int64("limit", 0, "daily limit of an account")
	latency := flags.Duration("latency", 0, "delay of each response")
	cert, key := flags.String("cert", "", "certificate file"), flags.String("key", "", "key file")
	_ = flags.Parse(args) // exits on an error
	simulated := simulator.New(simulator.Options{Latency: *latency, DailyLimit: *limit})
	for i := range *tokens {
		account := fmt.Sprint(i % *accounts)
		simulated.SetAccount(secretOf(i), account)
		simulated.SetAccount(secretOf(changed+i), account)
	}
	listener, err := listen()
	if err != nil {
		return err
	}
	return http.ServeTLS(listener, simulated, *cert, *key)
}

// listen listens at any loopback port and prints it, as AwaitListening expects.
func listen() (net.Listener, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		fmt.Println("Listening on: address=" + listener.Addr().String())
	}
	return listener, err
}

// serveBare makes the requests of the exporter whenever it gets a request, and does nothing else, until it is killed:
// the least that they can cost, with a connection for each.
func serveBare(url, caFile, tokens string) error {
	count, countErr := strconv.Atoi(tokens)
	certificate, readErr := os.ReadFile(caFile)
	listener, err := listen()
	if err := errors.Join(countErr, readErr, err); err != nil {
		return err
	}
	trusting := &tls.Config{RootCAs: x509.NewCertPool()}
	trusting.RootCAs.AppendCertsFromPEM(certificate)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trusting, DisableKeepAlives: true}}
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := forEach(count, func(i int) error {
			request, err := http.NewRequest(http.MethodGet, url, nil)
			if err != nil {
				return err
			}
			request.Header.Set("Authorization", "Bearer "+secretOf(i))
			_, err = read(client.Do(request))
			return err
		}); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
}

// forEach calls do for each number below n, some at once, and returns an error if there is one.
func forEach(n int, do func(int) error) error {
	numbers, errs := make(chan int), make([]error, concurrency)
	var workers sync.WaitGroup
	for worker := range concurrency {
		workers.Go(func() {
			for i := range numbers {
				errs[worker] = errors.Join(errs[worker], do(i))
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	workers.Wait()
	return errors.Join(errs...)
}

// get returns the body of the response to a GET, as a Prometheus with a long scrape timeout makes it, with more headers
// given as name and value in turn. It unpacks the body unless they ask for an encoding.
func get(t *testing.T, url string, headers ...string) string {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "120")
	request.Header.Set("Accept", "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8")
	for pair := range slices.Chunk(headers, 2) {
		request.Header.Set(pair[0], pair[1])
	}
	body, err := read(http.DefaultClient.Do(request))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// read returns the body of a response with status 200.
func read(response *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}
