package demo

import (
	"fmt"
	"strings"

	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// Banner returns what to tell who started the demo: where to look, what to try, and what there is to see. It has at
// most 20 lines of at most 80 columns. exporterURL is the exporter's status page.
func (d *Demo) Banner(exporterURL string) string {
	exporterURL = strings.TrimSuffix(exporterURL, "/")
	var b strings.Builder
	fmt.Fprintf(&b, "Demo: %d made-up tokens on a simulated Appfigures API. Ctrl-C ends it.\n\n", len(actors))
	fmt.Fprintf(&b, "  Status page    %s/\n", exporterURL)
	fmt.Fprintf(&b, "  Metrics        %s/metrics\n", exporterURL)
	fmt.Fprintf(&b, "  Simulated API  %s  (a token is pat_demo_ and its name)\n", d.APIURL())
	fmt.Fprintf(&b, "  curl -H \"Authorization: Bearer %s\" %s\n\n", actors[0].secret(), d.APIURL())

	b.WriteString("While you watch\n")
	for _, a := range actors {
		if len(a.phases) > 1 {
			fmt.Fprintf(&b, "  %-13s%s\n", a.name, a.does)
		}
	}
	b.WriteString("\nAll the time\n")
	for _, kind := range []string{"valid", "denied", "no verdict"} {
		fmt.Fprintf(&b, "  %-13s%s\n", kind, wrap(steady(kind), 65, "\n"+strings.Repeat(" ", 15)))
	}
	return b.String()
}

// steady lists the actors of one kind that never change.
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

// kind is what an exporter can say of an actor that never changes.
func (a actor) kind() string {
	if a.missing {
		return "no verdict"
	}
	switch a.at(0) {
	case simulator.Valid, simulator.Slow:
		return "valid"
	case simulator.Revoked, simulator.Rejected, simulator.Locked, simulator.Disabled, simulator.Forbidden:
		return "denied"
	default:
		return "no verdict"
	}
}

// wrap joins items by commas, with a line break before one that would pass width.
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
