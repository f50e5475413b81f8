package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

// render returns the report in the format.
func (o Options) render(report status.Report, families []*dto.MetricFamily) ([]byte, error) {
	var out bytes.Buffer
	var err error
	switch o.Format {
	case JSON:
		err = writeJSON(&out, report, o.Quiet)
	case Nagios:
		writeNagios(&out, report, o.Thresholds, o.Note)
	case Prometheus:
		err = writeMetrics(&out, families)
	default:
		writeTable(&out, report, o.Quiet)
	}
	return out.Bytes(), err
}

// writeJSON writes the report as one JSON document. If quiet, it leaves out the valid tokens.
func writeJSON(out *bytes.Buffer, report status.Report, quiet bool) error {
	if quiet {
		report.Tokens = slices.DeleteFunc(report.Tokens, func(t status.Token) bool { return t.State == status.Valid })
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}

// writeMetrics writes the metrics that are about a token or an account in the text format. What is about the exporter
// as a whole would collide with the same metric in another file of the textfile collector.
func writeMetrics(out *bytes.Buffer, families []*dto.MetricFamily) error {
	if families == nil {
		return errors.New("--output=prometheus does not work with --exporter: " +
			"let Prometheus scrape the exporter's /metrics")
	}
	for _, family := range families {
		if len(family.Metric) == 0 || !slices.ContainsFunc(family.Metric[0].Label, isSubject) {
			continue
		}
		if _, err := expfmt.MetricFamilyToText(out, family); err != nil {
			return fmt.Errorf("writing the metrics: %w", err)
		}
	}
	return nil
}

func isSubject(label *dto.LabelPair) bool {
	return label.GetName() == "token" || label.GetName() == "account"
}
