package appfigures_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// TestConnections checks that a session opens no more connections than it makes probes at once, also while all probes
// must share the first because the others are slow to open.
func TestConnections(t *testing.T) {
	const atOnce, probes = 4, 40
	var opened, handshakes, answered atomic.Int64
	enough := make(chan struct{}) // closed when the first connection has answered half of the probes
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if answered.Add(1) == probes/2 {
			close(enough)
		}
		_, _ = io.WriteString(w, `{"status":"200","user":{}}`)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if handshakes.Add(1) > 1 {
			<-enough
		}
		return nil, nil
	}}
	server.StartTLS()
	t.Cleanup(server.Close)
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())

	session := newSession(t, &config.Config{
		APIURL:  parseURL(t, server.URL+"/v2/"),
		TLS:     &tls.Config{RootCAs: trusted},
		Timeout: longTimeout, MaxConcurrency: atOnce,
	})
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for range probes / atOnce {
				outcome, err := session.Probe(t.Context(), config.NewSecret(sentinel))
				if err != nil || outcome.Result != probe.Valid {
					t.Errorf("result %s, %q, %v", outcome.Result, outcome.Message, err)
				}
			}
		})
	}
	workers.Wait()
	if n := opened.Load(); n > atOnce {
		t.Errorf("%d connections were opened for %d probes at once", n, atOnce)
	}
	if n := answered.Load(); n != probes {
		t.Errorf("the server got %d requests, want %d", n, probes)
	}
}

// TestConnectionsAreKept checks that the connections which probes at once had opened serve the next ones.
func TestConnectionsAreKept(t *testing.T) {
	const atOnce = 8
	var opened atomic.Int64
	var together sync.WaitGroup // of the requests at once
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		together.Done()
		together.Wait()
		_, _ = io.WriteString(w, `{"status":"200","user":{}}`)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	session := newSession(t, &config.Config{
		APIURL: parseURL(t, server.URL+"/v2/"), Timeout: longTimeout, MaxConcurrency: atOnce,
	})
	for range 5 {
		together.Add(atOnce)
		var probes sync.WaitGroup
		for range atOnce {
			probes.Go(func() {
				checkOutcome(t, probeWithin(t, session, sentinel, probe.Valid), probe.Valid, 200)
			})
		}
		probes.Wait()
	}
	if n := opened.Load(); n != atOnce {
		t.Errorf("%d connections were opened for %d probes at once, and again", n, atOnce)
	}
}

// BenchmarkProbe measures a probe on an open connection, the server's work included.
func BenchmarkProbe(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["X-Request-Limit"], w.Header()["X-Request-Usage"] = []string{"1000"}, []string{"125"}
		_, _ = io.WriteString(w, `{"status":"200","user":{"id":42},"usage":{"daily_used":125,"daily_limit":1000}}`)
	}))
	defer server.Close()
	root, err := url.Parse(server.URL + "/v2/")
	if err != nil {
		b.Fatal(err)
	}
	session := appfigures.NewSession(&config.Config{APIURL: root, Timeout: longTimeout, MaxConcurrency: 1}, "test")
	defer session.Close()
	b.ReportAllocs()
	for b.Loop() {
		outcome, err := session.Probe(b.Context(), config.NewSecret(sentinel))
		if err != nil || outcome.Result != probe.Valid {
			b.Fatal(outcome, err)
		}
	}
}
