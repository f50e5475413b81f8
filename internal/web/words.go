package web

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// moment is a time as the page shows it: how far off it is, and when exactly.
type moment struct {
	Relative string // "3 h ago", "in 5 min", "now"; empty for the zero time, which stands for never
	Length   string // the "3 h" of it; "a moment" below a second
	Absolute string // "2026-05-04 03:12:45 UTC"
	Minute   string // "2026-05-04 03:12 UTC"
	Machine  string // RFC 3339, for the datetime attribute
}

// momentAt describes t as seen at now.
func momentAt(t, now time.Time) moment {
	if t.IsZero() {
		return moment{}
	}
	t = t.UTC()
	length := roughly(t.Sub(now).Abs())
	relative := length + " ago"
	switch {
	case length == "":
		relative, length = "now", "a moment"
	case t.After(now):
		relative = "in " + length
	}
	return moment{
		Relative: relative,
		Length:   length,
		Absolute: t.Format("2006-01-02 15:04:05 UTC"),
		Minute:   t.Format("2006-01-02 15:04 UTC"),
		Machine:  t.Format(time.RFC3339),
	}
}

// roughly says a duration in its largest unit, rounded down, for a reader who wants the order of magnitude. It is
// empty below a second.
func roughly(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Second:
		return ""
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%d h", d/time.Hour)
	default:
		return fmt.Sprintf("%d days", d/day)
	}
}

// latency says how long a probe took, to three digits at most.
func latency(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// number writes an integer with a comma between thousands.
func number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	var out strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			out.WriteByte(',')
		}
		out.WriteRune(digit)
	}
	return sign + out.String()
}

// plural writes a number with the noun in the right form; the noun's plural takes an s.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(int64(n)) + " " + noun + "s"
}
