package simulator

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

// actor is one token of the demo.
type actor struct {
	name, account, team string
	behavior            Behavior
	then                Behavior // in every other period; [Valid]: as before
}

// actors lists the tokens of the demo, in the order of the configuration. They have every state and every result.
var actors = []actor{
	{name: "reporting", account: "acme", team: "growth"},
	{name: expiring, account: "acme", team: "partners"},
	{name: "warehouse", account: "acme", team: "data", behavior: Slow},
	{name: "etl", account: "acme", team: "data", then: Revoked},
	{name: "nightly", account: "acme", team: "data", then: ServerError},
	{name: "mobile-old", account: "acme", team: "mobile", behavior: Rejected},
	{name: "intern", account: "acme", team: "growth", behavior: Forbidden},
	{name: "old-campaign", account: "acme", team: "growth", behavior: Locked},
	{name: "export", account: "acme", team: "data", behavior: Hang},
	{name: "office", account: "acme", team: "growth", behavior: ProxyPage},
	{name: "vpn", account: "acme", team: "mobile", behavior: Drop},
	{name: missing, account: "acme", team: "partners"},
	{name: "webhooks", account: "studio", team: "mobile", then: RateLimited},
	{name: "bulk-import", account: "agency", team: "data", then: QuotaExhausted},
}

const (
	expiring = "partner-feed" // the token that expires in five days
	missing  = "forgotten"    // the token without a source

	period = 30 * time.Second

	// plenty is a daily limit at which a quarter of it probes each token every two seconds.
	plenty = 4_000_000
)

// secret returns the bearer token of the actor, which is not secret.
func (a actor) secret() string { return "pat_demo_" + a.name }

// Demo is a simulated API on a loopback port, with tokens that change over time, and the configuration to watch them.
type Demo struct {
	api    *API
	url    *url.URL // of the API
	server *http.Server
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// StartDemo starts the simulated API, which runs until Close, on any free port.
func StartDemo(ctx context.Context) (*Demo, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the simulated API: %w; the demo needs one free port on 127.0.0.1", err)
	}
	ctx, stop := context.WithCancel(ctx)
	d := &Demo{
		api:  New(Options{DailyLimit: plenty, SlowDelay: 1500 * time.Millisecond, RetryAfter: 15 * time.Second}),
		url:  &url.URL{Scheme: "http", Host: listener.Addr().String(), Path: "/v2/"},
		stop: stop,
	}
	d.server = &http.Server{Handler: d.api, ReadHeaderTimeout: 10 * time.Second}
	d.api.SetLimit("agency", 100_000)
	d.api.Use("agency", 91_000)
	d.set(false)
	d.done.Go(func() { _ = d.server.Serve(listener) }) // ends with ErrServerClosed
	d.done.Go(func() { d.play(ctx) })
	return d, nil
}

// Close ends the simulated API and aborts requests under way.
func (d *Demo) Close() {
	d.stop()
	_ = d.server.Close()
	d.done.Wait()
}

// Load returns the configuration of an exporter that watches the tokens.
func (d *Demo) Load() (*config.Config, error) {
	cfg := &config.Config{
		APIURL:         d.url,
		Timeout:        3 * time.Second,
		MaxConcurrency: 50,
		Pacing: config.Pacing{
			QuotaShare: 0.25, AssumedDailyLimit: plenty, Reserve: 0.05, MinInterval: 2 * time.Second,
		},
	}
	for _, a := range actors {
		token := config.Token{
			Name: a.name, Account: a.account, Labels: []config.Label{{Name: "team", Value: a.team}},
			Source: config.InlineSource(config.NewSecret(a.secret())),
		}
		switch a.name {
		case missing:
			token.Source = config.EnvSource("APPFIGURES_DEMO_TOKEN_UNSET")
		case expiring:
			token.ExpiresAt = time.Now().UTC().Add(5*24*time.Hour + 12*time.Hour).Truncate(time.Second)
		}
		cfg.Tokens = append(cfg.Tokens, token)
	}
	return cfg, nil
}

// play changes the tokens every period until ctx ends.
func (d *Demo) play(ctx context.Context) {
	for changed := true; ; changed = !changed {
		select {
		case <-time.After(period):
			d.set(changed)
		case <-ctx.Done():
			return
		}
	}
}

// set sets the behavior of all tokens.
func (d *Demo) set(changed bool) {
	for _, a := range actors {
		behavior := a.behavior
		if changed && a.then != Valid {
			behavior = a.then
		}
		d.api.SetAccount(a.secret(), a.account)
		d.api.Set(a.secret(), behavior)
	}
}

// Banner returns the text that the demo prints: where to look, and what to try. exporterURL is the exporter's status
// page, with a trailing slash.
func (d *Demo) Banner(exporterURL string) string {
	return fmt.Sprintf("Demo: %d tokens on a simulated Appfigures API; some change every %s. Ctrl-C ends it.\n\n"+
		"  Status page    %s\n  Metrics        %[3]smetrics\n  Simulated API  %s with the token %s\n\n",
		len(actors), period, exporterURL, d.url, actors[0].secret())
}
