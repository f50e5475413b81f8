package collector

import (
	"fmt"
	"strings"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// Reference returns docs/metrics.md, which a test holds to this table.
func Reference() string {
	var b strings.Builder
	b.WriteString(`# Metrics

Made from the collector's table (` + "`go test ./collector -update`" + `). The label ` + "`token`" + ` is a token's name in the
configuration. Times are in seconds since 1970 (UTC), durations in seconds. No series carries a timestamp of its own.

| metric | type | labels | meaning |
|---|---|---|---|
`)
	for _, m := range Metrics() {
		row(&b, m.Name, strings.ToLower(m.Type().String()), m.Labels, m.Help)
	}
	row(&b, "appfigures_exporter_build_info", "gauge", []string{"version", "revision", "branch", "goversion", "goos", "goarch", "tags"}, "Always 1. Says what is running.")
	row(&b, "appfigures_exporter_config_last_reload_success_timestamp_seconds", "gauge", nil, "When the configuration was last loaded successfully.")
	row(&b, "appfigures_exporter_config_last_reload_successful", "gauge", nil, "Whether the last attempt to load the configuration succeeded.")
	b.WriteString(`
` + "`appfigures_token_info`" + ` also has the labels that the configuration gives the token. Besides these there are ` + "`go_*`, `process_*`\nand `promhttp_*`" + `, as from every exporter; ` + "`/probe`" + ` leaves those and ` + "`appfigures_exporter_*`" + ` out.

## Values of labels

| label | values |
|---|---|
`)
	values(&b, "result", probe.Results())
	values(&b, "phase", probe.AllPhases())
	values(&b, "reason", monitor.Reasons())
	return b.String()
}

func row(b *strings.Builder, name, kind string, labels []string, meaning string) {
	fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", name, kind, strings.Join(labels, ", "), meaning)
}

func values[T fmt.Stringer](b *strings.Builder, label string, members []T) {
	var names []string
	for _, m := range members {
		names = append(names, "`"+m.String()+"`")
	}
	fmt.Fprintf(b, "| %s | %s |\n", label, strings.Join(names, ", "))
}
