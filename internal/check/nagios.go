package check

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

// Limits of the first line.
const (
	maxNames = 3  // tokens per state
	maxName  = 40 // columns per name
)

// nagiosWords are the words of the exit codes.
var nagiosWords = [...]string{OK: "OK", Warning: "WARNING", Critical: "CRITICAL", Unknown: "UNKNOWN"}

// nagiosLimits are the thresholds of the numbers of tokens, as warning;critical.
var nagiosLimits = [status.NumStates]string{
	status.Denied: ";0", status.Unknown: ";", status.Warning: "0;", status.Valid: ";",
}

// writeNagios writes the report in the form of the guidelines for monitoring plugins: the summary and the performance
// data on the first line, then one line per token that needs attention, one per account, and the note, if any. A '|'
// occurs only before performance data.
func writeNagios(out *bytes.Buffer, report status.Report, thresholds status.Thresholds, note string) {
	code := exitCodes[parseState(report.State)]
	fmt.Fprintf(out, "APPFIGURES %s - %s |", nagiosWords[code], noPipe(printable(summary(report, maxNames))))
	for state, names := range namesByState(report) {
		fmt.Fprintf(out, " %s=%d;%s;0;%d", status.State(state), len(names), nagiosLimits[state], len(report.Tokens))
	}
	for _, a := range report.Accounts {
		if a.Quota.Used == nil || a.Quota.Limit == nil {
			continue
		}
		limit := *a.Quota.Limit
		warning := int64(thresholds.Quota * float64(limit))
		fmt.Fprintf(out, " '%s quota used'=%d;%d;;0;%d", label(a.Name), *a.Quota.Used, warning, limit)
	}
	out.WriteByte('\n')
	for _, t := range worstFirst(report.Tokens) {
		if state := parseState(t.State); state != status.Valid {
			text := fmt.Sprintf("%s: %s (%s)", strings.ToUpper(state.String()), t.Name, strings.Join(sentences(t), " "))
			fmt.Fprintln(out, noPipe(printable(text)))
		}
	}
	for _, a := range report.Accounts {
		fmt.Fprintln(out, noPipe(printable("ACCOUNT: "+accountText(a))))
	}
	if note != "" {
		fmt.Fprintln(out, noPipe(printable(note)))
	}
}

// accountText describes an account, without the advice that is the same for all.
func accountText(a status.Account) string {
	notes := slices.DeleteFunc(slices.Clone(a.Notes), func(note string) bool { return note == status.PaceAdvice })
	return a.Name + ": " + strings.Join(notes, " ")
}

// noPipe replaces the character that begins performance data.
func noPipe(text string) string { return strings.ReplaceAll(text, "|", "/") }

// label returns text as a label of performance data, which cannot contain an equals sign or a quote.
func label(text string) string {
	return strings.NewReplacer("=", "-", "'", "-", "|", "/").Replace(printable(text))
}

// sentences returns what is known about a token that needs attention.
func sentences(t status.Token) []string {
	all := []string{t.Why}
	if t.Message != nil {
		message := "Message: " + *t.Message
		if !strings.ContainsAny(message[len(message)-1:], ".!?") {
			message += "."
		}
		all = append(all, message)
	}
	return append(all, t.Notes...)
}

// namesByState returns the names of the tokens in each state.
func namesByState(report status.Report) (names [status.NumStates][]string) {
	for _, t := range worstFirst(report.Tokens) {
		state := parseState(t.State)
		names[state] = append(names[state], cut(printable(t.Name), maxName))
	}
	return names
}

// summary describes all tokens in one line: "3 tokens: 1 denied (etl), 2 valid". It names at most max tokens per state
// that is not valid.
func summary(report status.Report, max int) string {
	names := namesByState(report)
	total := status.Plural(len(report.Tokens), "token")
	if len(names[status.Valid]) == len(report.Tokens) {
		return total + " valid"
	}
	var parts []string
	for _, state := range status.States() {
		count := len(names[state])
		if count == 0 {
			continue
		}
		part := fmt.Sprintf("%s %s", status.Number(int64(count)), state)
		if state != status.Valid && max > 0 {
			shown := strings.Join(names[state][:min(count, max)], ", ")
			if count > max {
				shown += ", …"
			}
			part += " (" + shown + ")"
		}
		parts = append(parts, part)
	}
	return total + ": " + strings.Join(parts, ", ")
}
