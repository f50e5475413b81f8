package check

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

// maxNames is how many tokens the first line names.
const maxNames = 3

// nagiosWords are the words of the exit codes.
var nagiosWords = [...]string{OK: "OK", Warning: "WARNING", Critical: "CRITICAL", Unknown: "UNKNOWN"}

// nagiosLimits are the thresholds of the numbers of tokens, as warning;critical.
var nagiosLimits = map[status.State]string{
	status.Denied: ";0", status.Unknown: ";", status.Warning: "0;", status.Valid: ";",
}

// writeNagios writes the report in the form of the guidelines for monitoring plugins: the headline and the performance
// data on the first line, then one line per token that needs attention, one per account, and the note, if any. A '|'
// occurs only before performance data.
func writeNagios(out *bytes.Buffer, report status.Report, thresholds status.Thresholds, note string) {
	headline := noPipe(report.Headline + worstNames(report))
	fmt.Fprintf(out, "APPFIGURES %s - %s |", nagiosWords[exitCodes[report.State]], headline)
	for _, state := range status.States() {
		fmt.Fprintf(out, " %s=%d;%s;0;%d", state, report.Count(state), nagiosLimits[state], len(report.Tokens))
	}
	seen := make(map[string]int)
	for _, a := range report.Accounts {
		if a.Quota.Used == nil || a.Quota.Limit == nil {
			continue
		}
		label := perfLabel(a.Name)
		if seen[label]++; seen[label] > 1 {
			label = fmt.Sprintf("%s (%d)", label, seen[label])
		}
		warning := int64(thresholds.Quota * float64(*a.Quota.Limit))
		fmt.Fprintf(out, " '%s quota used'=%d;%d;;0;%d", label, *a.Quota.Used, warning, *a.Quota.Limit)
	}
	out.WriteByte('\n')
	for _, t := range report.WorstFirst() {
		if t.State == status.Valid {
			continue
		}
		lasting := t.Lasting(report.Time)
		if lasting != "" {
			lasting = " for " + lasting
		}
		text := fmt.Sprintf("%s%s: %s (%s)", strings.ToUpper(string(t.State)), lasting, t.Name, sentences(t))
		fmt.Fprintln(out, noPipe(text))
	}
	for _, a := range report.Accounts {
		fmt.Fprintln(out, noPipe("ACCOUNT: "+accountText(a)))
	}
	if note != "" {
		fmt.Fprintln(out, noPipe(note))
	}
}

// worstNames lists some of the tokens in the report's state, unless that is valid: " (etl, mobile, export, …)".
func worstNames(report status.Report) string {
	var names []string
	for _, t := range report.Tokens {
		if t.State == report.State && t.State != status.Valid {
			names = append(names, t.Name)
		}
	}
	switch {
	case len(names) == 0:
		return ""
	case len(names) > maxNames:
		names = append(names[:maxNames], "…")
	}
	return " (" + strings.Join(names, ", ") + ")"
}

// noPipe returns printable text without the character that begins performance data.
func noPipe(text string) string { return strings.ReplaceAll(printable(text), "|", "/") }

// perfLabel returns text as a label of performance data, which cannot contain an equals sign or a quote.
func perfLabel(text string) string {
	return strings.NewReplacer("=", "-", "'", "-").Replace(noPipe(text))
}
