package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/demo"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// demoInterval is how often the demo scrapes itself, so that its pages show something without a Prometheus.
const demoInterval = 5 * time.Second

// demo serves the exporter over a simulated API.
func (p *program) demo(ctx context.Context) int {
	d, err := demo.Start(ctx)
	if err != nil {
		return p.fail(err, exitError)
	}
	defer d.Close()
	fmt.Fprint(p.stdout, d.Banner(visitorURL((*p.web.WebListenAddresses)[0])))
	load := func() (*config.Config, error) { return d.Config(), nil }
	return p.serveConfig(ctx, d.Config(), load, func(ctx context.Context, m *monitor.Monitor, _ *reloader) {
		demo.ScrapeEvery(ctx, demoInterval, func(ctx context.Context) {
			deadline, _ := ctx.Deadline()
			m.Scrape(ctx, deadline)
		})
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
