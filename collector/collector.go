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
		f := newFamily(d.Type(), len(s.Tokens)*d.series)
		if d.perToken != nil {
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

// family collects the series of one metric. Ten thousand tokens have 400,000 series, most of them 0: what these consist
// of lies in a few large pieces of memory, and neighbours of one value share it.
type family struct {
	kind    dto.MetricType
	labels  []*dto.LabelPair // of the token or account at hand
	metrics []*dto.Metric

	room      []dto.Metric     // for the next series
	labelRoom []*dto.LabelPair // for their labels, where each has two
	gauge     *dto.Gauge       // of the last series, by kind
	counter   *dto.Counter
}

// newFamily returns a family with room for a number of series.
func newFamily(kind dto.MetricType, series int) *family {
	return &family{
		kind:      kind,
		metrics:   make([]*dto.Metric, 0, series),
		room:      make([]dto.Metric, series),
		labelRoom: make([]*dto.LabelPair, 2*series),
	}
}

// add adds a series with the labels at hand.
func (f *family) add(value float64) { f.addLabelled(f.labels, value) }

// addMember adds a series with the one label at hand and another, whose name must sort before it.
func (f *family) addMember(label *dto.LabelPair, value float64) {
	labels := f.labelRoom[:2:2]
	f.labelRoom = f.labelRoom[2:]
	labels[0], labels[1] = label, f.labels[0]
	f.addLabelled(labels, value)
}

func (f *family) addLabelled(labels []*dto.LabelPair, value float64) {
	if len(f.room) == 0 {
		f.room = make([]dto.Metric, 1)
	}
	metric := &f.room[0]
	f.room = f.room[1:]
	metric.Label = labels
	if f.kind == dto.MetricType_COUNTER {
		if f.counter == nil || f.counter.GetValue() != value {
			f.counter = &dto.Counter{Value: new(value)}
		}
		metric.Counter = f.counter
	} else {
		if f.gauge == nil || f.gauge.GetValue() != value {
			f.gauge = &dto.Gauge{Value: new(value)}
		}
		metric.Gauge = f.gauge
	}
	f.metrics = append(f.metrics, metric)
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
