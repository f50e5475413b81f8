// Package check asks the API about every token once, and says what it found to a person, as a table, or to a program,
// as JSON. Its exit codes are those of monitoring plugins, so that cron jobs, Nagios, Icinga and shell scripts can act
// on them.
package check

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// Exit codes, as the guidelines for monitoring plugins define them
// (https://www.monitoring-plugins.org/doc/guidelines.html, "Plugin Return Codes").
const (
	OK       = 0 // all tokens are valid
	Warning  = 1 // all are valid, but one expires soon or its account has used most of its quota
	Critical = 2 // a token is denied
	Unknown  = 3 // a token got no verdict, or there was nothing to check with
)

// Format is how the findings are written.
type Format string

const (
	Table Format = "table" // for people
	JSON  Format = "json"  // for programs
)

// Scraper is a [monitor.Monitor] that has probed nothing yet.
type Scraper interface {
	Scrape(ctx context.Context, deadline time.Time, names ...string) monitor.Snapshot
}

// Screen is where text goes: a terminal, a file or a pipe.
type Screen struct {
	io.Writer
	Terminal bool
	Width    int // of the terminal, in columns; 0 when not known
}

// Options is all that a check needs.
type Options struct {
	Config  *config.Config // whose tokens the scraper watches
	Scraper Scraper
	Format  Format
	Stdout  Screen // for the findings
	Stderr  Screen // for the progress, and for the error when Stdout cannot be written to
	Getenv  func(string) string
}

// Run probes every token once, writes what it found to o.Stdout and returns the exit code. The end of ctx ends the
// check: tokens that have no result by then are shown so.
func Run(ctx context.Context, o Options) int {
	hide := func() {}
	if o.showsProgress() {
		hide = showProgress(o.Stderr, len(o.Config.Tokens))
	}
	snapshot := o.Scraper.Scrape(ctx, time.Now().Add(patience(o.Config)))
	hide()

	findings := examine(snapshot)
	var text string
	if o.Format == JSON {
		text = renderJSON(findings)
	} else {
		text = renderTable(findings, o.Stdout.columns(), o.palette())
	}
	verdict := worst(findings)
	if _, err := io.WriteString(o.Stdout, text); err != nil {
		_, _ = fmt.Fprintf(o.Stderr, "Writing the findings: %v\n", err)
		verdict = max(verdict, undecided)
	}
	return verdict.exitCode()
}

// maxPatience bounds a check, whatever the timeout and the number of tokens.
const maxPatience = 24 * time.Hour

// patience returns how long the check may take. In the worst case every probe takes the whole timeout: then the
// tokens are asked in waves of max_concurrency, after one more wave of those that go ahead to learn their accounts'
// limits. One timeout is to spare. The monitor begins no probe in the last tenth of the time it is given, so that the
// whole must be larger by a ninth.
func patience(cfg *config.Config) time.Duration {
	waves := (len(cfg.Tokens) + cfg.MaxConcurrency - 1) / cfg.MaxConcurrency
	needed := cfg.Timeout.Seconds() * float64(waves+2) * 10 / 9
	return time.Duration(min(needed, maxPatience.Seconds()) * float64(time.Second))
}

// showsProgress reports whether a person is there to watch: one who looks at a terminal, and did not ask for JSON to
// hand it to a program.
func (o Options) showsProgress() bool {
	return o.Stderr.Terminal && !o.isDumb() && (o.Format != JSON || o.Stdout.Terminal)
}

// palette returns the colours for the table: none off a terminal, and none where NO_COLOR (https://no-color.org)
// forbids them.
func (o Options) palette() palette {
	return palette(o.Stdout.Terminal && !o.isDumb() && o.Getenv("NO_COLOR") == "")
}

// isDumb reports whether the terminal knows no escape sequences.
func (o Options) isDumb() bool { return o.Getenv("TERM") == "dumb" }

// Widths of the table, in columns.
const (
	standardWidth = 80  // of files, pipes, and terminals of unknown width
	minWidth      = 64  // leaves 8 columns for names beside the widest cells that can be
	maxWidth      = 120 // above that lines are hard to read
)

// columns returns the width of the table. No line is wider.
func (s Screen) columns() int {
	if !s.Terminal || s.Width <= 0 {
		return standardWidth
	}
	return min(max(s.Width, minWidth), maxWidth)
}
