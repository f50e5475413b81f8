// Appfigures_exporter is a Prometheus exporter and health monitor for Appfigures API tokens. When it is scraped, it
// requests the API's root once with every configured token whose turn it is, and reports whether the token is valid,
// how long the API took, which HTTP status it sent, and how much of the account's quota is used.
//
// Usage:
//
//	appfigures_exporter [serve]       serve metrics on :10187 (the default)
//	appfigures_exporter check         print the state of every token
//	appfigures_exporter healthcheck   ask a running exporter whether it is healthy
//	appfigures_exporter demo          serve the exporter over a simulated API; needs no token
//
// This file defines the flags and wires the packages together; it decides nothing. See README.md.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"github.com/appfigures-exporter/appfigures_exporter/internal/check"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/exporter"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
	"github.com/appfigures-exporter/appfigures_exporter/internal/web"
)

func init() {
	kingpin.EnableFileExpansion = false // an argument @x would be replaced by the lines of a file
	log.SetOutput(io.Discard)           // only net/http logs there, what a server sends unasked; it may contain a token
	// The linker sets the version of releases. For others, the toolchain knows the one of git.
	if info, ok := debug.ReadBuildInfo(); ok && version.Version == "" {
		version.Version = cmp.Or(strings.TrimPrefix(strings.Trim(info.Main.Version, "()"), "v"), "devel")
	}
}

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

// program is one run of the command line, with the values of all flags.
type program struct {
	stdout, stderr io.Writer
	serving        exporter.Options // of serve and demo
	checking       check.Options

	configFile                  string
	configCheck, lookAgain      bool
	exporterURL, httpConfigFile string  // of check
	timeoutOffset, timeout      float64 // in seconds, as blackbox_exporter and monitoring plugins have them
}

// run executes the command line until it is done or ctx ends, and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	app := kingpin.New("appfigures_exporter", "Prometheus exporter and health monitor for Appfigures API tokens.")
	app.UsageWriter(stdout)
	app.HelpFlag.Short('h')
	app.Version(version.Print("appfigures_exporter"))
	terminated := false // by --help or --version
	app.Terminate(func(int) { terminated = true })
	p := &program{
		stdout: stdout, stderr: stderr,
		serving:  exporter.Options{Log: new(promslog.Config), Stderr: stderr},
		checking: check.Options{Stdout: stdout, Stderr: stderr},
	}
	p.define(app)
	command, err := app.Parse(args)
	if terminated {
		return 0
	}
	p.serving.Handler.TimeoutOffset = time.Duration(p.timeoutOffset * float64(time.Second))
	p.checking.Timeout = time.Duration(p.timeout * float64(time.Second))
	code := 0
	switch {
	case err != nil && strings.HasPrefix(err.Error(), "unexpected "):
		err = fmt.Errorf("%w; the commands are serve, check, healthcheck and demo; a switch such as "+
			"--config.auto-reload has no value, --no-config.auto-reload turns it off", err)
	case err != nil && strings.Contains(err.Error(), "ParseFloat"):
		err = errors.New("--timeout, --timeout-offset and --warn-quota are plain numbers; write 9 for 9 seconds")
	case err != nil:
		err = fmt.Errorf("%w; see appfigures_exporter --help", err)
	case p.configCheck:
		err = p.checkConfig()
	case command == "check":
		code, err = p.check(ctx)
	case command == "healthcheck":
		err = web.Healthcheck(ctx, (*p.serving.Web.WebListenAddresses)[0])
	case command == "demo":
		err = p.demo(ctx)
	default:
		err = p.serve(ctx)
	}
	if err != nil {
		code = p.checking.Fail(err) // all errors of the program leave by it: it redacts
		if !slices.Contains(args, "check") {
			code = 1
		}
	}
	return code
}

