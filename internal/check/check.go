// Package check reports the state of every token to a person, a program, a monitoring system, or node_exporter. It
// probes nothing: it renders what [Options.Load] returns, which internal/exporter makes of one scrape, or
// [FromExporter] of a running exporter's answer. All errors of the program leave by [Options.Fail].
package check

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

// Exit codes of monitoring plugins (https://www.monitoring-plugins.org/doc/guidelines.html, "Plugin Return Codes").
const (
	OK       = 0 // all tokens are valid
	Warning  = 1 // all are valid, but one expires soon, a quota is nearly used up, or the API does not answer
	Critical = 2 // a token is denied
	Unknown  = 3 // a token has no verdict, or the check itself failed
)

// exitCodes are the exit codes by the report's state.
var exitCodes = map[status.State]int{
	status.Denied: Critical, status.Unknown: Unknown, status.Warning: Warning, status.Valid: OK,
}

// Format is how the report is written.
type Format string

// The formats.
const (
	Table      Format = "table"      // for people
	JSON       Format = "json"       // for programs: the same as /api/v1/status
	Nagios     Format = "nagios"     // for monitoring systems
	Prometheus Format = "prometheus" // for node_exporter's textfile collector
)

// Formats lists all formats.
func Formats() []string {
	return []string{string(Table), string(JSON), string(Nagios), string(Prometheus)}
}

// Loader returns the state of the tokens, and as metrics; nil metrics if it cannot provide them. When its context ends,
// it returns what is known by then.
type Loader func(context.Context) (status.Report, []*dto.MetricFamily, error)

// Options is what a check needs.
type Options struct {
	Load       Loader
	Timeout    time.Duration // of Load
	Format     Format
	Tokens     []string // names to look at; none: all
	Quiet      bool     // with [Table]: print only what is wrong
	Thresholds status.Thresholds
	Note       string // for a person: at the end of [Nagios]; with [Table], on Stderr unless Quiet
	Stdout     io.Writer
	Stderr     io.Writer
}

// Run loads the state, writes it to o.Stdout, and returns the exit code.
func Run(ctx context.Context, o Options) int {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	report, families, err := o.Load(ctx)
	if err != nil {
		return o.Fail(err)
	}
	if ctx.Err() != nil {
		o.Note = strings.TrimSpace(o.Note + " Stopped early: probes that have not ended are not in this report.")
	}
	if err := choose(&report, o.Tokens); err != nil {
		return o.Fail(err)
	}
	report.Apply(o.Thresholds)
	text, err := o.render(report, families)
	if err != nil {
		return o.Fail(err)
	}
	if _, err := o.Stdout.Write(text); err != nil { // in one piece, so that a reader sees all or nothing
		return o.Fail(fmt.Errorf("writing the report: %w", err))
	}
	if o.Note != "" && o.Format == Table && !o.Quiet {
		_, _ = fmt.Fprintln(o.Stderr, o.Note)
	}
	return exitCodes[report.State]
}

// choose removes all but the named tokens and their accounts from the report, unless there are no names.
func choose(report *status.Report, names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(report.Tokens, func(t status.Token) bool { return t.Name == name }) {
			return fmt.Errorf("no token is named %q", name)
		}
	}
	report.Tokens = slices.DeleteFunc(report.Tokens, func(t status.Token) bool {
		return len(names) > 0 && !slices.Contains(names, t.Name)
	})
	report.Accounts = slices.DeleteFunc(report.Accounts, func(a status.Account) bool {
		return !slices.ContainsFunc(report.Tokens, func(t status.Token) bool { return t.Account == a.Name })
	})
	return nil
}

// Fail prints why there is no report, and returns the exit code. Monitoring systems show standard output, so [Nagios]
// errors go there. What may be a token is redacted: an error can quote the command line.
func (o Options) Fail(err error) int {
	text := config.Redact(strings.TrimSpace(err.Error()))
	if o.Format == Nagios {
		_, _ = fmt.Fprintf(o.Stdout, "APPFIGURES UNKNOWN - %s\n", noPipe(strings.ReplaceAll(text, "\n", "; ")))
		return Unknown
	}
	for line := range strings.SplitSeq(text, "\n") {
		_, _ = fmt.Fprintf(o.Stderr, "appfigures_exporter: %s\n", printable(line))
	}
	return Unknown
}
