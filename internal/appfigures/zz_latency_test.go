package appfigures_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(0, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestZZLatency(t *testing.T) {
	pem, err := os.ReadFile("/tmp/lat_ca.pem")
	if err != nil {
		t.Skip()
	}
	n, _ := strconv.Atoi(os.Getenv("N"))
	c, _ := strconv.Atoi(os.Getenv("C"))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	tlsc := &tls.Config{RootCAs: pool}
	cl := &http.Client{Transport: &http.Transport{TLSClientConfig: tlsc}}
	stats := func() string {
		r, err := cl.Get("https://127.0.0.1:18443/stats")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return string(b)
	}
	for range 3 {
		stats()
		// bare
		bare := &http.Client{Transport: &http.Transport{TLSClientConfig: tlsc.Clone(), MaxIdleConnsPerHost: c, MaxConnsPerHost: c}}
		slots := make(chan struct{}, c)
		var wg sync.WaitGroup
		c0, begin := cpu(), time.Now()
		for range n {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				req, _ := http.NewRequestWithContext(context.Background(), "GET", "https://127.0.0.1:18443/v2/", nil)
				r, err := bare.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, r.Body)
				r.Body.Close()
			})
		}
		wg.Wait()
		fmt.Printf("bare: %v cpu %v; %s\n", time.Since(begin).Round(time.Millisecond), (cpu() - c0).Round(time.Millisecond), stats())
		bare.CloseIdleConnections()

		s := appfigures.NewSession(&config.Config{APIURL: parseURL(t, "https://127.0.0.1:18443/v2/"), TLS: tlsc.Clone(), Timeout: 30 * time.Second, MaxConcurrency: c}, "x")
		durations := make([]time.Duration, n)
		phases := make([]probe.Phases, n)
		c0, begin = cpu(), time.Now()
		for i := range n {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				o, err := s.Probe(context.Background(), config.NewSecret("pat_x"))
				if err != nil || o.Result != probe.Valid {
					t.Error(o, err)
				}
				durations[i], phases[i] = o.Duration, o.Phases
			})
		}
		wg.Wait()
		took := time.Since(begin)
		used := cpu() - c0
		s.Close()
		slices.Sort(durations)
		var tl []time.Duration
		for _, p := range phases {
			if p[probe.TLS] > 0 {
				tl = append(tl, p[probe.TLS])
			}
		}
		slices.Sort(tl)
		fmt.Printf("ours: %v cpu %v; p50 %v p90 %v p99 %v max %v; %d handshakes p50 %v max %v; %s\n", took.Round(time.Millisecond), used.Round(time.Millisecond), durations[n/2].Round(time.Millisecond), durations[n*9/10].Round(time.Millisecond), durations[n*99/100].Round(time.Millisecond), durations[n-1].Round(time.Millisecond), len(tl), tl[len(tl)/2], tl[len(tl)-1], stats())
	}
}
