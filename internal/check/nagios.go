package check

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

// nagiosWords are the words of the exit codes.
var nagiosWords = [...]string{OK: "OK", Warning: "WARNING", Critical: "CRITICAL", Unknown: "UNKNOWN"}

// writeNagios writes the report in the form of the guidelines for monitoring plugins: the headline and the performance
// data on the first line, then one line per token that needs attention, one per account, and the note, if any. A '|'
// occurs only before performance data.
func writeNagios(out *bytes.Buffer, report status.Report, thresholds status.Thresholds, note string) {
	headline := noPipe(report.Headline + worstNames(report))
	fmt.Fprintf(out, "APPFIGURES %s - %s |", nagiosWords[exitCodes[report.State]], headline)
	for _, state := range status.States() {
		fmt.Fprintf(out, " %s=%d;;;0;%d", state, report.Count(state), len(report.Tokens))
	}
	seen := make(map[string]int)
	for _, a := range report.Accounts {
		if a.Quota.Used == nil || a.Quota.Limit == nil {
			continue
		}
		label := strings.NewReplacer("=", "-", "'", "-").Replace(noPipe(a.Name)) // as labels cannot contain these
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
		state, lasting := strings.ToUpper(string(t.State)), t.Lasting(report.Time)
		fmt.Fprintln(out, noPipe(fmt.Sprintf("%s for %s: %s (%s)", state, lasting, t.Name, sentences(t))))
	}
	for _, a := range report.Accounts {
		fmt.Fprintln(out, noPipe(accountText(a)))
	}
	if note != "" {
		fmt.Fprintln(out, noPipe(note))
	}
}

// worstNames lists up to three of the tokens in the report's state, unless that is valid: " (etl, mobile, export, …)".
func worstNames(report status.Report) string {
	var names []string
	for _, t := range report.WorstFirst() {
		if t.State != report.State || t.State == status.Valid {
			break
		}
		names = append(names, t.Name)
	}
	switch {
	case len(names) == 0:
		return ""
	case len(names) > 3:
		names = append(names[:3], "…")
	}
	return " (" + strings.Join(names, ", ") + ")"
}

// noPipe returns printable text without the character that begins performance data.
func noPipe(text string) string { return strings.ReplaceAll(printable(text), "|", "/") }