// define adds the flags and commands to app.
func (p *program) define(app *kingpin.Application) {
	app.Flag("config.file", "Configuration file. Default: config.yml in the working directory, else in "+
		"/etc/appfigures_exporter; without one, the token in $"+config.EnvToken+" or the file that $"+
		config.EnvTokenFile+" names.").PlaceHolder("FILE").StringVar(&p.configFile)
	app.Flag("config.check", "Validate the configuration and --web.config.file, warn of tokens that cannot be "+
		"read here, then exit.").BoolVar(&p.configCheck)
	app.Flag("config.auto-reload", "Reload the configuration when its file, or the list of files in token_dir, has "+
		"changed.").BoolVar(&p.serving.AutoReload)
	app.Flag("config.auto-reload-interval", "How often to look for changes with --config.auto-reload.").Default("30s").
		DurationVar(&p.serving.ReloadInterval)
	app.Flag("state.file", "Where to keep verdicts and used requests across restarts; \"none\": nowhere. "+
		"Default: in $STATE_DIRECTORY, /var/lib/appfigures_exporter, $XDG_STATE_HOME or ~/.local/state.").
		PlaceHolder("FILE").StringVar(&p.serving.StateFile)
	app.Flag("web.telemetry-path", "Path of the metrics.").Default("/metrics").
		StringVar(&p.serving.Handler.TelemetryPath)
	app.Flag("collector.tokens", "Probe all tokens on /metrics. --no-collector.tokens serves only the exporter's own "+
		"metrics; use it when scraping /probe.").Default("true").BoolVar(&p.serving.Handler.TokensOnMetrics)
	app.Flag("web.enable-pprof", "Serve Go's profiles under /debug/pprof/.").BoolVar(&p.serving.Handler.EnablePprof)
	app.Flag("timeout-offset", "Seconds to subtract from Prometheus' scrape timeout.").Default("0.5").
		Float64Var(&p.timeoutOffset)
	p.serving.Web = kingpinflag.AddFlags(app, ":10187")
	promslogflag.AddFlags(app, p.serving.Log)
	app.Command("serve", "Serve metrics and the status page (the default).").Default()
	c := app.Command("check", "Print the state of every token. Shares the state file and the request budget of serve, "+
		"so that cron may run it every minute. Exit codes: 0 all valid, 1 warning, 2 a token is denied, 3 no verdict.")
	c.Flag("output", "Format: "+strings.Join(check.Formats(), ", ")+".").Default("table").
		EnumVar((*string)(&p.checking.Format), check.Formats()...)
	c.Flag("token", "Name of a token to look at; repeatable. Default: all.").PlaceHolder("NAME").
		StringsVar(&p.checking.Tokens)
	c.Flag("now", "Probe tokens that are not valid now, if the budget allows: you have mended something.").
		BoolVar(&p.lookAgain)
	c.Flag("quiet", "Print only what is wrong.").BoolVar(&p.checking.Quiet)
	c.Flag("timeout", "Seconds that probes may take; then report what is known.").Short('t').Default("9").
		Float64Var(&p.timeout)
	c.Flag("exporter", "Load the state from this running exporter; makes no request to the API.").PlaceHolder("URL").
		StringVar(&p.exporterURL)
	c.Flag("http.config.file", "How to authenticate to --exporter and whom to trust, in the format of promtool's flag "+
		"of this name.").PlaceHolder("FILE").StringVar(&p.httpConfigFile)
	c.Flag("warn-expiry", "Warn of tokens that expire in less than this.").Default("14d").
		SetValue((*model.Duration)(&p.checking.Thresholds.Expiry))
	c.Flag("warn-quota", "Warn of accounts that have used more than this part of their daily quota.").Default("0.9").
		Float64Var(&p.checking.Thresholds.Quota)
	app.Command("healthcheck", "Ask the running exporter whether it is healthy. Says nothing about tokens.")
	app.Command("demo", "Serve the exporter over a simulated API with tokens in every state. Needs no token, "+
		"and ignores --config.file and --state.file.")
}

// serve runs the exporter over the configuration. SIGHUP reloads it; other commands end at that signal.
func (p *program) serve(ctx context.Context) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	at := config.Find(p.configFile)
	p.serving.Origin, p.serving.Load, p.serving.Fingerprint = at.String(), at.Load, at.Fingerprint
	p.serving.Hangups = hangups
	return exporter.Run(ctx, p.serving)
}

// demo runs the exporter over a simulated API, and scrapes it, so that its pages show something.
func (p *program) demo(ctx context.Context) error {
	d, err := simulator.StartDemo(ctx)
	if err != nil {
		return err
	}
	defer d.Close()
	p.serving.Origin, p.serving.Load, p.serving.AutoReload = "the demo's own", d.Load, false
	p.serving.StateFile, p.serving.ScrapeEvery = exporter.NoState, 5*time.Second
	address := (*p.serving.Web.WebListenAddresses)[0]
	_, _ = io.WriteString(p.stdout, d.Banner("http://localhost"+address[max(0, strings.LastIndex(address, ":")):]+"/"))
	return exporter.Run(ctx, p.serving)
}

// check prints the state of every token, and returns the exit code.
func (p *program) check(ctx context.Context) (code int, err error) {
	switch part := p.checking.Thresholds.Quota; {
	case !(part > 0 && part <= 1):
		return 0, fmt.Errorf("--warn-quota=%g is not above 0 and at most 1; use 0.9 for 90%%", part)
	case !(p.timeout > 0 && p.timeout <= 3600):
		return 0, fmt.Errorf("--timeout=%g is not above 0 and at most 3600 seconds", p.timeout)
	case p.exporterURL == "":
		return exporter.Check(ctx, p.checking, config.Find(p.configFile), p.serving.StateFile, p.lookAgain), nil
	case p.lookAgain:
		return 0, errors.New("--now does not work with --exporter: reload that exporter to look again")
	}
	if p.checking.Load, err = check.FromExporter(p.exporterURL, p.httpConfigFile); err != nil {
		return 0, err
	}
	return check.Run(ctx, p.checking), nil
}

// checkConfig validates the configuration and the web server's, and prints what is watched and what may not work here.
func (p *program) checkConfig() error {
	location := config.Find(p.configFile)
	cfg, err := location.Load()
	if err := errors.Join(err, web.CheckConfig(*p.serving.Web.WebConfigFile)); err != nil {
		return err
	}
	for _, warning := range slices.Concat(cfg.Warnings, cfg.Inspect(time.Now())) {
		_, _ = fmt.Fprintf(p.stderr, "warning: %s\n", warning)
	}
	_, _ = fmt.Fprintf(p.stdout, "Configuration from %s is valid (%s).\n", location,
		status.Plural(len(cfg.Tokens), "token"))
	if cfg.ProxyURL != nil {
		_, _ = fmt.Fprintf(p.stdout, "Probes go through the proxy %s.\n", cfg.ProxyURL.Host)
	}
	return nil
}
