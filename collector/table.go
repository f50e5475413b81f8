package collector

import (
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// Metric describes one metric.
type Metric struct {
	Name   string
	Help   string
	Labels []string // besides those of the configuration on appfigures_token_info
}

// Type returns the metric's type. It follows from the name, by Prometheus' guidelines on naming: what ends in _total
// is a counter, all else is a gauge.
func (m Metric) Type() dto.MetricType {
	if strings.HasSuffix(m.Name, "_total") {
		return dto.MetricType_COUNTER
	}
	return dto.MetricType_GAUGE
}

// description is one row of the table.
type description struct {
	Metric
	series int // for each token, to make room for

	// What makes the series, of each token, of each account, or of the snapshot as a whole.
	perToken   func(*family, *monitor.TokenState)
	perAccount func(*family, *monitor.AccountState)
	whole      func(*family, *monitor.Snapshot)
}

// The members of the closed sets as labels, made once.
var (
	resultLabels = labelSet("result", probe.Results())
	phaseLabels  = labelSet("phase", probe.AllPhases())
	reasonLabels = labelSet("reason", monitor.Reasons())
)

func labelSet[T interface{ String() string }](name string, members []T) []*dto.LabelPair {
	labels := make([]*dto.LabelPair, len(members))
	for i, member := range members {
		labels[i] = pair(name, member.String())
	}
	return labels
}

// table holds every metric about tokens, accounts and the API, sorted by name.
var table = sortedByName([]description{
	{
		Metric: Metric{"appfigures_token_valid", "Last verdict on the token: 1 valid, 0 denied. Absent before the first verdict. Outages, limits and timeouts leave it as it is.", []string{"token"}},
		series: 1,
		perToken: func(f *family, t *monitor.TokenState) {
			if t.Verdict != probe.VerdictUnknown {
				f.add(number(t.Verdict == probe.VerdictValid))
			}
		},
	},
	{
		Metric:   Metric{"appfigures_token_verdict_timestamp_seconds", "When the last verdict on the token was given, in seconds since 1970.", []string{"token"}},
		series:   1,
		perToken: func(f *family, t *monitor.TokenState) { f.addTime(t.VerdictTime) },
	},
	{
		Metric: Metric{"appfigures_token_info", "Always 1. Carries the token's account and its labels from the configuration.", []string{"token", "account"}},
		series: 1,
		perToken: func(f *family, t *monitor.TokenState) {
			labels := append(slices.Clip(f.labels), pair("account", t.Account))
			for _, l := range t.Labels {
				labels = append(labels, pair(l.Name, l.Value))
			}
			f.addLabelled(sorted(labels), 1)
		},
	},
	{
		Metric:   Metric{"appfigures_token_expiry_timestamp_seconds", "When the token expires according to the configuration, in seconds since 1970. Absent without expires_at.", []string{"token"}},
		series:   1,
		perToken: func(f *family, t *monitor.TokenState) { f.addTime(t.ExpiresAt) },
	},
	{
		Metric:   Metric{"appfigures_up", "Whether the last probe got an answer from the API itself: valid, rejected, locked, forbidden or rate_limited.", []string{"token"}},
		series:   1,
		perToken: ifProbed(func(f *family, t *monitor.TokenState) { f.add(number(t.Last.Result.Answered())) }),
	},
	{
		Metric: Metric{"appfigures_probe_result", "Result of the last probe: 1 for the one it had, 0 for all others.", []string{"token", "result"}},
		series: probe.NumResults,
		perToken: func(f *family, t *monitor.TokenState) {
			for i, label := range resultLabels {
				f.addMember(label, number(t.Probed && int(t.Last.Result) == i))
			}
		},
	},
	{
		Metric:   Metric{"appfigures_probe_http_status_code", "HTTP status of the last probe's response. 0 when there was none.", []string{"token"}},
		series:   1,
		perToken: ifProbed(func(f *family, t *monitor.TokenState) { f.add(float64(t.Last.HTTPStatus)) }),
	},
	{
		Metric:   Metric{"appfigures_probe_duration_seconds", "How long the last probe took as a whole.", []string{"token"}},
		series:   1,
		perToken: ifProbed(func(f *family, t *monitor.TokenState) { f.add(t.Last.Duration.Seconds()) }),
	},
	{
		Metric: Metric{"appfigures_probe_phase_duration_seconds", "How long each phase of the last probe took. dns, connect and tls are 0 where the probe shared the connection of another of the same scrape.", []string{"token", "phase"}},
		series: probe.NumPhases,
		perToken: ifProbed(func(f *family, t *monitor.TokenState) {
			for i, label := range phaseLabels {
				f.addMember(label, t.Last.Phases[i].Seconds())
			}
		}),
	},
	{
		Metric:   Metric{"appfigures_probe_timestamp_seconds", "When the last probe was made, in seconds since 1970. Pacing can make it older than the scrape.", []string{"token"}},
		series:   1,
		perToken: ifProbed(func(f *family, t *monitor.TokenState) { f.addTime(t.Last.Start) }),
	},
	{
		Metric: Metric{"appfigures_probes_total", "Requests made, by the result they had. no_token makes none and stays 0.", []string{"token", "result"}},
		series: probe.NumResults,
		perToken: func(f *family, t *monitor.TokenState) {
			for i, label := range resultLabels {
				f.addMember(label, float64(t.Results[i]))
			}
		},
	},
	{
		Metric: Metric{"appfigures_probes_skipped_total", "Scrapes that did not probe the token, by the reason why.", []string{"token", "reason"}},
		series: monitor.NumReasons,
		perToken: func(f *family, t *monitor.TokenState) {
			for i, label := range reasonLabels {
				f.addMember(label, float64(t.Skipped[i]))
			}
		},
	},
	{
		Metric: Metric{"appfigures_quota_limit_requests", "Requests that the token's account may make a UTC day, as the API last reported today. Absent when it did not.", []string{"token"}},
		series: 1,
		perToken: func(f *family, t *monitor.TokenState) {
			if t.Quota.LimitOK {
				f.add(float64(t.Quota.Limit))
			}
		},
	},
	{
		Metric: Metric{"appfigures_quota_used_requests", "Requests that all programs of the token's account have made today (UTC), as the API last reported today. Absent when it did not.", []string{"token"}},
		series: 1,
		perToken: func(f *family, t *monitor.TokenState) {
			if t.Quota.UsedOK {
				f.add(float64(t.Quota.Used))
			}
		},
	},
	{
		Metric: Metric{"appfigures_probe_budget_requests", "Requests that probes of the account may use today (UTC). Absent until the API has reported a limit.", []string{"account"}},
		perAccount: func(f *family, a *monitor.AccountState) {
			if a.BudgetKnown {
				f.add(float64(a.Budget))
			}
		},
	},
	{
		Metric:     Metric{"appfigures_probe_budget_used_requests", "Requests that probes of the account have used today (UTC).", []string{"account"}},
		perAccount: func(f *family, a *monitor.AccountState) { f.add(float64(a.Used)) },
	},
	{
		Metric: Metric{"appfigures_api_certificate_expiry_timestamp_seconds", "Earliest expiry in the certificate chain of the last TLS handshake with the API, also of one that failed to verify, in seconds since 1970.", nil},
		whole:  func(f *family, s *monitor.Snapshot) { f.addTime(s.CertificateExpiry) },
	},
})

// Metrics lists what [Snapshot.Gather] can return, sorted by name.
func Metrics() []Metric {
	metrics := make([]Metric, len(table))
	for i, d := range table {
		metrics[i] = d.Metric
	}
	return metrics
}

func sortedByName(rows []description) []description {
	slices.SortFunc(rows, func(a, b description) int { return strings.Compare(a.Name, b.Name) })
	return rows
}

// ifProbed leaves out the tokens that have no result yet.
func ifProbed(add func(*family, *monitor.TokenState)) func(*family, *monitor.TokenState) {
	return func(f *family, t *monitor.TokenState) {
		if t.Probed {
			add(f, t)
		}
	}
}

// number is 1 for true and 0 for false.
func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
