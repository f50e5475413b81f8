package collector

import (
	"maps"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// Metric describes one metric.
type Metric struct {
	Name   string
	Help   string
	Labels []string // besides those that the configuration gives a token, on appfigures_token_info
	Type   dto.MetricType
}

const (
	gauge     = dto.MetricType_GAUGE
	counter   = dto.MetricType_COUNTER
	histogram = dto.MetricType_HISTOGRAM
)

// description is one row of the table: a metric, and one function that makes its series.
type description struct {
	Metric

	perToken   func(*family, *monitor.TokenState)
	perAccount func(*family, *monitor.AccountState)
	whole      func(*family, *monitor.Snapshot)
	exporter   func(*family, *Exporter)
}

// The members of the closed sets, and their labels, made once.
var (
	denials = slices.DeleteFunc(probe.Results(), func(r probe.Result) bool { return r.Verdict() != probe.VerdictDenied })
	holds   = monitor.HoldReasons()

	resultLabels = labelSet("result", probe.Results())
	denialLabels = labelSet("reason", denials)
	phaseLabels  = labelSet("phase", probe.AllPhases())
	skipLabels   = labelSet("reason", monitor.SkipReasons())
	holdLabels   = labelSet("reason", holds)
)

func labelSet[T interface{ String() string }](name string, members []T) []*dto.LabelPair {
	labels := make([]*dto.LabelPair, len(members))
	for i, member := range members {
		labels[i] = pair(name, member.String())
	}
	return labels
}

// table describes every metric, sorted by name.
var table = sortedByName([]description{
	{
		Metric: Metric{"appfigures_token_valid", "Last verdict on the token: 1 valid, 0 denied. Absent while unknown. " +
			"Outages, limits and timeouts leave it unchanged.", []string{"token"}, gauge},
		perToken: func(f *family, t *monitor.TokenState) {
			if t.Verdict != probe.VerdictUnknown {
				f.add(number(t.Verdict == probe.VerdictValid))
			}
		},
	},
	{
		Metric: Metric{"appfigures_token_denied", "Whether the token is denied for this reason: 1 for the reason of a " +
			"denied verdict, else 0.", []string{"token", "reason"}, gauge},
		perToken: func(f *family, t *monitor.TokenState) {
			for i, reason := range denials {
				f.addMember(denialLabels[i], number(t.Verdict == probe.VerdictDenied && t.Reason == reason))
			}
		},
	},
	{
		Metric: Metric{"appfigures_token_verdict_timestamp_seconds", "When an answer last confirmed the verdict, in " +
			"seconds since 1970.", []string{"token"}, gauge},
		perToken: func(f *family, t *monitor.TokenState) { f.addTime(t.VerdictTime) },
	},
	{
		Metric: Metric{"appfigures_token_verdict_change_timestamp_seconds", "Since when the verdict and its reason have " +
			"been so, in seconds since 1970.", []string{"token"}, gauge},
		perToken: func(f *family, t *monitor.TokenState) { f.addTime(t.VerdictSince) },
	},
	{
		Metric: Metric{"appfigures_token_info", "Always 1. Carries the token's account and its labels from the " +
			"configuration.", []string{"token", "account"}, gauge},
		perToken: func(f *family, t *monitor.TokenState) {
			labels := append(slices.Clip(f.labels), pair("account", t.Account))
			for _, l := range t.Labels {
				labels = append(labels, pair(l.Name, l.Value))
			}
			f.addLabeled(sorted(labels), 1)
		},
	},
	{
		Metric: Metric{"appfigures_token_expiry_timestamp_seconds", "When the token expires according to the " +
			"configuration, in seconds since 1970. Absent without expires_at.", []string{"token"}, gauge},
		perToken: func(f *family, t *monitor.TokenState) { f.addTime(t.ExpiresAt) },
	},
	{
		Metric: Metric{"appfigures_token_probe_interval_seconds", "How long at most after its last probe the token is " +
			"probed again at the present pace, if it is scraped.", []string{"token"}, gauge},
		perToken: func(f *family, t *monitor.TokenState) { f.add(t.Interval.Seconds()) },
	},
	{
		Metric: Metric{"appfigures_up", "Whether the last probe got an answer from the API itself: valid, rejected, " +
			"locked, forbidden or rate_limited.", []string{"token"}, gauge},
		perToken: ifProbed(func(f *family, t *monitor.TokenState) { f.add(number(t.Last.Result.Answered())) }),
	},
	{
		Metric: Metric{"appfigures_probe_result", "Result of the last probe: 1 for its result, 0 for all others.",
			[]string{"token", "result"}, gauge},
		perToken: func(f *family, t *monitor.TokenState) {
			for i, label := range resultLabels {
				f.addMember(label, number(t.Probed && int(t.Last.Result) == i))
			}
		},
	},
	{
		Metric: Metric{"appfigures_probe_http_status_code", "HTTP status of the last probe's response. 0 without a " +
			"response.", []string{"token"}, gauge},
		perToken: ifProbed(func(f *family, t *monitor.TokenState) { f.add(float64(t.Last.HTTPStatus)) }),
	},
	{
		Metric:   Metric{"appfigures_probe_duration_seconds", "Duration of the last probe.", []string{"token"}, gauge},
		perToken: ifProbed(func(f *family, t *monitor.TokenState) { f.add(t.Last.Duration.Seconds()) }),
	},
	{
		Metric: Metric{"appfigures_probe_phase_duration_seconds", "Duration of each phase of the last probe. dns, connect " +
			"and tls are 0 if the probe used the connection of another probe of the same scrape.",
			[]string{"token", "phase"}, gauge},
		perToken: ifProbed(func(f *family, t *monitor.TokenState) {
			for i, label := range phaseLabels {
				f.addMember(label, t.Last.Phases[i].Seconds())
			}
		}),
	},
	{
		Metric: Metric{"appfigures_probe_timestamp_seconds", "When the last probe was made, in seconds since 1970. Pacing " +
			"can make it older than the scrape.", []string{"token"}, gauge},
		perToken: ifProbed(func(f *family, t *monitor.TokenState) { f.addTime(t.Last.Start) }),
	},
	{
		Metric: Metric{"appfigures_probes_total", "Requests made, by result. no_token makes none and stays 0.",
			[]string{"token", "result"}, counter},
		perToken: func(f *family, t *monitor.TokenState) {
			for i, label := range resultLabels {
				f.addMember(label, float64(t.Results[i]))
			}
		},
	},
	{
		Metric: Metric{"appfigures_probes_skipped_total", "Scrapes that did not probe the token, by reason.",
			[]string{"token", "reason"}, counter},
		perToken: func(f *family, t *monitor.TokenState) {
			for i, label := range skipLabels {
				f.addMember(label, float64(t.Skipped[i]))
			}
		},
	},
	{
		Metric: Metric{"appfigures_api_request_duration_seconds", "Durations of the probes that the API answered, per " +
			"account.", []string{"account"}, histogram},
		perAccount: func(f *family, a *monitor.AccountState) { f.addHistogram(a.Durations) },
	},
	{
		Metric: Metric{"appfigures_account_quota_limit_requests", "Requests that the account may make per UTC day, as the " +
			"API last reported today. Absent if it did not.", []string{"account"}, gauge},
		perAccount: func(f *family, a *monitor.AccountState) {
			if a.Quota.LimitOK {
				f.add(float64(a.Quota.Limit))
			}
		},
	},
	{
		Metric: Metric{"appfigures_account_quota_used_requests", "Requests that all programs of the account have made " +
			"today (UTC), as the API last reported today. Absent if it did not.", []string{"account"}, gauge},
		perAccount: func(f *family, a *monitor.AccountState) {
			if a.Quota.UsedOK {
				f.add(float64(a.Quota.Used))
			}
		},
	},
	{
		Metric: Metric{"appfigures_account_quota_reset_timestamp_seconds", "When the reported use starts again at 0, in " +
			"seconds since 1970. Absent if the API has not reported it today.", []string{"account"}, gauge},
		perAccount: func(f *family, a *monitor.AccountState) { f.addTime(a.QuotaReset) },
	},
	{
		Metric: Metric{"appfigures_account_budget_requests", "Requests that probes of the account may use in any 24 hours.",
			[]string{"account"}, gauge},
		perAccount: func(f *family, a *monitor.AccountState) { f.add(float64(a.Budget)) },
	},
	{
		Metric: Metric{"appfigures_account_budget_used_requests", "Requests that probes of the account have used in the " +
			"last 24 hours.", []string{"account"}, gauge},
		perAccount: func(f *family, a *monitor.AccountState) { f.add(float64(a.BudgetUsed)) },
	},
	{
		Metric: Metric{"appfigures_account_held", "Whether probes of the account are held for this reason: daily_limit, " +
			"slow_down, or reserve (one probe per hour).", []string{"account", "reason"}, gauge},
		perAccount: func(f *family, a *monitor.AccountState) {
			for i, reason := range holds {
				f.addMember(holdLabels[i], number(a.Held == reason))
			}
		},
	},
	{
		Metric: Metric{"appfigures_api_certificate_expiry_timestamp_seconds", "Earliest expiry in the certificate chain of " +
			"the last TLS handshake with the API, also of one that failed to verify, in seconds since 1970.", nil, gauge},
		whole: func(f *family, s *monitor.Snapshot) { f.addTime(s.CertificateExpiry) },
	},
	{
		Metric:   Metric{"appfigures_exporter_build_info", "Always 1. Carries the exporter's version.", buildLabels, gauge},
		exporter: func(f *family, e *Exporter) { f.addLabeled(buildInfo(e), 1) },
	},
	{
		Metric: Metric{"appfigures_exporter_config_last_reload_successful", "Whether the last attempt to load the " +
			"configuration succeeded.", nil, gauge},
		exporter: func(f *family, e *Exporter) { f.add(number(e.ReloadSuccessful)) },
	},
	{
		Metric: Metric{"appfigures_exporter_config_last_reload_success_timestamp_seconds", "When the configuration was " +
			"last loaded successfully, in seconds since 1970.", nil, gauge},
		exporter: func(f *family, e *Exporter) { f.addTime(e.ReloadSuccess) },
	},
	{
		Metric: Metric{"appfigures_exporter_log_lines_dropped_total", "Log lines that standard error did not take.",
			nil, counter},
		exporter: func(f *family, e *Exporter) { f.add(float64(e.LogLinesDropped)) },
	},
	{
		Metric: Metric{"appfigures_exporter_state_saved_timestamp_seconds", "When the state file was last written, in " +
			"seconds since 1970. Absent without a state file.", nil, gauge},
		exporter: func(f *family, e *Exporter) { f.addTime(e.StateFile.Saved) },
	},
	{
		Metric: Metric{"appfigures_exporter_state_errors_total", "Failed writes of the state file. Absent without a state " +
			"file.", nil, counter},
		exporter: func(f *family, e *Exporter) {
			if e.StateFile.Enabled {
				f.add(float64(e.StateFile.Errors))
			}
		},
	},
})

// buildLabels are the labels of appfigures_exporter_build_info, as those of other exporters.
var buildLabels = []string{"branch", "goarch", "goos", "goversion", "revision", "tags", "version"}

func buildInfo(e *Exporter) []*dto.LabelPair {
	labels := make([]*dto.LabelPair, 0, len(buildLabels))
	for _, name := range slices.Sorted(maps.Keys(e.BuildInfo)) {
		labels = append(labels, pair(name, e.BuildInfo[name]))
	}
	return labels
}

// Metrics lists every metric, sorted by name.
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
