// Appfigures_exporter is a Prometheus exporter and health monitor for Appfigures API tokens. On each scrape it calls
// the API's root once with every configured token, as far as pacing allows, and reports whether the token works, how
// long the API took, what it answered, and how much of the account's quota is used.
//
// Usage:
//
//	appfigures_exporter [serve]       serve metrics on :10187 (the default)
//	appfigures_exporter check         probe every token once and print what came of it
//	appfigures_exporter healthcheck   ask a running exporter whether it is healthy
//	appfigures_exporter demo          serve the exporter over a simulated API; needs no token
//
// This file holds the flags and wires the packages together; it decides nothing. See README.md.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/common/version"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"github.com/appfigures-exporter/appfigures_exporter/internal/check"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/web"
)

// Exit codes of all commands but check, which has those of monitoring plugins.
const (
	exitOK    = 0
	exitError = 1
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// checkCommand has exit codes of its own, also for a command line that is wrong.
const checkCommand = "check"

// flags holds the values of all flags.
type flags struct {
	configFile         *string
	configCheck        *bool
	autoReload         *bool
	autoReloadInterval *time.Duration
	telemetryPath      *string
	timeoutOffset      *seconds
	tokens             *bool
	pprof              *bool
	output             *string
	web                *toolkit.FlagConfig
	log                *promslog.Config
}

// program is one run of the command line.
type program struct {
	flags
	stdout, stderr io.Writer
	logger         *slog.Logger
	warned         []string // what was last warned of; loads, which come one after the other, use it
}

// run executes the command line until it is done or ctx ends, and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	stampVersion()
	app := kingpin.New("appfigures_exporter", "Prometheus exporter and health monitor for Appfigures API tokens.")
	app.UsageWriter(stdout)
	app.ErrorWriter(stderr)
	app.HelpFlag.Short('h')
	app.Version(version.Print("appfigures_exporter"))
	terminated := false // by --help or --version, which print and ask to exit
	app.Terminate(func(int) { terminated = true })

	p := program{flags: addFlags(app), stdout: stdout, stderr: stderr}
	serve := app.Command("serve", "Serve metrics and the status page (the default).").Default()
	checking := app.Command(checkCommand, "Probe every token once and print what came of it. Exit codes: 0 all valid, 1 warning, 2 a token is denied, 3 no verdict.")
	p.output = checking.Flag("output", "How to print: table or json.").Default("table").Enum("table", "json")
	healthcheck := app.Command("healthcheck", "Ask the running exporter whether it is healthy. Has nothing to do with whether tokens are valid.")
	demo := app.Command("demo", "Serve the exporter over a simulated API with tokens in every kind of state. Needs no token.")

	command, err := app.Parse(args)
	if terminated {
		return exitOK
	}
	if err != nil {
		fmt.Fprintf(stderr, "appfigures_exporter: %v; see appfigures_exporter --help\n", err)
		if len(args) > 0 && slices.Contains(args, checkCommand) {
			return check.Unknown
		}
		return exitError
	}
	p.log.Writer = stderr
	p.logger = promslog.New(p.log)
	if *p.configCheck && command != demo.FullCommand() {
		if command == checkCommand {
			return p.checkConfig(check.Unknown)
		}
		return p.checkConfig(exitError)
	}
	switch command {
	case serve.FullCommand():
		return p.serve(ctx)
	case checkCommand:
		return p.check(ctx)
	case healthcheck.FullCommand():
		return p.healthcheck(ctx)
	case demo.FullCommand():
		return p.demo(ctx)
	}
	return exitError
}

func addFlags(app *kingpin.Application) flags {
	f := flags{
		configFile:         app.Flag("config.file", "Configuration file. Without it: config.yml in the working directory, else the token in $"+config.EnvToken+".").PlaceHolder("FILE").String(),
		configCheck:        app.Flag("config.check", "Check the configuration and --web.config.file, and exit before any command does anything.").Bool(),
		autoReload:         app.Flag("config.auto-reload", "Reload the configuration when its file, or the list of files in token_dir, has changed.").Bool(),
		autoReloadInterval: app.Flag("config.auto-reload-interval", "How often to look for changes with --config.auto-reload.").Default("30s").Duration(),
		telemetryPath:      app.Flag("web.telemetry-path", "Path under which to serve metrics.").Default("/metrics").String(),
		timeoutOffset:      new(seconds(500 * time.Millisecond)),
		tokens:             app.Flag("collector.tokens", "Probe all tokens on /metrics. With --no-collector.tokens it has only the exporter's own metrics, for those who scrape /probe.").Default("true").Bool(),
		pprof:              app.Flag("web.enable-pprof", "Serve Go's profiles under /debug/pprof/.").Bool(),
		web:                kingpinflag.AddFlags(app, ":10187"),
		log:                &promslog.Config{},
	}
	app.Flag("timeout-offset", "What to take off the scrape timeout that Prometheus sends, to answer before it is over; in seconds, or as a duration.").
		Default("0.5").SetValue(f.timeoutOffset)
	promslogflag.AddFlags(app, f.log)
	return f
}

// seconds is a flag's value that is a number of seconds, as blackbox_exporter has it, or a duration as in "500ms".
type seconds time.Duration

// Set implements [kingpin.Value].
func (s *seconds) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		d, err = time.ParseDuration(text + "s")
	}
	if err != nil || d < 0 {
		return fmt.Errorf("%q is no time: use seconds, as in 0.5, or a duration, as in 500ms", text)
	}
	*s = seconds(d)
	return nil
}

// String implements [kingpin.Value].
func (s *seconds) String() string { return time.Duration(*s).String() }

// fail prints an error for a person, each of its lines whole, and returns code.
func (p *program) fail(err error, code int) int {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(p.stderr, "appfigures_exporter: %s\n", strings.TrimSuffix(line, "\n"))
	}
	return code
}

// healthcheck asks the exporter that was started with the same flags.
func (p *program) healthcheck(ctx context.Context) int {
	if err := web.Healthcheck(ctx, (*p.web.WebListenAddresses)[0], *p.web.WebConfigFile); err != nil {
		return p.fail(err, exitError)
	}
	return exitOK
}
