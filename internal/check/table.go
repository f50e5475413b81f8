package check

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
)

// looks is how a finding of each severity appears.
var looks = [numSeverities]struct {
	mark   string
	colour colour
	words  string // for the summary
}{
	fine:      {"✓", green, "valid"},
	warned:    {"!", yellow, "with a warning"},
	undecided: {"?", yellow, "without a verdict"},
	denied:    {"✗", red, "denied"},
}

// column is one column of the table, but for the mark and the name before it.
type column struct {
	title string
	right bool // whether it is aligned to the right
	cell  func(finding) string
}

var columns = []column{
	{"RESULT", false, finding.resultName},
	{"HTTP", true, func(f finding) string { return orDash(f.Last.HTTPStatus != 0, strconv.Itoa(f.Last.HTTPStatus)) }},
	{"TIME", true, func(f finding) string { return orDash(f.asked(), latency(f.Last.Duration)) }},
	{"QUOTA", false, func(f finding) string { return quota(f.Quota) }},
}

const (
	gap       = "  "   // between columns
	markWidth = 2      // of the mark before the name and the space after it
	indent    = "    " // of what is said beneath a row
)

// renderTable returns the findings for a person, trouble first, in lines of at most width columns.
func renderTable(findings []finding, width int, colours palette) string {
	findings = slices.SortedStableFunc(slices.Values(findings), func(a, b finding) int {
		return cmp.Or(cmp.Compare(b.severity, a.severity), cmp.Compare(a.rank(), b.rank()))
	})
	t := table{width: width, colours: colours}
	t.measure(findings)
	t.heading()
	for _, f := range findings {
		t.row(f)
		t.details(f)
	}
	t.advice(findings)
	fmt.Fprintf(&t.out, "\n%s\n", strings.Join(wrap(summary(findings), width), "\n"))
	return t.out.String()
}

// table is a table that is being written.
type table struct {
	out     strings.Builder
	width   int // of the longest line
	name    int // width of the column of names
	widths  []int
	colours palette
}

// measure gives each column the width of its longest cell, and names what is left.
func (t *table) measure(findings []finding) {
	left := t.width - markWidth
	for _, c := range columns {
		width := len(c.title)
		for _, f := range findings {
			width = max(width, displayWidth(c.cell(f)))
		}
		t.widths = append(t.widths, width)
		left -= len(gap) + width
	}
	t.name = len("NAME")
	for _, f := range findings {
		t.name = max(t.name, displayWidth(printable(f.Name)))
	}
	t.name = min(t.name, left)
}

func (t *table) heading() {
	line := t.line(" ", "NAME", func(c column) string { return c.title })
	fmt.Fprintln(&t.out, t.colours.paint(faint, line))
}

func (t *table) row(f finding) {
	look := looks[f.severity]
	line := t.line(t.colours.paint(look.colour, look.mark), cut(printable(f.Name), t.name), func(c column) string { return c.cell(f) })
	fmt.Fprintln(&t.out, line)
}

// line lays out one line of the table. The mark takes one column.
func (t *table) line(mark, name string, text func(column) string) string {
	cells := []string{mark + " " + pad(name, t.name, false)}
	for i, c := range columns {
		cells = append(cells, pad(text(c), t.widths[i], c.right))
	}
	return strings.TrimRight(strings.Join(cells, gap), " ")
}

// details writes, beneath the row of a token that needs attention, what there is to say of this token alone.
func (t *table) details(f finding) {
	if f.severity == fine {
		return
	}
	var details []string
	if name := printable(f.Name); displayWidth(name) > t.name {
		details = append(details, "Name: "+name)
	}
	if f.message != "" {
		details = append(details, f.speaker()+f.message)
	}
	for _, detail := range append(details, f.warnings...) {
		for _, line := range wrap(printable(detail), t.width-len(indent)) {
			fmt.Fprintln(&t.out, indent+line)
		}
	}
}

// speaker introduces the message where it is what the API, or whatever answered in its place, said.
func (f finding) speaker() string {
	switch {
	case f.asked() && f.Last.Result.Answered():
		return "The API says: "
	case f.asked() && f.Last.Result == probe.ServerError:
		return "The answer says: "
	default:
		return ""
	}
}

// latency says how long a probe took.
func latency(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// quota says how much of its account's quota was used, as far as the API reported it.
func quota(q probe.Quota) string {
	if !q.UsedOK && !q.LimitOK {
		return "-"
	}
	used, limit := "?", "?"
	if q.UsedOK {
		used = strconv.FormatInt(q.Used, 10)
	}
	if q.LimitOK {
		limit = strconv.FormatInt(q.Limit, 10)
	}
	return used + "/" + limit
}

// resultName returns what the column RESULT says.
func (f finding) resultName() string {
	if !f.ended {
		return "no result"
	}
	return f.result.String()
}

// rank orders the rows of one severity: by the order of the results, those without one last.
func (f finding) rank() int {
	if !f.ended {
		return probe.NumResults
	}
	return int(f.result)
}

// orDash returns text, or a dash when it is not known.
func orDash(known bool, text string) string {
	if known {
		return text
	}
	return "-"
}

// pad fills text up to width columns.
func pad(text string, width int, right bool) string {
	space := strings.Repeat(" ", max(0, width-displayWidth(text)))
	if right {
		return space + text
	}
	return text + space
}
