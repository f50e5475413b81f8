package check

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

// marks is how each state appears.
var marks = [status.NumStates]struct {
	mark  string
	style style
}{
	status.Denied:  {"✗", red},
	status.Unknown: {"?", yellow},
	status.Warning: {"!", yellow},
	status.Valid:   {"✓", green},
}

// column is one column of the table, after the mark and the name.
type column struct {
	title string
	right bool // whether it is aligned to the right
	cell  func(row) string
}

// row is one token, with its account.
type row struct {
	status.Token
	account status.Account
	now     time.Time
}

// columns lists all columns; a narrow table leaves out the last ones.
var columns = []column{
	{"STATE", false, func(r row) string { return parseState(r.State).String() }},
	{"RESULT", false, func(r row) string { return orDash(r.Result, func(s string) string { return s }) }},
	{"HTTP", true, func(r row) string { return orDash(r.HTTPStatus, strconv.Itoa) }},
	{"PROBED", true, func(r row) string {
		return orDash(r.ResultTime, func(t time.Time) string { return status.Ago(t, r.now) })
	}},
	{"TIME", true, func(r row) string {
		return orDash(r.DurationSeconds, func(s float64) string {
			return status.Latency(time.Duration(s * float64(time.Second)))
		})
	}},
	{"QUOTA", false, func(r row) string { return quota(r.account.Quota) }},
}

// text returns the column's cell of a row. A report from elsewhere may contain anything.
func (c column) text(r row) string { return cut(printable(c.cell(r)), maxCell) }

const (
	gap       = "  "   // between columns
	markWidth = 2      // of the mark before the name and the space after it
	nameWidth = 15     // of the names, at least, if they need it
	maxCell   = 25     // columns of a terminal
	indent    = "    " // of the lines below a row
)

// writeTable writes the report for a person, worst first.
func writeTable(out *bytes.Buffer, report status.Report, o Options) {
	accounts := make(map[string]status.Account, len(report.Accounts))
	for _, a := range report.Accounts {
		accounts[a.Name] = a
	}
	var rows []row
	for _, t := range worstFirst(report.Tokens) {
		if !o.Quiet || parseState(t.State) != status.Valid {
			rows = append(rows, row{t, accounts[t.Account], report.Time})
		}
	}
	if len(rows) == 0 && o.Quiet {
		return
	}
	t := table{out: out, width: o.Stdout.columns(), styles: o.styles()}
	t.measure(rows)
	t.heading()
	for _, r := range rows {
		t.row(r)
		t.details(r)
	}
	t.advice(rows)
	t.accounts(report.Accounts, o.Quiet)
	fmt.Fprintf(out, "\n%s\n", strings.Join(wrap(printable(summary(report, 0)), t.width), "\n"))
}

// worstFirst returns the tokens sorted by state, cause and name.
func worstFirst(tokens []status.Token) []status.Token {
	return slices.SortedStableFunc(slices.Values(tokens), func(a, b status.Token) int {
		return cmp.Or(
			cmp.Compare(parseState(a.State), parseState(b.State)),
			cmp.Compare(a.Cause, b.Cause),
			status.CompareNames(a.Name, b.Name),
		)
	})
}

// table is a table that is being written.
type table struct {
	out     *bytes.Buffer
	width   int // of the longest line
	name    int // width of the column of names
	columns []column
	widths  []int // of columns
	styles  styles
}

// measure gives each column the width of its longest cell, as long as enough is left for the names.
func (t *table) measure(rows []row) {
	t.name = len("NAME")
	for _, r := range rows {
		t.name = max(t.name, displayWidth(printable(r.Name)))
	}
	left := t.width - markWidth
	for _, c := range columns {
		width := len(c.title)
		for _, r := range rows {
			width = max(width, displayWidth(c.text(r)))
		}
		if left -= len(gap) + width; left < min(t.name, nameWidth) && len(t.columns) >= 2 {
			left += len(gap) + width
			break
		}
		t.columns, t.widths = append(t.columns, c), append(t.widths, width)
	}
	t.name = min(t.name, left)
}

