// Appfigures_exporter is a Prometheus exporter and health monitor for Appfigures API tokens. When it is scraped, it
// requests the API's root once with every configured token that is due, and reports whether the token is valid, how
// long the API took, which HTTP status it sent, and how much of the account's quota is used.
//
// Usage:
//
//	appfigures_exporter [serve]       serve metrics on :10187 (the default)
//	appfigures_exporter check         print the state of every token
//	appfigures_exporter healthcheck   ask a running exporter whether it is healthy
//	appfigures_exporter demo          serve the exporter over a simulated API; needs no token
//
// This file defines the flags and wires the packages together. See README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/common/version"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"
	"golang.org/x/term"

	"github.com/appfigures-exporter/appfigures_exporter/internal/check"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/demo"
	"github.com/appfigures-exporter/appfigures_exporter/internal/exporter"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
	"github.com/appfigures-exporter/appfigures_exporter/internal/web"
)

// Exit codes of all commands but check, which has those of monitoring plugins.
const (
	exitOK    = 0
	exitError = 1
)

const (
	checkCommand = "check"         // it has its own exit codes, also for a wrong command line
	demoInterval = 5 * time.Second // at which the demo scrapes itself, so that its pages show something
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// program is one run of the command line, with the values of all flags.
type program struct {
	stdout, stderr io.Writer

	configFile         *string
	configCheck        *bool
	autoReload         *bool
	autoReloadInterval *time.Duration
	stateFile          *string
	telemetryPath      *string
	timeoutOffset      seconds
	tokens             *bool
	pprof              *bool
	web                *toolkit.FlagConfig
	log                promslog.Config

	output       *string
	checkNames   *[]string
	fromExporter bool // whether --exporter is given
	quiet        *bool
	exporter     *string
	warnExpiry   days
	warnQuota    percent
}

// run executes the command line until it is done or ctx ends, and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	// net/http logs there what a server sends without a request, which may contain a token. Nothing else uses it.
	log.SetOutput(io.Discard)
	setVersion()
	app := kingpin.New("appfigures_exporter", "Prometheus exporter and health monitor for Appfigures API tokens.")
	app.UsageWriter(stdout)
	app.ErrorWriter(stderr)
	app.HelpFlag.Short('h')
	app.Version(version.Print("appfigures_exporter"))
	terminated := false // by --help or --version
	app.Terminate(func(int) { terminated = true })
	p := &program{stdout: stdout, stderr: stderr}
	commands := p.define(app)

	// Because serve is the default, kingpin takes a first word that is not complete for its argument.
	if len(args) == 2 && args[0] == "--completion-bash" && !strings.HasPrefix(args[1], "-") {
		args = args[:1] // all commands, from which the shell chooses
	}
	command, err := app.Parse(args)
	failure := exitError
	if command == checkCommand || err != nil && slices.Contains(args, checkCommand) {
		failure = check.Unknown
	}
	switch {
	case terminated:
		return exitOK
	case err != nil && failure == check.Unknown && wantsNagios(args):
		return check.Options{Format: check.Nagios, Stdout: terminal(stdout)}.Fail(explain(err))
	case err != nil:
		return p.fail(explain(err), failure)
	case *p.configCheck && command != "demo":
		err = p.checkConfig()
	case command == checkCommand:
		return p.check(ctx)
	default:
		err = commands[command](ctx)
	}
	if err != nil {
		return p.fail(err, failure)
	}
	return exitOK
}

// wantsNagios reports whether a command line that could not be parsed asks for that format.
func wantsNagios(args []string) bool {
	i := slices.Index(args, "--output")
	return slices.Contains(args, "--output=nagios") || i >= 0 && i+1 < len(args) && args[i+1] == "nagios"
}

// explain adds to an error of the command line what would be right.
func explain(err error) error {
	for problem, choices := range map[string][]string{
		"unexpected ":             {"serve", "check", "healthcheck", "demo"},
		"unrecognized log level ": promslog.LevelFlagOptions,
		"unrecognized log format": promslog.FormatFlagOptions,
	} {
		if strings.HasPrefix(err.Error(), problem) {
			return fmt.Errorf("%w; use one of %s", err, strings.Join(choices, ", "))
		}
	}
	return fmt.Errorf("%w; see appfigures_exporter --help", err)
}

