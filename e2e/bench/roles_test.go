package bench

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// secretOf returns the secret of the i-th token.
func secretOf(i int) string { return fmt.Sprintf("pat_%028d", i) }

// api is a simulated API in a process of its own.
type api struct {
	ca  *harness.Authority
	url string
}

func startAPI(t *testing.T, l load) *api {
	t.Helper()
	ca := harness.NewAuthority(t)
	identity := ca.Issue(t, "127.0.0.1")
	p := startRole(t, "api", fmt.Sprint("-tokens=", l.tokens), fmt.Sprint("-latency=", l.latency),
		"-cert="+identity.CertFile, "-key="+identity.KeyFile)
	return &api{ca, "https://" + p.AwaitListening() + "/v2/"}
}

// medianLatency returns the median latency, in seconds, of the requests since the last call.
func (a *api) medianLatency(t *testing.T) float64 {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: a.ca.ClientConfig(t), DisableKeepAlives: true}}
	text, err := read(client.Get(a.url + latencyPath))
	if err != nil {
		t.Fatal(err)
	}
	seconds, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		t.Fatal(err)
	}
	return seconds
}

const latencyPath = "bench/latency"

// stopwatch measures the latency of requests as the API sees it: from the moment that it accepts a connection, or from
// the request if the connection was used before, to the end of the response.
type stopwatch struct {
	mu   sync.Mutex
	took []float64 // guarded by mu; seconds
}

// accepted is the key of the time at which a connection was accepted; zero after its first request.
type accepted struct{}

func (s *stopwatch) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/"+latencyPath {
			s.mu.Lock()
			defer s.mu.Unlock()
			fmt.Fprint(w, median(s.took))
			s.took = nil
			return
		}
		start := time.Now()
		if connection := r.Context().Value(accepted{}).(*time.Time); !connection.IsZero() {
			start, *connection = *connection, time.Time{}
		}
		next.ServeHTTP(w, r)
		took := time.Since(start).Seconds()
		s.mu.Lock()
		s.took = append(s.took, took)
		s.mu.Unlock()
	})
}

// serveAPI serves the simulated API until the process is killed.
func serveAPI(args []string) error {
	flags := flag.NewFlagSet("api", flag.ExitOnError)
	tokens := flags.Int("tokens", 0, "number of tokens")
	latency := flags.Duration("latency", 0, "delay of each response")
	cert := flags.String("cert", "", "certificate file")
	key := flags.String("key", "", "key file")
	_ = flags.Parse(args) // exits on an error

	simulated := simulator.New(simulator.Options{Latency: *latency, DailyLimit: harness.Plenty})
	for i := range *tokens {
		simulated.Set(secretOf(i), simulator.Valid)
	}
	listener, err := listen()
	if err != nil {
		return err
	}
	server := http.Server{
		Handler: new(stopwatch).wrap(simulated),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, accepted{}, new(time.Now()))
		},
	}
	return server.ServeTLS(listener, *cert, *key)
}

// listen listens at any loopback port and prints it, as AwaitListening expects.
func listen() (net.Listener, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		fmt.Println("Listening on: address=" + listener.Addr().String())
	}
	return listener, err
}

// bareClient makes the requests of the exporter and does nothing else: the least that they can cost.
type bareClient struct {
	url         string
	tokens      int
	concurrency int
	authority   *x509.CertPool
}

// startBare starts a bare client, which makes its requests whenever it gets one.
func startBare(t *testing.T, api *api, l load) *contender {
	t.Helper()
	p := startRole(t, "bare", "-url="+api.url, "-ca="+api.ca.File,
		fmt.Sprint("-tokens=", l.tokens), fmt.Sprint("-concurrency=", l.concurrency))
	address := p.AwaitListening()
	return &contender{Process: p, name: "a bare client", round: func() time.Duration {
		t.Helper()
		start := time.Now()
		if _, err := read(http.Get("http://" + address)); err != nil {
			t.Fatal(err)
		}
		return time.Since(start)
	}}
}

// serveBare serves a bare client until the process is killed.
func serveBare(args []string) error {
	flags := flag.NewFlagSet("bare", flag.ExitOnError)
	client := bareClient{authority: x509.NewCertPool()}
	flags.StringVar(&client.url, "url", "", "root of the API")
	flags.IntVar(&client.tokens, "tokens", 0, "number of requests per round")
	flags.IntVar(&client.concurrency, "concurrency", 1, "number of requests at once")
	ca := flags.String("ca", "", "certificate file of the API's authority")
	_ = flags.Parse(args) // exits on an error
	certificate, err := os.ReadFile(*ca)
	if err != nil {
		return err
	}
	client.authority.AppendCertsFromPEM(certificate)
	listener, err := listen()
	if err != nil {
		return err
	}
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := client.round(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
}

// round makes one request per token, over connections of its own.
func (c bareClient) round() error {
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: c.authority},
		MaxIdleConnsPerHost: c.concurrency,
		MaxConnsPerHost:     c.concurrency, // otherwise it opens more, which costs more
		Protocols:           new(http.Protocols),
	}
	transport.Protocols.SetHTTP1(true)
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	return forEach(c.tokens, c.concurrency, func(i int) error {
		request, err := http.NewRequest(http.MethodGet, c.url, nil)
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+secretOf(i))
		request.Header.Set("Accept", "application/json")
		_, err = read(client.Do(request))
		return err
	})
}

// forEach calls do for each number below n, up to concurrency at once, and returns the first error.
func forEach(n, concurrency int, do func(int) error) error {
	numbers := make(chan int)
	errs := make([]error, concurrency)
	var workers sync.WaitGroup
	for worker := range concurrency {
		workers.Go(func() {
			for i := range numbers {
				if err := do(i); err != nil {
					errs[worker] = err
				}
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	workers.Wait()
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return errs[i]
	}
	return nil
}

// read returns the body of a response with status 200.
func read(response *http.Response, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return body, err
}

// prometheusHeader is what Prometheus 3 sends.
var prometheusHeader = http.Header{
	"Accept": {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6," +
		"application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4," +
		"text/plain;version=0.0.4;q=0.3,*/*;q=0.2"},
	"Accept-Encoding":                     {"gzip"},
	"User-Agent":                          {"Prometheus/3.5.0"},
	"X-Prometheus-Scrape-Timeout-Seconds": {"120"},
}

// scrape scrapes as Prometheus does. It returns the exposition, and how long it took to arrive.
func scrape(client *http.Client, url string) (exposition string, took time.Duration, err error) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return "", 0, err
	}
	request.Header = prometheusHeader
	start := time.Now()
	compressed, err := read(client.Do(request))
	took = time.Since(start)
	if err != nil {
		return "", 0, err
	}
	text, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return "", 0, err
	}
	all, err := io.ReadAll(text)
	return string(all), took, err
}
