// Package demo runs a simulated API on a loopback port with tokens in every state, some of which change over time, and
// has the configuration to watch them with.
package demo

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// preferredAddress is where the simulated API listens, so that commands can be repeated. If it is in use, the API
// listens on any free port.
const preferredAddress = "127.0.0.1:10188"

// step is the time between two changes of the scenario.
const step = time.Second

// Demo is a running demo.
type Demo struct {
	api    *simulator.API
	server http.Server
	url    *url.URL
	start  time.Time
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// Start starts the simulated API and its scenario. Both run until Close; the scenario stops changing when ctx ends.
func Start(ctx context.Context) (*Demo, error) {
	listener, err := listen(ctx)
	if err != nil {
		return nil, fmt.Errorf("starting the simulated API: %w; the demo needs one free port on 127.0.0.1", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	d := &Demo{
		api:    simulator.New(simulator.Options{DailyLimit: plenty, SlowDelay: slowDelay, RetryAfter: retryAfter}),
		url:    &url.URL{Scheme: "http", Host: listener.Addr().String(), Path: "/v2/"},
		start:  time.Now(),
		cancel: cancel,
	}
	changes := newScenario(d.api, d.start)
	d.server.Handler = d.api
	d.server.ReadHeaderTimeout = 10 * time.Second
	d.done.Go(func() { _ = d.server.Serve(listener) }) // ends with ErrServerClosed
	d.done.Go(func() { changes.run(ctx) })
	return d, nil
}

// run advances the scenario until ctx ends.
func (s *scenario) run(ctx context.Context) {
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			s.advance(now)
		case <-ctx.Done():
			return
		}
	}
}

func listen(ctx context.Context) (net.Listener, error) {
	var config net.ListenConfig
	if listener, err := config.Listen(ctx, "tcp", preferredAddress); err == nil {
		return listener, nil
	}
	return config.Listen(ctx, "tcp", "127.0.0.1:0")
}

// Close ends the scenario and the simulated API, and waits for both. It aborts requests under way.
func (d *Demo) Close() {
	d.cancel()
	_ = d.server.Close()
	d.done.Wait()
}

// APIURL returns the root of the simulated API, with a trailing slash.
func (d *Demo) APIURL() string { return d.url.String() }

// Config returns the configuration of an exporter that watches the demo's tokens.
func (d *Demo) Config() *config.Config {
	root := *d.url
	cfg := &config.Config{
		APIURL:         &root,
		Timeout:        3 * time.Second,
		MaxConcurrency: 50,
		Pacing: config.Pacing{
			QuotaShare: 0.25, AssumedDailyLimit: 1000, Reserve: 0.05, MinInterval: 2 * time.Second,
		},
	}
	for _, a := range actors {
		token := config.Token{
			Name:    a.name,
			Account: a.account,
			Source:  config.InlineSource(config.NewSecret(a.secret())),
			Labels:  []config.Label{{Name: "team", Value: a.team}},
		}
		if a.missing {
			token.Source = config.EnvSource("APPFIGURES_DEMO_TOKEN_UNSET")
		}
		if a.expires > 0 {
			token.ExpiresAt = d.start.Add(a.expires).UTC().Truncate(time.Second)
		}
		cfg.Tokens = append(cfg.Tokens, token)
	}
	return cfg
}

// ScrapeEvery calls scrape at once and then at each interval until ctx ends, like a Prometheus server: the exporter
// probes only when it is scraped. The context of a scrape ends with its interval. A longer scrape delays the next.
func ScrapeEvery(ctx context.Context, interval time.Duration, scrape func(context.Context)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		scrapeOnce(ctx, interval, scrape)
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

func scrapeOnce(ctx context.Context, timeout time.Duration, scrape func(context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	scrape(ctx)
}
