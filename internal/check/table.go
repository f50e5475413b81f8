package check

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

// writeTable writes the report for a person: the headline, a table of the tokens, worst first, what is known about
// those that need attention, and the accounts. If quiet, it leaves out what is valid.
func writeTable(out *bytes.Buffer, report status.Report, quiet bool) {
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
		writeRows(out, report, tokens)
		writeDetails(out, tokens)
	}
	if len(accounts) > 0 {
		fmt.Fprintln(out)
	}
	for _, a := range accounts {
		fmt.Fprintln(out, printable(accountText(a)))
	}
}

// writeRows writes one row per token. The columns are aligned for characters that take one column of a terminal.
func writeRows(out *bytes.Buffer, report status.Report, tokens []status.Token) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "STATE\tNAME\tACCOUNT\tSINCE\tRESULT\tHTTP\tPROBED\tNEXT")
	for _, t := range tokens {
		result, httpStatus, probed := "-", "-", "-"
		if t.Result != nil {
			result = printable(*t.Result)
		}
		if t.HTTPStatus != nil {
			httpStatus = strconv.Itoa(*t.HTTPStatus)
		}
		if t.ResultTime != nil {
			probed = status.Ago(*t.ResultTime, report.Time)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s ago\t%s\t%s\t%s\t%s\n", t.State, printable(t.Name), printable(t.Account),
			t.Lasting(report.Time), result, httpStatus, probed, t.Next(report.Time))
	}
	_ = table.Flush() // a buffer takes everything
}

// writeDetails writes what the rows do not show, and after the tokens with the same cause, what to do about it.
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
