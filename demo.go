package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/demo"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// demoInterval is how often the demo scrapes itself, so that its pages show something without a Prometheus.
const demoInterval = 5 * time.Second

// errOwnConfig is the error of a demo that is given a configuration.
var errOwnConfig = errors.New("the demo has a configuration of its own; leave out --config.file, --config.check and --config.auto-reload")

// demo serves the exporter over a simulated API.
func (p *program) demo(ctx context.Context) int {
	if *p.configFile != "" || *p.configCheck || *p.autoReload {
		return p.fail(errOwnConfig, exitError)
	}
	d, err := demo.Start(ctx)
	if err != nil {
		return p.fail(err, exitError)
	}
	defer d.Close()
	return p.serveConfig(ctx, service{
		origin: "the demo's own",
		cfg:    d.Config(),
		load:   func() (*config.Config, error) { return d.Config(), nil },
		beside: func(ctx context.Context, at net.Addr, m *monitor.Monitor, _ *reloader) {
			fmt.Fprint(p.stdout, d.Banner(visitorURL(at.String())))
			demo.ScrapeEvery(ctx, demoInterval, func(ctx context.Context) {
				deadline, _ := ctx.Deadline()
				m.Scrape(ctx, deadline)
			})
		},
	})
}

// visitorURL returns what a browser on this machine opens to see an exporter that listens on address.
func visitorURL(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "http://" + address + "/"
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port) + "/"
}
