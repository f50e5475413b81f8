package collector

import (
	_ "embed" // for the template
	"fmt"
	"strings"
	"text/template"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

//go:embed reference.md.tmpl
var referenceText string

var referenceTemplate = template.Must(template.New("reference").Funcs(template.FuncMap{
	"join": strings.Join, "lower": strings.ToLower,
}).Parse(referenceText))

// labelValues lists the members of a label's closed set.
type labelValues struct{ Label, Metrics, Values string }

func values[T fmt.Stringer](label, metrics string, members []T) labelValues {
	names := make([]string, len(members))
	for i, member := range members {
		names[i] = "`" + member.String() + "`"
	}
	return labelValues{label, metrics, strings.Join(names, ", ")}
}

// Reference returns docs/metrics.md.
func Reference() string {
	var b strings.Builder
	err := referenceTemplate.Execute(&b, map[string]any{
		"Metrics": Metrics(),
		"Labels": []labelValues{
			values("result", "appfigures_probe_result, appfigures_probes_total", probe.Results()),
			values("reason", "appfigures_token_denied", denials),
			values("reason", "appfigures_account_held", monitor.HoldReasons()),
			values("phase", "appfigures_probe_phase_duration_seconds", probe.AllPhases()),
		},
	})
	if err != nil {
		panic(err) // impossible: tests execute all of the template
	}
	return b.String()
}
