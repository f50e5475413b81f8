package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

// render returns the report in the format.
func (o Options) render(report status.Report, families []*dto.MetricFamily) ([]byte, error) {
	var out bytes.Buffer
	switch o.Format {
	case JSON:
		text, err := json.MarshalIndent(report, "", "  ")
		return append(text, '\n'), err
	case Prometheus:
		err := writeMetrics(&out, families)
		return out.Bytes(), err
	case Nagios:
		writeNagios(&out, report, o.Thresholds, o.Note)
	default:
		writeTable(&out, report, o.Quiet)
	}
	return out.Bytes(), nil
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

// sentences returns what is known about a token that its state does not show. It is empty if there is nothing.
func sentences(t status.Token) string {
	var all []string
	if t.State != status.Valid {
		all = append(all, t.Why)
	}
	if t.Message != nil {
		all = append(all, "“"+*t.Message+"”")
	}
	return strings.Join(append(all, t.Notes...), " ")
}

// accountText describes an account in one line.
func accountText(a status.Account) string {
	text := fmt.Sprintf("Account %s: probes have used %s today (UTC)", a.Name, a.Budget.Usage())
	if usage := a.Quota.Usage(); usage != "" {
		text += ", all programs " + usage
	}
	if a.Held == nil {
		text += "; each token is probed " + a.Pace()
	}
	return strings.TrimSpace(text + ". " + strings.Join(a.Notes, " "))
}

// printable makes one line of text that steers no terminal: white space becomes spaces, and what else cannot be
// printed, such as what reverses the direction of writing, becomes U+FFFD.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
