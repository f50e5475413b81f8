// Package check reports the state of every token to a person, a program, a monitoring system, or node_exporter. Its
// exit codes are those of monitoring plugins, so that cron jobs, Nagios, Icinga and shell scripts can act on them.
package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

// Exit codes, as the guidelines for monitoring plugins define them
// (https://www.monitoring-plugins.org/doc/guidelines.html, "Plugin Return Codes").
const (
	OK       = 0 // all tokens are valid
	Warning  = 1 // all are valid, but one expires soon or its account has used most of its quota
	Critical = 2 // a token is denied
	Unknown  = 3 // a token has no verdict, or the check itself failed
)

// exitCodes are the exit codes by the worst state.
var exitCodes = [status.NumStates]int{
	status.Denied: Critical, status.Unknown: Unknown, status.Warning: Warning, status.Valid: OK,
}

// Format is how the report is written.
type Format string

// The formats.
const (
	Table      Format = "table"      // for people
	JSON       Format = "json"       // for programs: the same as /api/v1/status
	Nagios     Format = "nagios"     // for monitoring systems
	Prometheus Format = "prometheus" // for node_exporter's textfile collector: the exposition of /metrics
)

// Formats lists all formats.
func Formats() []string {
	return []string{string(Table), string(JSON), string(Nagios), string(Prometheus)}
}

// Terminal is where text goes: a terminal, a file or a pipe.
type Terminal struct {
	io.Writer
	Is    bool // whether it is a terminal
	Width int  // of the terminal, in columns; 0 if not known
}

// Options is what a check needs.
type Options struct {
	// Load returns the state of the tokens.
	Load func(context.Context) (status.Report, error)
	// Exposition writes the same state as metrics; nil if Load cannot provide them.
	Exposition func(io.Writer) error
	Format     Format
	Tokens     []string // names to look at; none: all
	Quiet      bool     // print only what is wrong
	Thresholds status.Thresholds
	Note       string // for a person: at the end of [Nagios]; with [Table], on Stderr
	Stdout     Terminal
	Stderr     Terminal
	Getenv     func(string) string
}

// Run loads the state, writes it to o.Stdout, and returns the exit code.
func Run(ctx context.Context, o Options) int {
	if o.Format == Prometheus && o.Exposition == nil {
		return o.Fail(errors.New("--output=prometheus does not work with --exporter: " +
			"let Prometheus scrape the exporter's /metrics"))
	}
	if o.Format == Table && !o.Quiet && o.Stderr.Is {
		_, _ = fmt.Fprintln(o.Stderr, "Checking the tokens…")
	}
	report, err := o.Load(ctx)
	if err != nil {
		return o.Fail(err)
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
	code := exitCodes[parseState(report.State)]
	var text bytes.Buffer
	switch o.Format {
	case JSON:
		writeJSON(&text, report, o.Quiet)
	case Nagios:
		writeNagios(&text, report, o.Thresholds, o.Note)
	case Prometheus:
		if err := o.Exposition(&text); err != nil {
			return o.Fail(fmt.Errorf("making the metrics: %w", err))
		}
	default:
		writeTable(&text, report, o)
	}
	if _, err := o.Stdout.Write(text.Bytes()); err != nil { // in one piece, so that a reader sees all or nothing
		printError(o.Stderr, fmt.Errorf("writing the report: %w", err))
		return worse(code, Unknown)
	}
	if o.Note != "" && o.Format == Table && !o.Quiet {
		_, _ = fmt.Fprintln(o.Stderr, o.Note)
	}
	return code
}

// Fail prints why there is no report, and returns the exit code. Monitoring systems show standard output, so [Nagios]
// errors go there.
func (o Options) Fail(err error) int {
	if o.Format == Nagios {
		text := strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
		_, _ = fmt.Fprintf(o.Stdout, "APPFIGURES UNKNOWN - %s\n", noPipe(printable(text)))
	} else {
		printError(o.Stderr, err)
	}
	return Unknown
}

// printError prints each line of an error.
func printError(w io.Writer, err error) {
	for line := range strings.Lines(err.Error()) {
		_, _ = fmt.Fprintf(w, "appfigures_exporter: %s\n", printable(strings.TrimSuffix(line, "\n")))
	}
}

// worse returns the worse of two exit codes: 2, then 3, then 1.
func worse(a, b int) int {
	if a == Critical || b == Critical {
		return Critical
	}
	return max(a, b)
}

// parseState returns a state by its name; Unknown if there is no such state.
func parseState(name string) status.State {
	state, err := status.ParseState(name)
	if err != nil {
		return status.Unknown
	}
	return state
}

// styles returns whether to use colors: on terminals that know them, unless NO_COLOR is set (https://no-color.org).
func (o Options) styles() styles {
	return styles(o.Stdout.Is && o.Getenv("TERM") != "dumb" && o.Getenv("NO_COLOR") == "")
}

// Widths of the table, in columns.
const (
	standardWidth = 80  // of files, pipes, and terminals of unknown width
	minWidth      = 40  // holds the columns that are never left out, with 15 for names
	maxWidth      = 120 // longer lines are hard to read
)

// columns returns the width of the table. No line is wider.
func (t Terminal) columns() int {
	if !t.Is || t.Width <= 0 {
		return standardWidth
	}
	return min(max(t.Width, minWidth), maxWidth)
}