// define adds the flags and commands to app, and returns what each command runs.
func (p *program) define(app *kingpin.Application) map[string]func(context.Context) error {
	p.configFile = app.Flag("config.file", "Configuration file. Default: config.yml in the working directory; without "+
		"one, the token in $"+config.EnvToken+".").PlaceHolder("FILE").String()
	p.configCheck = app.Flag("config.check", "Validate the configuration and --web.config.file, then exit.").Bool()
	p.autoReload = app.Flag("config.auto-reload", "Reload the configuration when its file, or the list of files in "+
		"token_dir, has changed.").Bool()
	p.autoReloadInterval = app.Flag("config.auto-reload-interval", "How often to look for changes with "+
		"--config.auto-reload.").Default("30s").Duration()
	p.stateFile = app.Flag("state.file", "Where to keep verdicts and used requests across restarts; \"none\": nowhere. "+
		"Default: in $STATE_DIRECTORY, /var/lib/appfigures_exporter, $XDG_STATE_HOME or ~/.local/state.").
		PlaceHolder("FILE").String()
	p.telemetryPath = app.Flag("web.telemetry-path", "Path of the metrics.").Default("/metrics").String()
	p.tokens = app.Flag("collector.tokens", "Probe all tokens on /metrics. --no-collector.tokens serves only the "+
		"exporter's own metrics; use it when scraping /probe.").Default("true").Bool()
	p.pprof = app.Flag("web.enable-pprof", "Serve Go's profiles under /debug/pprof/.").Bool()
	app.Flag("timeout-offset", "Time to subtract from Prometheus' scrape timeout, in seconds or as a duration such as "+
		"500ms.").Default("0.5").SetValue(&p.timeoutOffset)
	p.web = kingpinflag.AddFlags(app, ":10187")
	promslogflag.AddFlags(app, &p.log)

	app.Command("serve", "Serve metrics and the status page (the default).").Default()
	checking := app.Command(checkCommand, "Print the state of every token. Shares the state file and the request budget "+
		"of serve, so that cron may run it every minute. Exit codes: 0 all valid, 1 warning, 2 a token is denied, "+
		"3 no verdict.")
	p.output = checking.Flag("output", "Format: "+strings.Join(check.Formats(), ", ")+".").
		Default("table").Enum(check.Formats()...)
	p.checkNames = checking.Flag("token", "Name of a token to look at; repeatable. Default: all.").
		PlaceHolder("NAME").Strings()
	p.quiet = checking.Flag("quiet", "Print only what is wrong.").Bool()
	p.exporter = checking.Flag("exporter", "Load the state from this running exporter; makes no request to the API.").
		PlaceHolder("URL").IsSetByUser(&p.fromExporter).String()
	checking.Flag("warn-expiry", "Warn of tokens that expire in less than this.").
		Default("14d").SetValue(&p.warnExpiry)
	checking.Flag("warn-quota", "Warn of accounts that have used more than this part of their daily quota.").
		Default("90%").SetValue(&p.warnQuota)
	app.Command("healthcheck", "Ask the running exporter whether it is healthy. Says nothing about tokens.")
	app.Command("demo", "Serve the exporter over a simulated API with tokens in every state. Needs no token.")
	return map[string]func(context.Context) error{"serve": p.serve, "healthcheck": p.healthcheck, "demo": p.demo}
}

// serve runs the exporter over the user's configuration.
func (p *program) serve(ctx context.Context) error {
	location := config.Find(*p.configFile)
	o := p.options(location.String(), func() (*config.Config, []string, error) { return load(location) })
	o.State = func(ctx context.Context, cfg *config.Config, logger *slog.Logger) exporter.State {
		return exporter.OpenState(ctx, *p.stateFile, location.String(), os.Getenv, cfg, logger)
	}
	if *p.autoReload {
		o.Fingerprint, o.ReloadInterval = location.Fingerprint, *p.autoReloadInterval
	}
	return exporter.Run(ctx, o)
}

// demo runs the exporter over a simulated API.
func (p *program) demo(ctx context.Context) error {
	if *p.configFile != "" || *p.configCheck || *p.autoReload || *p.stateFile != "" && *p.stateFile != exporter.NoState {
		return errors.New("the demo has its own configuration and keeps no state; " +
			"leave out --config.file, --config.check, --config.auto-reload and --state.file")
	}
	d, err := demo.Start(ctx)
	if err != nil {
		return err
	}
	defer d.Close()
	o := p.options("the demo's own", func() (*config.Config, []string, error) { return d.Config(), nil, nil })
	o.OnListen = func(ctx context.Context, at net.Addr, m *monitor.Monitor) {
		fmt.Fprint(p.stdout, d.Banner(browserURL(at.String())))
		demo.ScrapeEvery(ctx, demoInterval, func(ctx context.Context) {
			deadline, _ := ctx.Deadline()
			m.Scrape(ctx, deadline)
		})
	}
	return exporter.Run(ctx, o)
}

// options returns what serve and demo have in common.
func (p *program) options(origin string, load func() (*config.Config, []string, error)) exporter.Options {
	return exporter.Options{
		Origin: origin, Load: load,
		Web: p.web, TelemetryPath: *p.telemetryPath, TimeoutOffset: time.Duration(p.timeoutOffset),
		TokensOnMetrics: *p.tokens, EnablePprof: *p.pprof, Log: &p.log, Stderr: p.stderr,
	}
}

