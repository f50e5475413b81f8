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
	Started         time.Time
	ReloadTime      time.Time // of the last attempt to load the configuration
	ReloadError     error     // of that attempt
	ReloadSuccess   time.Time // of the last attempt that succeeded
	LogLinesDropped uint64
	StateKept       bool      // whether there is a state file
	StateSaved      time.Time // when it was last written; zero before the first time
	StateErrors     uint64    // failed writes
	StateFailing    bool      // whether the last write failed
}

// Series is memory for the series of one exposition after another: 40 per token cost more to allocate than to fill.
type Series struct {
	made []*dto.Metric
	used int
}

// Families returns the metrics of a snapshot, sorted by name, until the next call. It makes them directly: a registry
// would check, hash and sort each series at every scrape. Tests run the same checks over its output instead.
func (s *Series) Families(snapshot monitor.Snapshot) []*dto.MetricFamily {
	tokens, accounts := snapshot.Tokens, snapshot.Accounts
	in := input{snapshot, make([]*dto.LabelPair, len(tokens)), make([]*dto.LabelPair, len(accounts))}
	for i := range tokens {
		in.tokenLabels[i] = label(&tokenLabel, &tokens[i].Name)
	}
	for i := range accounts {
		in.accountLabels[i] = label(&accountLabel, &accounts[i].Name)
	}
	return s.families(func(f *family, d description) {
		if d.snapshot != nil {
			d.snapshot(f, &in)
		}
	})
}

// Families returns the metrics of a snapshot, sorted by name.
func Families(s monitor.Snapshot) []*dto.MetricFamily { return new(Series).Families(s) }

// ExporterFamilies returns the metrics about the exporter itself, sorted by name.
func ExporterFamilies(e Exporter) []*dto.MetricFamily {
	return new(Series).families(func(f *family, d description) {
		if d.exporter != nil {
			f.countFrom(e.Started)
			d.exporter(f, &e)
		}
	})
}

// families returns the family of each row of the table to which add adds series.
func (s *Series) families(add func(*family, description)) (all []*dto.MetricFamily) {
	s.used = 0
	for _, d := range table {
		first := s.used
		add(&family{Series: s, kind: d.Type}, d)
		if added := s.made[first:s.used]; len(added) > 0 {
			all = append(all, &dto.MetricFamily{Name: &d.Name, Help: &d.Help, Type: d.Type.Enum(), Metric: added})
		}
	}
	return all
}

// input is a snapshot with the label of each token and account, which all their series share.
type input struct {
	monitor.Snapshot
	tokenLabels, accountLabels []*dto.LabelPair
}

// family adds the series of one metric.
type family struct {
	*Series
	kind  dto.MetricType
	owner *dto.LabelPair // of the token or account whose series are added; nil if it is the exporter
	began time.Time      // when its counters began
	zero  *dto.Counter   // of those that are 0, which are most
}

// gauges are shared by the series whose value is 0 or 1, which are most.
var gauges = [...]*dto.Gauge{{Value: new(0.0)}, {Value: new(1.0)}}

// add adds a series with the owner's label and others.
func (f *family) add(value float64, others ...*dto.LabelPair) {
	series := f.next(others)
	switch {
	case f.kind == dto.MetricType_COUNTER && value == 0:
		series.Counter = f.zero
	case f.kind == dto.MetricType_COUNTER:
		series.Counter = &dto.Counter{Value: new(value), CreatedTimestamp: f.zero.CreatedTimestamp}
	case value == 0 || value == 1:
		series.Gauge = gauges[int(value)]
	default:
		series.Gauge = &dto.Gauge{Value: new(value)}
	}
}

// countFrom sets when the counters that are added next began.
func (f *family) countFrom(t time.Time) {
	if f.zero == nil || t != f.began {
		f.began, f.zero = t, &dto.Counter{Value: new(0.0), CreatedTimestamp: timestamppb.New(t)}
	}
}

// addTime adds a series with the time in seconds since 1970, to the millisecond, unless the time is zero.
func (f *family) addTime(t time.Time) {
	if !t.IsZero() {
		f.add(float64(t.UnixMilli()) / 1e3)
	}
}

// next returns another series, which has labels but no value yet. Labels are sorted by name, as in every exposition.
func (f *family) next(others []*dto.LabelPair) *dto.Metric {
	if f.used == len(f.made) {
		f.made = append(f.made, new(dto.Metric))
	}
	series := f.made[f.used]
	f.used++
	labels := append(series.Label[:0], others...)
	if f.owner != nil {
		labels = append(labels, f.owner)
	}
	slices.SortFunc(labels, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	*series = dto.Metric{Label: labels}
	return series
}

func label(name, value *string) *dto.LabelPair { return &dto.LabelPair{Name: name, Value: value} }
