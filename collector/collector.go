// Package collector turns snapshots of the monitor, and facts about the exporter itself, into metrics. One table
// describes every metric; there is no I/O and no clock here.
//
// It makes metric families directly. The client library's registry would check, hash and sort each of the 50 series per
// token at every scrape; tests run the same checks over its output instead.
package collector

import (
	"iter"
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

// Families yields the metrics of a snapshot, sorted by name. Each is valid until the next: 10,000 tokens have half a
// million series, so they share the space of one family.
func Families(s monitor.Snapshot) iter.Seq[*dto.MetricFamily] {
	return func(yield func(*dto.MetricFamily) bool) {
		labels := make([][]*dto.LabelPair, len(s.Tokens)) // the label "token", shared by a token's series
		for i := range s.Tokens {
			labels[i] = []*dto.LabelPair{pair("token", s.Tokens[i].Name)}
		}
		var f family
		for _, d := range table {
			f.begin(d)
			if d.perToken != nil {
				for i := range s.Tokens {
					f.labels = labels[i]
					f.setCreated(s.Tokens[i].Created)
					d.perToken(&f, &s.Tokens[i])
				}
			}
			if d.perAccount != nil {
				for i := range s.Accounts {
					f.labels = []*dto.LabelPair{pair("account", s.Accounts[i].Name)}
					d.perAccount(&f, &s.Accounts[i])
				}
			}
			if d.whole != nil {
				d.whole(&f, &s)
			}
			if len(f.metrics) > 0 && !yield(f.encodable()) {
				return
			}
		}
	}
}

// ExporterMetrics returns a gatherer of the metrics about the exporter itself.
func ExporterMetrics(facts func() Exporter) prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		e := facts()
		var families []*dto.MetricFamily
		for _, d := range table {
			if d.exporter != nil {
				var f family
				f.begin(d)
				f.setCreated(e.Started)
				d.exporter(&f, &e)
				if len(f.metrics) > 0 {
					families = append(families, f.encodable())
				}
			}
		}
		return families, nil
	})
}

// family collects the series of one metric after another. Consecutive equal values share one Gauge or Counter: most are
// 0.
type family struct {
	description
	labels  []*dto.LabelPair       // of the token or account whose series are added
	created *timestamppb.Timestamp // when its counters began
	metrics []*dto.Metric          // those beyond its length are free

	gauge   *dto.Gauge // of the last series, by kind
	counter *dto.Counter
}

// begin begins another metric.
func (f *family) begin(d description) {
	f.description, f.labels, f.created, f.metrics = d, nil, nil, f.metrics[:0]
}

func (f *family) encodable() *dto.MetricFamily {
	return &dto.MetricFamily{Name: &f.Name, Help: &f.Help, Type: f.Type.Enum(), Metric: f.metrics}
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
	metric := f.next()
	metric.Label = append(metric.Label[:0], label, f.labels[0])
	if label.GetName() > f.labels[0].GetName() {
		metric.Label[0], metric.Label[1] = metric.Label[1], metric.Label[0]
	}
	f.set(metric, value)
}

func (f *family) addLabeled(labels []*dto.LabelPair, value float64) {
	metric := f.next()
	metric.Label = append(metric.Label[:0], labels...)
	f.set(metric, value)
}

// set sets the value of a series of the family's type.
func (f *family) set(metric *dto.Metric, value float64) {
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
		metric := f.next()
		metric.Label, metric.Histogram = append(metric.Label[:0], f.labels...), h
	}
}

// addTime adds a series with the time in seconds since 1970, unless the time is zero.
func (f *family) addTime(t time.Time) {
	if !t.IsZero() {
		f.add(float64(t.UnixNano()) / 1e9)
	}
}

// next returns another series. Its labels are those of an earlier one, as space for its own.
func (f *family) next() *dto.Metric {
	n := len(f.metrics)
	if n < cap(f.metrics) {
		f.metrics = f.metrics[:n+1]
	} else {
		f.metrics = append(f.metrics, nil)
	}
	if f.metrics[n] == nil {
		f.metrics[n] = new(dto.Metric)
	}
	metric := f.metrics[n]
	metric.Gauge, metric.Counter, metric.Histogram = nil, nil, nil
	return metric
}

func pair(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }

// sorted sorts labels by name, as every exposition has them.
func sorted(labels []*dto.LabelPair) []*dto.LabelPair {
	slices.SortFunc(labels, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	return labels
}
