package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
)

// bareClient makes the requests that the exporter makes, and nothing else: it is the measure of what they must cost.
type bareClient struct {
	url       string
	tokens    int
	atOnce    int
	authority *x509.CertPool
}

// startBare starts a bare client and returns a function that lets it make its requests once.
func (b *bench) startBare(api simulated, l load) (*process, func() error, error) {
	p, err := start(b.ctx, b.self, bareRole, "-url="+api.address, "-certificate="+api.certificate,
		fmt.Sprint("-tokens=", l.tokens), fmt.Sprint("-at-once=", l.atOnce))
	if err != nil {
		return nil, nil, err
	}
	return p, func() error {
		_, err := read(http.Get("http://" + p.address))
		return err
	}, nil
}

// serveBare serves a bare client until the process is ended: each request to it makes one to the API for each token.
func serveBare(args []string) error {
	flags := flag.NewFlagSet(bareRole, flag.ExitOnError)
	client := bareClient{authority: x509.NewCertPool()}
	flags.StringVar(&client.url, "url", "", "the API's root")
	flags.IntVar(&client.tokens, "tokens", 0, "how many tokens to ask for")
	flags.IntVar(&client.atOnce, "at-once", 1, "how many requests may be under way at once")
	certificate := flags.String("certificate", "", "the API's certificate")
	_ = flags.Parse(args) // ends the process on an error
	encoded, err := os.ReadFile(*certificate)
	if err != nil {
		return err
	}
	client.authority.AppendCertsFromPEM(encoded)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("address=" + listener.Addr().String())
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := client.round(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
}

// round asks for each token once, over connections that are opened and closed with the round.
func (c bareClient) round() error {
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: c.authority},
		MaxIdleConnsPerHost: c.atOnce,
		MaxConnsPerHost:     c.atOnce, // as the exporter; without it the client would open more, and cost more
		Protocols:           new(http.Protocols),
	}
	transport.Protocols.SetHTTP1(true)
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	return each(c.tokens, c.atOnce, func(i int) error {
		request, err := http.NewRequest(http.MethodGet, c.url, nil)
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+secret(i))
		request.Header.Set("Accept", "application/json")
		_, err = read(client.Do(request))
		return err
	})
}

// each calls do for each number below n, so many at once, and returns the first error.
func each(n, atOnce int, do func(int) error) error {
	numbers := make(chan int)
	failed := make(chan error, 1)
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for i := range numbers {
				if err := do(i); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	workers.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
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
