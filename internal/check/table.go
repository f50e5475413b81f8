package check

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

// colors are parameters of SGR control sequences (ECMA-48, section 8.3.117). All have two digits, so that the columns
// stay aligned.
var colors = map[status.State]int{status.Denied: 31, status.Unknown: 33, status.Warning: 33, status.Valid: 32}

const plainColor = 39 // the terminal's own

// writeTable writes the report for a person: the headline, a table of the tokens, worst first, what is known about
// those that need attention, and the accounts. If quiet, it leaves out what is valid.
func writeTable(out *bytes.Buffer, report status.Report, quiet, color bool) {
	if quiet && report.State == status.Valid {
		return
	}
	tokens, accounts := report.WorstFirst(), slices.Clone(report.Accounts)
	if quiet {
		tokens = slices.DeleteFunc(tokens, func(t status.Token) bool { return t.State == status.Valid })
		accounts = slices.DeleteFunc(accounts, func(a status.Account) bool { return a.Held == nil })
	}
	fmt.Fprintln(out, printable(report.Headline))
	if len(tokens) > 0 {
		fmt.Fprintln(out)
		writeRows(out, report, tokens, color)
		writeDetails(out, tokens)
	}
	if len(accounts) > 0 {
		fmt.Fprintln(out)
	}
	for _, a := range accounts {
		fmt.Fprintln(out, printable("Account "+accountText(a)))
	}
}

// writeRows writes one row per token.
func writeRows(out *bytes.Buffer, report status.Report, tokens []status.Token, color bool) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(stateColor int, state string, cells ...string) {
		if color {
			state = fmt.Sprintf("\x1b[%dm%s\x1b[0m", stateColor, state)
		}
		fmt.Fprintln(table, strings.Join(append([]string{state}, cells...), "\t"))
	}
	row(plainColor, "STATE", "NAME", "ACCOUNT", "SINCE", "RESULT", "HTTP", "PROBED", "NEXT")
	for _, t := range tokens {
		since, result, httpStatus, probed := "-", "-", "-", "-"
		if lasting := t.Lasting(report.Time); lasting != "" {
			since = lasting + " ago"
		}
		if t.Result != nil {
			result = short(*t.Result)
		}
		if t.HTTPStatus != nil {
			httpStatus = strconv.Itoa(*t.HTTPStatus)
		}
		if t.ResultTime != nil {
			probed = status.Ago(*t.ResultTime, report.Time)
		}
		row(colors[t.State], string(t.State), short(t.Name), short(t.Account), since, result, httpStatus, probed,
			t.Next(report.Time))
	}
	_ = table.Flush() // a buffer takes everything
}

// writeDetails writes what the rows do not tell, and after the tokens with the same cause, what to do about it.
func writeDetails(out *bytes.Buffer, tokens []status.Token) {
	tokens = slices.DeleteFunc(tokens, func(t status.Token) bool { return sentences(t) == "" })
	for i, t := range tokens {
		if i == 0 || t.Cause != tokens[i-1].Cause {
			fmt.Fprintln(out)
		}
		fmt.Fprintln(out, printable(t.Name+": "+sentences(t)))
		if t.Advice != nil && (i == len(tokens)-1 || t.Cause != tokens[i+1].Cause) {
			fmt.Fprintln(out, printable("-> "+*t.Advice))
		}
	}
}
