// Package collector turns a snapshot of the monitor into metrics. One table says what each metric means; there is no
// I/O and no clock here.
//
// It makes metric families directly rather than through the client library's registry, which would check, hash and
// sort each of the 40 series of each token at every scrape. Tests run the same checks over its output instead.
package collector

import (
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// Snapshot is a [github.com/prometheus/client_golang/prometheus.Gatherer] of the metrics of one snapshot.
type Snapshot monitor.Snapshot

// Gather returns one family for each metric of the table that has series, sorted by name. It never fails.
func (s Snapshot) Gather() ([]*dto.MetricFamily, error) {
	labels := make([][]*dto.LabelPair, len(s.Tokens)) // the label "token", shared by a token's series
	for i := range s.Tokens {
		labels[i] = []*dto.LabelPair{pair("token", s.Tokens[i].Name)}
	}
	families := make([]*dto.MetricFamily, 0, len(table))
	for _, d := range table {
		f := &family{kind: d.Type()}
		if d.perToken != nil {
			f.metrics = make([]*dto.Metric, 0, len(s.Tokens)*d.series)
			for i := range s.Tokens {
				f.labels = labels[i]
				d.perToken(f, &s.Tokens[i])
			}
		}
		if d.perAccount != nil {
			for i := range s.Accounts {
				f.labels = []*dto.LabelPair{pair("account", s.Accounts[i].Name)}
				d.perAccount(f, &s.Accounts[i])
			}
		}
		if d.whole != nil {
			d.whole(f, (*monitor.Snapshot)(&s))
		}
		if len(f.metrics) > 0 {
			families = append(families, &dto.MetricFamily{Name: &d.Name, Help: &d.Help, Type: d.Type().Enum(), Metric: f.metrics})
		}
	}
	return families, nil
}

// family collects the series of one metric.
type family struct {
	kind    dto.MetricType
	labels  []*dto.LabelPair // of the token or account at hand
	metrics []*dto.Metric
}

// add adds a series with the labels at hand.
func (f *family) add(value float64) { f.addLabelled(f.labels, value) }

// addMember adds a series with the labels at hand and one more.
func (f *family) addMember(label *dto.LabelPair, value float64) {
	f.addLabelled(sorted(append(slices.Clip(f.labels), label)), value)
}

func (f *family) addLabelled(labels []*dto.LabelPair, value float64) {
	if f.kind == dto.MetricType_COUNTER {
		f.metrics = append(f.metrics, &dto.Metric{Label: labels, Counter: &dto.Counter{Value: &value}})
		return
	}
	f.metrics = append(f.metrics, &dto.Metric{Label: labels, Gauge: &dto.Gauge{Value: &value}})
}

// addTime adds a series with the time in seconds since 1970, unless the time is not set.
func (f *family) addTime(t time.Time) {
	if !t.IsZero() {
		f.add(float64(t.UnixNano()) / 1e9)
	}
}

func pair(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }

// sorted sorts labels by name, as every exposition has them.
func sorted(labels []*dto.LabelPair) []*dto.LabelPair {
	slices.SortFunc(labels, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	return labels
}
