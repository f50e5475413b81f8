package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/appfigures-exporter/appfigures_exporter/internal/advice"
	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
)

// advice writes what each result that needs attention means and what to do about it: once, however many tokens have
// it, for in an outage all of them end the same way.
func (t *table) advice(findings []finding) {
	const label = probe.RateLimited // one of the longest names
	hanging := strings.Repeat(" ", len(label.String())+len(gap))
	for _, result := range probe.Results() {
		i := slices.IndexFunc(findings, func(f finding) bool { return f.ended && f.result == result && f.severity >= undecided })
		if i < 0 {
			continue
		}
		text := result.Meaning() + " " + result.Advice()
		fmt.Fprintln(&t.out)
		for n, line := range wrap(text, t.width-len(hanging)) {
			lead := hanging
			if n == 0 {
				lead = t.colours.paint(looks[findings[i].severity].colour, result.String()) + hanging[len(result.String()):]
			}
			fmt.Fprintln(&t.out, lead+line)
		}
	}
}

// summary says in one line how all is.
func summary(findings []finding) string {
	var count [numSeverities]int
	for _, f := range findings {
		count[f.severity]++
	}
	total := fmt.Sprintf("%d tokens", len(findings))
	if len(findings) == 1 {
		total = "1 token"
	}
	trouble := len(findings) - count[fine]
	if trouble == 0 {
		return total + ", all valid"
	}
	need := "need"
	if trouble == 1 {
		need = "needs"
	}
	var kinds []string
	for _, s := range []severity{denied, undecided, warned} {
		if count[s] > 0 {
			kinds = append(kinds, fmt.Sprintf("%d %s", count[s], looks[s].words))
		}
	}
	return fmt.Sprintf("%d of %s %s attention: %s", trouble, total, need, strings.Join(kinds, ", "))
}