// load loads the configuration, with all warnings about it.
func load(location config.Location) (*config.Config, []string, error) {
	cfg, warnings, err := location.Load()
	if err != nil {
		return nil, nil, err
	}
	return cfg, slices.Concat(warnings, monitor.Warnings(cfg)), nil
}

// checkConfig validates the configuration and that of the web server, and prints what may not work here.
func (p *program) checkConfig() error {
	location := config.Find(*p.configFile)
	cfg, warnings, err := load(location)
	if err := errors.Join(err, web.CheckConfig(*p.web.WebConfigFile)); err != nil {
		return err
	}
	p.warn(slices.Concat(warnings, cfg.Inspect(time.Now())))
	fmt.Fprintf(p.stdout, "Configuration from %s is valid (%s).\n", location, status.Plural(len(cfg.Tokens), "token"))
	return nil
}

// healthcheck asks the exporter that was started with the same flags.
func (p *program) healthcheck(ctx context.Context) error {
	return web.Healthcheck(ctx, (*p.web.WebListenAddresses)[0])
}

// check prints the state of every token.
func (p *program) check(ctx context.Context) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := check.Options{
		Format: check.Format(*p.output), Tokens: *p.checkNames, Quiet: *p.quiet,
		Thresholds: status.Thresholds{Expiry: time.Duration(p.warnExpiry), Quota: float64(p.warnQuota)},
		Stdout:     terminal(p.stdout), Stderr: terminal(p.stderr), Getenv: os.Getenv,
	}
	for _, name := range o.Tokens {
		if config.Redact(name) != name {
			return o.Fail(errors.New("--token takes the name of a token, never the token itself"))
		}
	}
	if p.fromExporter {
		fromExporter, err := check.FromExporter(*p.exporter)
		if err != nil {
			return o.Fail(err)
		}
		o.Load = fromExporter
		return check.Run(ctx, o)
	}
	return exporter.Check(ctx, o, config.Find(*p.configFile), *p.stateFile)
}

// warn prints warnings for a person, one line each.
func (p *program) warn(warnings []string) {
	for _, warning := range warnings {
		fmt.Fprintf(p.stderr, "warning: %s\n", warning)
	}
}

// fail prints an error for a person, and returns code.
func (p *program) fail(err error, code int) int {
	for line := range strings.Lines(config.Redact(err.Error())) {
		fmt.Fprintf(p.stderr, "appfigures_exporter: %s\n", strings.TrimSuffix(line, "\n"))
	}
	return code
}

// terminal returns where w writes to.
func terminal(w io.Writer) check.Terminal {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return check.Terminal{Writer: w}
	}
	width, _, _ := term.GetSize(int(file.Fd())) // 0 if not known
	return check.Terminal{Writer: w, Is: true, Width: width}
}

// browserURL returns what a browser on this machine opens to see an exporter that listens on address.
func browserURL(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "http://" + address + "/"
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port) + "/"
}

// setVersion sets the version that no linker flag has set to what the Go toolchain wrote into the binary: the release
// for `go install MODULE@VERSION`, a pseudo-version in a checkout.
func setVersion() {
	if version.Version != "" {
		return
	}
	version.Version = "devel"
	if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") {
		version.Version = strings.TrimPrefix(info.Main.Version, "v")
	}
}

// seconds is a flag's value: a number of seconds, as blackbox_exporter has it, or a duration such as 500ms.
type seconds time.Duration

// Set implements [kingpin.Value].
func (s *seconds) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		d, err = time.ParseDuration(text + "s")
	}
	if err != nil || d < 0 {
		return fmt.Errorf("invalid duration %q: use seconds (0.5) or a duration (500ms)", text)
	}
	*s = seconds(d)
	return nil
}

// String implements [kingpin.Value].
func (s *seconds) String() string { return time.Duration(*s).String() }

// days is a flag's value: a duration of Prometheus, such as 14d.
type days time.Duration

// Set implements [kingpin.Value].
func (d *days) Set(text string) error {
	parsed, err := model.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("invalid duration %q: use one such as 14d or 12h", text)
	}
	*d = days(parsed)
	return nil
}

// String implements [kingpin.Value].
func (d *days) String() string { return model.Duration(*d).String() }

// percent is a flag's value: a part of a whole, such as 90%, 90 or 0.9.
type percent float64

// Set implements [kingpin.Value].
func (p *percent) Set(text string) error {
	number, isPercentage := strings.CutSuffix(text, "%")
	part, err := strconv.ParseFloat(number, 64)
	if isPercentage || part > 1 {
		part /= 100
	}
	if err != nil || !(part > 0 && part <= 1) {
		return fmt.Errorf("invalid percentage %q: use one such as 90%%", text)
	}
	*p = percent(part)
	return nil
}

// String implements [kingpin.Value].
func (p *percent) String() string { return strconv.FormatFloat(float64(*p)*100, 'g', -1, 64) + "%" }
