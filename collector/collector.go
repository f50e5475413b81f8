// Package collector turns snapshots of the monitor, and facts about the exporter itself, into metrics. One table
// describes every metric; there is no I/O and no clock here.
//
// It makes metric families directly. The client library's registry would check, hash and sort each of the 50 series per
// token at every scrape; tests run the same checks over its output instead.
package collector

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// Exporter is what the exporter reports about itself.
type Exporter struct {
	BuildInfo        map[string]string // labels of appfigures_exporter_build_info
	Started          time.Time
	ReloadSuccessful bool      // whether the last attempt to load the configuration succeeded
	ReloadSuccess    time.Time // when it last did
	LogLinesDropped  uint64
	StateFile        monitor.StateFile
}

// Snapshot gathers the metrics of one snapshot.
type Snapshot monitor.Snapshot

// Gather implements [prometheus.Gatherer]. It never fails.
func (s Snapshot) Gather() ([]*dto.MetricFamily, error) {
	labels := make([][]*dto.LabelPair, len(s.Tokens)) // the label "token", shared by a token's series
	for i := range s.Tokens {
		labels[i] = []*dto.LabelPair{pair("token", s.Tokens[i].Name)}
	}
	families := make([]*dto.MetricFamily, 0, len(table))
	for _, d := range table {
		f := newFamily(d, len(s.Tokens)*d.series)
		if d.perToken != nil {
			for i := range s.Tokens {
				f.labels = labels[i]
				f.setCreated(s.Tokens[i].Created)
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
		families = f.appendTo(families)
	}
	return families, nil
}

// ExporterMetrics returns a gatherer of the metrics about the exporter itself.
func ExporterMetrics(facts func() Exporter) prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		e := facts()
		var families []*dto.MetricFamily
		for _, d := range table {
			if d.exporter != nil {
				f := newFamily(d, 1)
				f.setCreated(e.Started)
				d.exporter(f, &e)
				families = f.appendTo(families)
			}
		}
		return families, nil
	})
}

// family collects the series of one metric. 10,000 tokens have half a million series, most of them 0. To save
// allocations, series and their labels are elements of two slices, each allocated once, and consecutive equal values
// share one Gauge or Counter.
type family struct {
	description
	labels  []*dto.LabelPair       // of the token or account whose series are added
	created *timestamppb.Timestamp // when its counters began
	metrics []*dto.Metric

	free       []dto.Metric     // for the next series
	freeLabels []*dto.LabelPair // for their labels, if each has two
	gauge      *dto.Gauge       // of the last series, by kind
	counter    *dto.Counter
}

// newFamily returns a family with space for a number of series.
func newFamily(d description, series int) *family {
	return &family{
		description: d,
		metrics:     make([]*dto.Metric, 0, series),
		free:        make([]dto.Metric, series),
		freeLabels:  make([]*dto.LabelPair, 2*series),
	}
}

// appendTo appends the family to families, unless it has no series.
func (f *family) appendTo(families []*dto.MetricFamily) []*dto.MetricFamily {
	if len(f.metrics) == 0 {
		return families
	}
	return append(families, &dto.MetricFamily{Name: &f.Name, Help: &f.Help, Type: f.Type.Enum(), Metric: f.metrics})
}

// setCreated sets when the counters that are added next began. Most tokens share one time.
func (f *family) setCreated(t time.Time) {
	if f.created == nil || !f.created.AsTime().Equal(t) {
		f.created = timestamppb.New(t)
	}
}

// add adds a series with the current labels.
func (f *family) add(value float64) { f.addLabeled(f.labels, value) }

// addMember adds a series with the current labels, of which there is one, and another label. Labels are sorted by name.
func (f *family) addMember(label *dto.LabelPair, value float64) {
	if len(f.freeLabels) == 0 {
		f.freeLabels = make([]*dto.LabelPair, 2)
	}
	labels := f.freeLabels[:2:2]
	f.freeLabels = f.freeLabels[2:]
	labels[0], labels[1] = label, f.labels[0]
	if label.GetName() > f.labels[0].GetName() {
		labels[0], labels[1] = labels[1], labels[0]
	}
	f.addLabeled(labels, value)
}

func (f *family) addLabeled(labels []*dto.LabelPair, value float64) {
	metric := f.next(labels)
	if f.Type == dto.MetricType_COUNTER {
		if f.counter == nil || f.counter.GetValue() != value || f.counter.CreatedTimestamp != f.created {
			f.counter = &dto.Counter{Value: new(value), CreatedTimestamp: f.created}
		}
		metric.Counter = f.counter
		return
	}
	if f.gauge == nil || f.gauge.GetValue() != value {
		f.gauge = &dto.Gauge{Value: new(value)}
	}
	metric.Gauge = f.gauge
}

// addHistogram adds a histogram with the current labels, if there is one.
func (f *family) addHistogram(h *dto.Histogram) {
	if h != nil {
		f.next(f.labels).Histogram = h
	}
}

// addTime adds a series with the time in seconds since 1970, unless the time is zero.
func (f *family) addTime(t time.Time) {
	if !t.IsZero() {
		f.add(float64(t.UnixNano()) / 1e9)
	}
}

// next returns a new series with the labels.
func (f *family) next(labels []*dto.LabelPair) *dto.Metric {
	if len(f.free) == 0 {
		f.free = make([]dto.Metric, 1)
	}
	metric := &f.free[0]
	f.free = f.free[1:]
	metric.Label = labels
	f.metrics = append(f.metrics, metric)
	return metric
}

func pair(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }

// sorted sorts labels by name, as every exposition has them.
func sorted(labels []*dto.LabelPair) []*dto.LabelPair {
	slices.SortFunc(labels, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	return labels
}
