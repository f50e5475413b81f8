// Package check reports the state of every token to a person, a program, a monitoring system, or node_exporter. It
// probes nothing: it renders what [Options.Load] returns, which internal/exporter makes of one scrape, or
// [FromExporter] of a running exporter's answer. All errors of the command leave by [Options.Fail].
package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

// Exit codes, as the guidelines for monitoring plugins define them
// (https://www.monitoring-plugins.org/doc/guidelines.html, "Plugin Return Codes").
const (
	OK       = 0 // all tokens are valid
	Warning  = 1 // all are valid, but one expires soon, its account has used most of its quota, or the API does not answer
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

// Options is what a check needs.
type Options struct {
	// Load returns the state of the tokens, and as metrics; nil metrics if it cannot provide them. When its context
	// ends, it returns what is known by then.
	Load       func(context.Context) (status.Report, []*dto.MetricFamily, error)
	Timeout    time.Duration // of Load; 0: none
	Format     Format
	Tokens     []string // names to look at; none: all
	Quiet      bool     // print only what is wrong
	Thresholds status.Thresholds
	Note       string // for a person: at the end of [Nagios]; with [Table], on Stderr
	Stdout     io.Writer
	Stderr     io.Writer
}

// Run loads the state, writes it to o.Stdout, and returns the exit code.
func Run(ctx context.Context, o Options) int {
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Timeout)
		defer cancel()
	}
	report, families, err := o.Load(ctx)
	if err != nil {
		return o.Fail(err)
	}
	if ctx.Err() != nil {
		o.Note = strings.TrimSpace(o.Note + " Stopped early: probes that have not ended are not in this report.")
	}
	if len(o.Tokens) > 0 {
		if missing := report.Select(o.Tokens); len(missing) > 0 {
			for i, name := range missing {
				missing[i] = strconv.Quote(name)
			}
			return o.Fail(fmt.Errorf("no token is named %s", strings.Join(missing, " or ")))
		}
	}
	if len(report.Tokens) == 0 {
		return o.Fail(errors.New("there are no tokens to check"))
	}
	report.Apply(o.Thresholds)
	text, err := o.render(report, families)
	if err != nil {
		return o.Fail(err)
	}
	code := exitCodes[report.State]
	if _, err := o.Stdout.Write(text); err != nil { // in one piece, so that a reader sees all or nothing
		o.Format = Table // errors to standard error
		if failed := o.Fail(fmt.Errorf("writing the report: %w", err)); code != Critical {
			code = failed
		}
		return code
	}
	if o.Note != "" && o.Format == Table && !o.Quiet {
		_, _ = fmt.Fprintln(o.Stderr, o.Note)
	}
	return code
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
