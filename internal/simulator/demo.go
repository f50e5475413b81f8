package simulator

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

// actor is one token of the demo.
type actor struct {
	name, account, team string
	does                string // for the banner
	behavior            Behavior
	then                Behavior      // after some time
	after, cycle        time.Duration // when then begins, and when all starts over; 0: never
}

// actors lists all tokens of the demo, in the order of the configuration. Together they have every result of a probe
// and every state of a token.
var actors = []actor{
	{name: "reporting", account: "acme", team: "growth", does: "valid"},
	{name: "partner-feed", account: "acme", team: "partners", does: "valid, expires in 5 days"},
	{name: "warehouse", account: "acme", team: "data", does: "valid, slow", behavior: Slow},
	{name: "etl", account: "acme", team: "data", does: "valid for 20 s, then revoked for 60 s, again and again",
		then: Revoked, after: 20 * time.Second, cycle: 80 * time.Second},
	{name: "nightly", account: "acme", team: "data", does: "valid, but gets 503 for 50 s of each minute",
		then: ServerError, after: 10 * time.Second, cycle: time.Minute},
	{name: "backup", account: "acme", team: "data", does: "valid, but is denied once per 30 s",
		then: RevokedOnce, after: 15 * time.Second, cycle: 30 * time.Second},
	{name: "mobile-old", account: "acme", team: "mobile", does: "denied: rejected", behavior: Rejected},
	{name: "intern", account: "acme", team: "growth", does: "denied: forbidden", behavior: Forbidden},
	{name: "old-campaign", account: "acme", team: "growth", does: "denied: its user is locked", behavior: Disabled},
	{name: "export", account: "acme", team: "data", does: "unknown: timeout", behavior: Hang},
	{name: "office", account: "acme", team: "growth", does: "unknown: a proxy's page", behavior: ProxyPage},
	{name: "vpn", account: "acme", team: "mobile", does: "unknown: unreachable", behavior: Drop},
	{name: missing, account: "acme", team: "partners", does: "unknown: no token to read"},
	{name: "webhooks", account: "studio", team: "mobile", does: "valid; gets 429 for 35 s of each minute",
		then: RateLimited, after: 25 * time.Second, cycle: time.Minute},
	{name: "bulk-import", account: "agency", team: "data", does: "valid; 91% of its quota is used, all after a minute",
		then: QuotaExhausted, after: time.Minute},
}

// missing is the token without a source.
const missing = "forgotten"

// plenty is a daily limit at which a quarter of it probes each token every two seconds.
const plenty = 4_000_000

// secret returns the bearer token of the actor, which is not secret.
func (a actor) secret() string { return "pat_demo_" + a.name }

// at returns the actor's behavior after the demo has run for elapsed.
func (a actor) at(elapsed time.Duration) Behavior {
	if a.cycle > 0 {
		elapsed %= a.cycle
	}
	if a.after > 0 && elapsed >= a.after {
		return a.then
	}
	return a.behavior
}

// Demo is a simulated API on a loopback port, with tokens that change over time, and the configuration to watch them.
type Demo struct {
	Config *config.Config

	api    *API
	server http.Server
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// StartDemo starts the simulated API, which runs until Close. It listens on port 10188, so that commands can be
// repeated, or on any free port if that is in use.
func StartDemo(ctx context.Context) (*Demo, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:10188")
	if err != nil {
		listener, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("starting the simulated API: %w; the demo needs one free port on 127.0.0.1", err)
	}
	ctx, stop := context.WithCancel(ctx)
	d := &Demo{
		Config: demoConfig(listener.Addr().String()),
		api:    New(Options{DailyLimit: plenty, SlowDelay: 1500 * time.Millisecond, RetryAfter: 15 * time.Second}),
		stop:   stop,
	}
	d.server.Handler = d.api
	d.server.ReadHeaderTimeout = 10 * time.Second
	d.begin()
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

// demoConfig returns the configuration of an exporter that watches the tokens on the API at address.
func demoConfig(address string) *config.Config {
	cfg := &config.Config{
		APIURL:         &url.URL{Scheme: "http", Host: address, Path: "/v2/"},
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
		case "partner-feed":
			token.ExpiresAt = time.Now().UTC().Add(5*24*time.Hour + 12*time.Hour).Truncate(time.Second)
		}
		cfg.Tokens = append(cfg.Tokens, token)
	}
	return cfg
}

// begin sets the API to the start of the demo. Other programs use the accounts as well.
func (d *Demo) begin() {
	d.api.SetLimit("agency", 100_000)
	d.api.Use("agency", 91_000)
	for _, a := range actors {
		if a.name != missing {
			d.api.SetAccount(a.secret(), a.account)
			d.api.Set(a.secret(), a.behavior)
			d.api.Use(a.account, 100)
		}
	}
}

// play changes the API over time until ctx ends.
func (d *Demo) play(ctx context.Context) {
	start := time.Now()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for last := time.Duration(0); ; {
		select {
		case now := <-ticker.C:
			d.advance(last, now.Sub(start))
			last = now.Sub(start)
		case <-ctx.Done():
			return
		}
	}
}

// advance makes the changes between two times after the start. Each is made once, as RevokedOnce changes by itself.
func (d *Demo) advance(from, to time.Duration) {
	d.api.Use("acme", 5)
	for _, a := range actors {
		if a.at(from) != a.at(to) {
			d.api.Set(a.secret(), a.at(to))
		}
	}
}

// Banner returns the text that the demo prints, which fits a terminal: where to look, what to try, and what the tokens
// do. exporterURL is the exporter's status page, with a trailing slash.
func (d *Demo) Banner(exporterURL string) string {
	var b strings.Builder
	api := d.Config.APIURL.String()
	fmt.Fprintf(&b, "Demo: %d tokens on a simulated Appfigures API. Ctrl-C ends it.\n\n", len(actors))
	fmt.Fprintf(&b, "  Status page    %s\n", exporterURL)
	fmt.Fprintf(&b, "  Metrics        %smetrics\n", exporterURL)
	fmt.Fprintf(&b, "  Simulated API  %s  (from this host or container only)\n", api)
	fmt.Fprintf(&b, "  curl -H \"Authorization: Bearer %s\" %s\n\n", actors[0].secret(), api)
	for _, a := range actors {
		fmt.Fprintf(&b, "  %-13s%s\n", a.name, a.does)
	}
	return b.String()
}