func (t *table) heading() {
	line := t.line(" ", cut("NAME", t.name), func(c column) string { return c.title })
	fmt.Fprintln(t.out, t.styles.apply(faint, line))
}

func (t *table) row(r row) {
	m := marks[parseState(r.State)]
	mark, name := t.styles.apply(m.style, m.mark), cut(printable(r.Name), t.name)
	fmt.Fprintln(t.out, t.line(mark, name, func(c column) string { return c.text(r) }))
}

// line lays out one line of the table. The mark takes one column.
func (t *table) line(mark, name string, text func(column) string) string {
	cells := []string{mark + " " + pad(name, t.name, false)}
	for i, c := range t.columns {
		cells = append(cells, pad(text(c), t.widths[i], c.right))
	}
	return strings.TrimRight(strings.Join(cells, gap), " ")
}

// details writes, below the row of a token, what the row does not tell.
func (t *table) details(r row) {
	var details []string
	if name := printable(r.Name); displayWidth(name) > t.name {
		details = append(details, "Name: "+name)
	}
	if r.Message != nil {
		details = append(details, "Message: "+*r.Message)
	}
	details = append(details, r.Notes...)
	if r.Result == nil && r.NextProbe != nil && r.account.Held == nil {
		next := status.Ago(*r.NextProbe, r.now)
		details = append(details, fmt.Sprintf("Next probe: %s, at the pace of account %s.", next, r.Account))
	}
	for _, detail := range details {
		for _, line := range wrap(printable(detail), t.width-len(indent)) {
			fmt.Fprintln(t.out, indent+line)
		}
	}
}

// advice writes what each cause means and what to do about it: once, however many tokens have it.
func (t *table) advice(rows []row) {
	seen := make(map[string]bool)
	for _, r := range rows {
		if r.Advice == nil || seen[r.Cause] {
			continue
		}
		seen[r.Cause] = true
		fmt.Fprintln(t.out)
		t.paragraph(r.Cause + ": " + r.Why + " " + *r.Advice)
	}
}

// accounts writes how the pace of each account comes about: its budget, its longest wait, and until when it is held. If
// quiet, it writes the held ones only.
func (t *table) accounts(accounts []status.Account, quiet bool) {
	accounts = slices.DeleteFunc(slices.Clone(accounts), func(a status.Account) bool { return quiet && a.Held == nil })
	if len(accounts) == 0 {
		return
	}
	fmt.Fprintf(t.out, "\n%s\n", t.styles.apply(faint, "ACCOUNTS"))
	advise := false
	for _, a := range accounts {
		advise = advise || slices.Contains(a.Notes, status.PaceAdvice)
		t.paragraph(accountText(a))
	}
	if advise { // once, however many accounts have it
		t.paragraph(status.PaceAdvice)
	}
}

// paragraph writes text whose lines after the first are indented.
func (t *table) paragraph(text string) {
	for i, line := range wrap(printable(text), t.width-len(indent)) {
		if i > 0 {
			line = indent + line
		}
		fmt.Fprintln(t.out, line)
	}
}

// quota returns how much of its quota an account has used, as far as the API reported it.
func quota(q status.Quota) string {
	if q.Used == nil && q.Limit == nil {
		return "-"
	}
	text := func(n *int64) string {
		if n == nil {
			return "?"
		}
		return strconv.FormatInt(*n, 10)
	}
	return text(q.Used) + "/" + text(q.Limit)
}

// orDash returns the text of a value, or a dash if it is not known.
func orDash[T any](value *T, text func(T) string) string {
	if value == nil {
		return "-"
	}
	return text(*value)
}

// pad fills text up to width columns.
func pad(text string, width int, right bool) string {
	space := strings.Repeat(" ", max(0, width-displayWidth(text)))
	if right {
		return space + text
	}
	return text + space
}
