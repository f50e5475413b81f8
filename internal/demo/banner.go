package demo

import (
	"fmt"
	"strings"

	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// Banner returns the text that the demo prints: where to look, what to try, and what the tokens do. It has at most 22
// lines of at most 80 columns. exporterURL is the exporter's status page.
func (d *Demo) Banner(exporterURL string) string {
	exporterURL = strings.TrimSuffix(exporterURL, "/")
	var b strings.Builder
	fmt.Fprintf(&b, "Demo: %d tokens on a simulated Appfigures API. Ctrl-C ends it.\n\n", len(actors))
	fmt.Fprintf(&b, "  Status page    %s/\n", exporterURL)
	fmt.Fprintf(&b, "  Metrics        %s/metrics\n", exporterURL)
	fmt.Fprintf(&b, "  Simulated API  %s  (tokens: pat_demo_NAME)\n", d.APIURL())
	fmt.Fprintf(&b, "  curl -H \"Authorization: Bearer %s\" %s\n\n", actors[0].secret(), d.APIURL())

	b.WriteString("Tokens that change\n")
	for _, a := range actors {
		if len(a.phases) > 1 {
			fmt.Fprintf(&b, "  %-13s%s\n", a.name, a.does)
		}
	}
	b.WriteString("\nTokens that stay the same\n")
	for _, kind := range []string{"valid", "denied", "unknown"} {
		fmt.Fprintf(&b, "  %-13s%s\n", kind, wrap(steady(kind), 65, "\n"+strings.Repeat(" ", 15)))
	}
	return b.String()
}

// steady lists the actors of one kind that do not change.
func steady(kind string) []string {
	var found []string
	for _, a := range actors {
		if len(a.phases) > 1 || a.kind() != kind {
			continue
		}
		if a.does == "" {
			found = append(found, a.name)
		} else {
			found = append(found, a.name+" ("+a.does+")")
		}
	}
	return found
}

// kind returns the verdict on an actor that does not change.
func (a actor) kind() string {
	if a.missing {
		return "unknown"
	}
	switch a.at(0) {
	case simulator.Valid, simulator.Slow:
		return "valid"
	case simulator.Revoked, simulator.Rejected, simulator.Locked, simulator.Disabled, simulator.Forbidden:
		return "denied"
	default:
		return "unknown"
	}
}

// wrap joins items with commas, with a line break before an item that would exceed width.
func wrap(items []string, width int, lineBreak string) string {
	var b strings.Builder
	column := 0
	for i, item := range items {
		if i > 0 {
			b.WriteString(",")
			if column+len(", ")+len(item)+len(",") > width {
				b.WriteString(lineBreak)
				column = 0
			} else {
				b.WriteString(" ")
				column += len(", ")
			}
		}
		b.WriteString(item)
		column += len(item)
	}
	return b.String()
}
