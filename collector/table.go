package collector

import (
	"fmt"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/version"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// Metric describes one metric.
type Metric struct {
	Name   string
	Type   dto.MetricType
	Labels []string // besides those that the configuration gives a token, on appfigures_token_info
	Help   string
}

// description is one row of the table: a metric, and the one function that adds its series.
type description struct {
	Metric

	snapshot func(*family, *input)
	exporter func(*family, *Exporter)
}

const (
	gauge     = dto.MetricType_GAUGE
	counter   = dto.MetricType_COUNTER
	histogram = dto.MetricType_HISTOGRAM
)

// Names of labels, and the labels of the closed sets, made once.
var (
	tokenLabel, accountLabel = "token", "account"
	perToken, perAccount     = []string{tokenLabel}, []string{accountLabel}

	denials      = probe.Denials()
	holds        = monitor.HoldReasons()
	resultLabels = labelSet("result", probe.Results())
	denialLabels = labelSet("reason", denials)
	phaseLabels  = labelSet("phase", probe.AllPhases())
	holdLabels   = labelSet("reason", holds)
)

func labelSet[T any](name string, members []T) []*dto.LabelPair {
	labels := make([]*dto.LabelPair, len(members))
	for i, member := range members {
		labels[i] = label(&name, new(fmt.Sprint(member)))
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

// table describes every metric, sorted by name.
var table = slices.SortedFunc(slices.Values([]description{
	{Metric: Metric{"appfigures_token_valid", gauge, perToken, "Last verdict on the token: 1 valid, 0 denied. Absent " +
		"while unknown. Outages, limits and timeouts leave it unchanged."},
		snapshot: tokens(func(f *family, t *monitor.TokenState) {
			if t.Verdict != probe.VerdictUnknown {
				f.add(number(t.Verdict == probe.VerdictValid))
			}
		})},
	{Metric: Metric{"appfigures_token_denied", gauge, []string{"token", "reason"}, "Whether the token is denied for " +
		"this reason: 1 for the reason of a denied verdict, else 0."},
		snapshot: each(denialLabels, tokens, func(t *monitor.TokenState, i int) float64 {
			return number(t.Verdict == probe.VerdictDenied && t.Reason == denials[i])
		})},
	{Metric: Metric{"appfigures_token_verdict_timestamp_seconds", gauge, perToken, "When an answer last confirmed " +
		"the verdict, in seconds since 1970."},
		snapshot: tokens(func(f *family, t *monitor.TokenState) { f.addTime(t.VerdictTime) })},
	{Metric: Metric{"appfigures_token_verdict_change_timestamp_seconds", gauge, perToken, "Since when the verdict " +
		"and its reason have been so, in seconds since 1970."},
		snapshot: tokens(func(f *family, t *monitor.TokenState) { f.addTime(t.VerdictSince) })},
	{Metric: Metric{"appfigures_token_verdict_due_timestamp_seconds", gauge, perToken, "By when an answer should " +
		"have confirmed the verdict, in seconds since 1970: a probe interval after the last one that did (before " +
		"the first: after the token was configured), or the end of a used-up quota or budget if that is later."},
		snapshot: tokens(func(f *family, t *monitor.TokenState) { f.addTime(t.VerdictDue) })},
	{Metric: Metric{"appfigures_token_info", gauge, []string{"token", "account"}, "Always 1. Carries the token's " +
		"account and its labels from the configuration."},
		snapshot: tokens(func(f *family, t *monitor.TokenState) {
			labels := []*dto.LabelPair{label(&accountLabel, &t.Account)}
			for _, l := range t.Labels {
				labels = append(labels, label(&l.Name, &l.Value))
			}
			f.add(1, labels...)
		})},
	{Metric: Metric{"appfigures_token_expiry_timestamp_seconds", gauge, perToken, "When the token expires according " +
		"to the configuration, in seconds since 1970. Absent without expires_at."},
		snapshot: tokens(func(f *family, t *monitor.TokenState) { f.addTime(t.ExpiresAt) })},
	{Metric: Metric{"appfigures_token_probe_interval_seconds", gauge, perToken, "Time between two turns of the token " +
		"at the present pace. At its turn, the next scrape probes it."},
		snapshot: tokens(func(f *family, t *monitor.TokenState) { f.add(t.Interval.Seconds()) })},
	{Metric: Metric{"appfigures_up", gauge, perToken, "Whether the last probe got an answer from the API itself: " +
		"valid, rejected, locked, forbidden, quota_exhausted or rate_limited."},
		snapshot: probed(func(f *family, t *monitor.TokenState) { f.add(number(t.Last.Result.Answered())) })},
	{Metric: Metric{"appfigures_probe_result", gauge, []string{"token", "result"}, "Result of the last probe: 1 for " +
		"its result, 0 for all others."},
		snapshot: each(resultLabels, tokens, func(t *monitor.TokenState, i int) float64 {
			return number(t.Probed && t.Last.Result == probe.Result(i))
		})},
	{Metric: Metric{"appfigures_probe_http_status_code", gauge, perToken, "HTTP status of the last probe's response. " +
		"0 without a response."},
		snapshot: probed(func(f *family, t *monitor.TokenState) { f.add(float64(t.Last.HTTPStatus)) })},
	{Metric: Metric{"appfigures_probe_duration_seconds", gauge, perToken, "Duration of the last probe, from name " +
		"resolution to the last byte of the response."},
		snapshot: probed(func(f *family, t *monitor.TokenState) { f.add(t.Last.Duration.Seconds()) })},
	{Metric: Metric{"appfigures_probe_phase_duration_seconds", gauge, []string{"token", "phase"}, "Duration of each " +
		"phase of the last probe. 0 for a phase that it did not reach or need."},
		snapshot: each(phaseLabels, probed, func(t *monitor.TokenState, i int) float64 {
			return t.Last.Phases[i].Seconds()
		})},
	{Metric: Metric{"appfigures_probe_timestamp_seconds", gauge, perToken, "When the last probe was made, or the token " +
		"could not be read, in seconds since 1970. Pacing can make it older than the scrape."},
		snapshot: probed(func(f *family, t *monitor.TokenState) { f.addTime(t.Last.Start) })},
	{Metric: Metric{"appfigures_probes_total", counter, []string{"token", "result"}, "Probes made, by result, also " +
		"those that reached nobody. no_token makes none and stays 0."},
		snapshot: each(resultLabels, tokens, func(t *monitor.TokenState, i int) float64 {
			return float64(t.Results[i])
		})},
	{Metric: Metric{"appfigures_api_request_duration_seconds", histogram, perAccount, "Durations of the probes that " +
		"the API answered, per account."},
		snapshot: accounts(func(f *family, a *monitor.AccountState) {
			if a.Durations != nil {
				f.next(nil).Histogram = a.Durations
			}
		})},
	{Metric: Metric{"appfigures_account_quota_limit_requests", gauge, perAccount, "Requests that the account may " +
		"make per UTC day, as the API last reported today. Absent if it did not."},
		snapshot: accounts(func(f *family, a *monitor.AccountState) {
			if a.Quota.LimitOK {
				f.add(float64(a.Quota.Limit))
			}
		})},
	{Metric: Metric{"appfigures_account_quota_used_requests", gauge, perAccount, "Requests that all programs of the " +
		"account have made today (UTC), as the API last reported today. Absent if it did not."},
		snapshot: accounts(func(f *family, a *monitor.AccountState) {
			if a.Quota.UsedOK {
				f.add(float64(a.Quota.Used))
			}
		})},
	{Metric: Metric{"appfigures_account_quota_reset_timestamp_seconds", gauge, perAccount, "When the reported use " +
		"starts again at 0, in seconds since 1970. Absent if the API has not reported it today."},
		snapshot: accounts(func(f *family, a *monitor.AccountState) { f.addTime(a.QuotaReset) })},
	{Metric: Metric{"appfigures_account_budget_requests", gauge, perAccount, "Requests that probes of the account " +
		"may use per UTC day."},
		snapshot: accounts(func(f *family, a *monitor.AccountState) { f.add(float64(a.Budget)) })},
	{Metric: Metric{"appfigures_account_budget_used_requests", gauge, perAccount, "Requests that probes of the " +
		"account have used today (UTC)."},
		snapshot: accounts(func(f *family, a *monitor.AccountState) { f.add(float64(a.BudgetUsed)) })},
	{Metric: Metric{"appfigures_account_held", gauge, []string{"account", "reason"}, "Whether probes of the account " +
		"are held for this reason. During reserve a token still has a turn every N hours in an account of N tokens."},
		snapshot: each(holdLabels, accounts, func(a *monitor.AccountState, i int) float64 {
			return number(a.Held == holds[i])
		})},
	{Metric: Metric{"appfigures_api_unanswered_probes", gauge, nil, "Consecutive probes, of whichever token, that " +
		"the API itself did not answer. no_token does not count."},
		snapshot: func(f *family, in *input) { f.add(float64(in.Unanswered.Probes)) }},
	{Metric: Metric{"appfigures_api_certificate_expiry_timestamp_seconds", gauge, nil, "Earliest expiry in the " +
		"certificate chain of the last TLS handshake with the API, also of one that failed to verify, in seconds " +
		"since 1970."},
		snapshot: func(f *family, in *input) { f.addTime(in.CertificateExpiry) }},
	{Metric: Metric{"appfigures_exporter_build_info", gauge,
		[]string{"branch", "goarch", "goos", "goversion", "revision", "tags", "version"},
		"Always 1. Carries the exporter's version."},
		exporter: func(f *family, _ *Exporter) {
			var labels []*dto.LabelPair
			for name, value := range map[string]string{
				"version": version.Version, "branch": version.Branch, "revision": version.GetRevision(),
				"tags": version.GetTags(), "goversion": version.GoVersion, "goos": version.GoOS, "goarch": version.GoArch,
			} {
				labels = append(labels, label(&name, &value))
			}
			f.add(1, labels...)
		}},
	{Metric: Metric{"appfigures_exporter_config_last_reload_successful", gauge, nil, "Whether the last attempt to " +
		"load the configuration succeeded."},
		exporter: func(f *family, e *Exporter) { f.add(number(e.ReloadError == nil)) }},
	{Metric: Metric{"appfigures_exporter_config_last_reload_success_timestamp_seconds", gauge, nil, "When the " +
		"configuration was last loaded successfully, in seconds since 1970."},
		exporter: func(f *family, e *Exporter) { f.addTime(e.ReloadSuccess) }},
	{Metric: Metric{"appfigures_exporter_log_lines_dropped_total", counter, nil, "Log lines that standard error did " +
		"not take."},
		exporter: func(f *family, e *Exporter) { f.add(float64(e.LogLinesDropped)) }},
	{Metric: Metric{"appfigures_exporter_state_saved_timestamp_seconds", gauge, nil, "When the state file was last " +
		"written, in seconds since 1970. Absent without a state file."},
		exporter: func(f *family, e *Exporter) { f.addTime(e.StateSaved) }},
	{Metric: Metric{"appfigures_exporter_state_errors_total", counter, nil, "Failed writes of the state file. Absent " +
		"without a state file."},
		exporter: func(f *family, e *Exporter) {
			if e.StateKept {
				f.add(float64(e.StateErrors))
			}
		}},
}), func(a, b description) int { return strings.Compare(a.Name, b.Name) })

// tokens adds series for each token.
func tokens(add func(*family, *monitor.TokenState)) func(*family, *input) {
	return func(f *family, in *input) {
		for i := range in.Tokens {
			f.owner = in.tokenLabels[i]
			f.countFrom(in.Tokens[i].Created)
			add(f, &in.Tokens[i])
		}
	}
}

// probed adds series for each token that has a result.
func probed(add func(*family, *monitor.TokenState)) func(*family, *input) {
	return tokens(func(f *family, t *monitor.TokenState) {
		if t.Probed {
			add(f, t)
		}
	})
}

// accounts adds series for each account.
func accounts(add func(*family, *monitor.AccountState)) func(*family, *input) {
	return func(f *family, in *input) {
		for i := range in.Accounts {
			f.owner = in.accountLabels[i]
			add(f, &in.Accounts[i])
		}
	}
}

// each adds the series of a closed set, member by member, as a registry sorts them: each line differs little from the
// one before it, which compresses a quarter faster than token by token.
func each[T any](members []*dto.LabelPair, of func(func(*family, T)) func(*family, *input),
	value func(of T, member int) float64) func(*family, *input) {
	return func(f *family, in *input) {
		for i, member := range members {
			of(func(f *family, owner T) { f.add(value(owner, i), member) })(f, in)
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
