// Package collector turns snapshots of the monitor, and facts about the exporter itself, into metric families. One
// table describes every metric. It does no I/O, encodes nothing and looks at no clock.
package collector

import (
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// Exporter is what the exporter reports about itself.
type Exporter struct {
	BuildInfo       map[string]string // labels of appfigures_exporter_build_info
	Started         time.Time
	ReloadTime      time.Time // of the last attempt to load the configuration
	ReloadError     error     // of that attempt
	ReloadSuccess   time.Time // of the last attempt that succeeded
	LogLinesDropped uint64
	StateFile       monitor.StateFile
}

// Families returns the metrics of a snapshot, sorted by name. It makes them directly: a registry would check, hash and
// sort each of the 40 series per token at every scrape. Tests run the same checks over its output instead.
func Families(s monitor.Snapshot) []*dto.MetricFamily {
	return families(func(f *family, d description) {
		if d.snapshot != nil {
			d.snapshot(f, &s)
		}
	})
}

// ExporterFamilies returns the metrics about the exporter itself, sorted by name.
func ExporterFamilies(e Exporter) []*dto.MetricFamily {
	return families(func(f *family, d description) {
		if d.exporter != nil {
			f.created = timestamppb.New(e.Started)
			d.exporter(f, &e)
		}
	})
}

// families returns the family of each row of the table to which add adds series.
func families(add func(*family, description)) []*dto.MetricFamily {
	var all []*dto.MetricFamily
	for _, d := range table {
		f := family{kind: d.Type}
		add(&f, d)
		if len(f.series) > 0 {
			all = append(all, &dto.MetricFamily{Name: &d.Name, Help: &d.Help, Type: d.Type.Enum(), Metric: f.series})
		}
	}
	return all
}

// family collects the series of one metric.
type family struct {
	kind    dto.MetricType
	owner   *dto.LabelPair         // of the token or account whose series are added; nil if it is the exporter
	created *timestamppb.Timestamp // when its counters began
	series  []*dto.Metric
}

// gauges are shared by the series whose value is 0 or 1, which are most.
var gauges = [...]*dto.Gauge{{Value: new(0.0)}, {Value: new(1.0)}}

// add adds a series with the owner's label and others.
func (f *family) add(value float64, others ...*dto.LabelPair) {
	series := f.next(others)
	switch {
	case f.kind == dto.MetricType_COUNTER:
		series.Counter = &dto.Counter{Value: new(value), CreatedTimestamp: f.created}
	case value == 0 || value == 1:
		series.Gauge = gauges[int(value)]
	default:
		series.Gauge = &dto.Gauge{Value: new(value)}
	}
}

// addTime adds a series with the time in seconds since 1970, unless the time is zero.
func (f *family) addTime(t time.Time) {
	if !t.IsZero() {
		f.add(float64(t.Unix()) + float64(t.Nanosecond())/1e9) // UnixNano overflows in 2262
	}
}

// next returns another series, which has labels but no value yet. Labels are sorted by name, as in every exposition.
func (f *family) next(others []*dto.LabelPair) *dto.Metric {
	series := &dto.Metric{Label: make([]*dto.LabelPair, 0, 1+len(others))}
	if f.owner != nil {
		series.Label = append(series.Label, f.owner)
	}
	series.Label = append(series.Label, others...)
	slices.SortFunc(series.Label, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	f.series = append(f.series, series)
	return series
}

func label(name, value *string) *dto.LabelPair { return &dto.LabelPair{Name: name, Value: value} }
