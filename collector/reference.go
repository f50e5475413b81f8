package collector

import (
	"fmt"
	"strings"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// Reference returns docs/metrics.md.
func Reference() string {
	var b strings.Builder
	b.WriteString(`# Metrics

Made from the collector's table by ` + "`go test ./collector -update`" + `. The label ` + "`token`" + ` is a token's name in
the configuration. Times are in seconds since 1970 (UTC), durations in seconds. No series carries a timestamp.

| metric | type | labels | meaning |
|---|---|---|---|
`)
	for _, m := range Metrics() {
		kind, labels := strings.ToLower(m.Type.String()), strings.Join(m.Labels, ", ")
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, kind, labels, m.Help)
	}
	b.WriteString(`
` + "`appfigures_token_info`" + ` also has the labels that the configuration gives the token. In addition there are ` +
		"`go_*`, `process_*`\nand `promhttp_*`" + `, as from every exporter. ` + "`/probe`" + ` has neither those nor ` +
		"`appfigures_exporter_*`" + `.

## Values of labels

| label | metric | values |
|---|---|---|
`)
	values(&b, "result", "appfigures_probe_result, appfigures_probes_total", probe.Results())
	values(&b, "reason", "appfigures_token_denied", denials)
	values(&b, "reason", "appfigures_probes_skipped_total", monitor.SkipReasons())
	values(&b, "reason", "appfigures_account_held", monitor.HoldReasons())
	values(&b, "phase", "appfigures_probe_phase_duration_seconds", probe.AllPhases())
	b.WriteString(questions)
	return b.String()
}

func values[T fmt.Stringer](b *strings.Builder, label, metrics string, members []T) {
	var names []string
	for _, m := range members {
		names = append(names, "`"+m.String()+"`")
	}
	fmt.Fprintf(b, "| %s | %s | %s |\n", label, metrics, strings.Join(names, ", "))
}

// questions says which metric answers which question.
const questions = `
## Which question each metric answers

Probes are paced: a token in an account of ten is probed about once an hour, and every scrape in between reports the
same result again. A gauge of the last probe therefore tells how things stood at
` + "`appfigures_probe_timestamp_seconds`" + `. It cannot tell how often or for how long something was so, because one result
is repeated for as long as the pace demands: an average over a gauge is wrong. Availability and latency over time come
from the counters and the histogram.

| question | query |
|---|---|
| Which tokens are denied, and why? | ` + "`appfigures_token_denied == 1`" + ` |
| Since when (seconds)? | ` + "`time() - appfigures_token_verdict_change_timestamp_seconds`" + ` |
| How old is the verdict? | ` + "`time() - appfigures_token_verdict_timestamp_seconds`" + ` |
| Which tokens are not probed as often as they should be? | ` +
	"`time() - appfigures_probe_timestamp_seconds > 3 * appfigures_token_probe_interval_seconds + 300`" + ` |
| What part of the requests did the API answer in the last day? | ` +
	"`sum(increase(appfigures_probes_total{result=~\"valid\\|rejected\\|locked\\|forbidden\\|rate_limited\"}[1d])) / " +
	"sum(increase(appfigures_probes_total[1d]))`" + ` |
| How slow is the API (95th percentile of the last hour)? | ` +
	"`histogram_quantile(0.95, sum by (account, le) (rate(appfigures_api_request_duration_seconds_bucket[1h])))`" + ` |
| How much of the quota is used? | ` +
	"`appfigures_account_quota_used_requests / appfigures_account_quota_limit_requests`" + ` |
| How much of it do probes use? | ` +
	"`appfigures_account_budget_used_requests / appfigures_account_budget_requests`" + ` |
| Why are probes held? | ` + "`appfigures_account_held == 1`" + ` |
| Which team does a token belong to? | ` +
	"`appfigures_token_valid * on (job, instance, token) group_left (team) appfigures_token_info`" + ` |

What no metric answers: whether a token was denied between two probes that found it valid, and when a token that was
denied at its first probe began to be so.
`
