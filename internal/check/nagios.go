package check

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

// writeNagios writes the report as the guidelines for monitoring plugins have it: a first line with the summary and the
// performance data, then a line per token that needs attention.
func writeNagios(out *bytes.Buffer, report status.Report, thresholds status.Thresholds) {
	word := map[int]string{OK: "OK", Warning: "WARNING", Critical: "CRITICAL", Unknown: "UNKNOWN"}[exitCodes[parseState(report.State)]]
	counts := countStates(report)
	fmt.Fprintf(out, "APPFIGURES %s - %s |", word, noPipe(summary(report)))
	for state, count := range counts {
		limits := map[status.State]string{status.Denied: ";;0", status.Unknown: ";;", status.Warning: ";0;"}[status.State(state)]
		fmt.Fprintf(out, " %s=%d%s", status.State(state), count, limits)
	}
	for _, a := range report.Accounts {
		if a.Quota.Used == nil || a.Quota.Limit == nil {
			continue
		}
		limit := *a.Quota.Limit
		fmt.Fprintf(out, " '%s quota used'=%d;%d;;0;%d", label(a.Name), *a.Quota.Used, int64(thresholds.Quota*float64(limit)), limit)
	}
	out.WriteByte('\n')
	for _, t := range report.Tokens {
		if parseState(t.State) != status.Valid {
			fmt.Fprintln(out, noPipe(printable(fmt.Sprintf("%s: %s (%s)", strings.ToUpper(t.State), t.Name, strings.Join(sentences(t), " ")))))
		}
	}
}

// noPipe replaces the character that begins the performance data.
func noPipe(text string) string { return strings.ReplaceAll(text, "|", "/") }

// label returns text as a label of the performance data, which cannot contain an equals sign or a quote.
func label(text string) string {
	return strings.NewReplacer("=", "-", "'", "-", "|", "/").Replace(printable(text))
}

// sentences returns what is known about a token that needs attention.
func sentences(t status.Token) []string {
	all := []string{t.Why}
	if t.Message != nil {
		all = append(all, "Message: "+*t.Message+".")
	}
	return append(all, t.Notes...)
}

// countStates counts the tokens by state.
func countStates(report status.Report) (counts [status.NumStates]int) {
	for _, t := range report.Tokens {
		counts[parseState(t.State)]++
	}
	return counts
}

// summary describes all tokens in one line.
func summary(report status.Report) string {
	counts := countStates(report)
	total := status.Plural(len(report.Tokens), "token")
	if counts[status.Valid] == len(report.Tokens) {
		return total + ", all valid"
	}
	var kinds []string
	for _, state := range status.States() {
		if counts[state] > 0 {
			kinds = append(kinds, fmt.Sprintf("%d %s", counts[state], state))
		}
	}
	return total + ": " + strings.Join(kinds, ", ")
}
