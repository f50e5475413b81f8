package web

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

func TestFormats(t *testing.T) {
	const openMetrics, protobuf = "application/openmetrics-text", "application/vnd.google.protobuf"
	handler := newHandler(t, testOptions(&fakeScraper{snapshot: everyState()}))
	for accept, want := range map[string]string{
		"":    "text/plain",
		"*/*": "text/plain",
		openMetrics + ";version=1.0.0,text/plain;version=0.0.4;q=0.5":                       openMetrics,
		protobuf + ";proto=io.prometheus.client.MetricFamily;encoding=delimited,text/plain": protobuf,
	} {
		answer := ask(handler, "GET", "/metrics", "Accept", accept)
		got, _, err := mime.ParseMediaType(answer.Header().Get("Content-Type"))
		if err != nil || got != want && accept != "*/*" {
			t.Errorf("Accept %q: Content-Type %q, %v, want %q", accept, got, err, want)
		}
		if eof := strings.HasSuffix(answer.Body.String(), "# EOF\n"); eof != (want == openMetrics) {
			t.Errorf("Accept %q: ends as OpenMetrics: %v", accept, eof)
		}
	}
}

func TestCompression(t *testing.T) {
	handler := newHandler(t, testOptions(&fakeScraper{snapshot: everyState()}))
	for accept, want := range map[string]bool{
		"":                       false,
		"identity":               false,
		"gzip":                   true,
		"GZIP":                   true,
		"zstd, gzip;q=0.8":       true,
		"gzip;q=0":               false,
		"gzip; q=0.0, identity":  false,
		"*":                      true,
		"*;q=0":                  false,
		"*, gzip;q=0":            false,
		"gzipped":                false,
		"deflate, br":            false,
		"gzip;q=banana":          true,
		"gzip, deflate, br, zst": true,
	} {
		for _, target := range []string{"/metrics", "/"} {
			answer := ask(handler, "GET", target, "Accept-Encoding", accept)
			got := answer.Header().Get("Content-Encoding") == "gzip"
			if got != want {
				t.Errorf("%s with Accept-Encoding %q: compressed: %v, want %v", target, accept, got, want)
			}
			if vary := strings.Join(answer.Header().Values("Vary"), ","); !strings.Contains(vary, "Accept-Encoding") {
				t.Errorf("%s: Vary %q", target, vary)
			}
			var body io.Reader = answer.Body
			if length := answer.Header().Get("Content-Length"); length != fmt.Sprint(answer.Body.Len()) {
				t.Errorf("%s: Content-Length %s of a body of %d", target, length, answer.Body.Len())
			}
			if got {
				unpacked, err := gzip.NewReader(answer.Body)
				if err != nil {
					t.Fatal(err)
				}
				body = unpacked
			}
			if text, err := io.ReadAll(body); err != nil || !strings.Contains(string(text), "mobile") {
				t.Errorf("%s with Accept-Encoding %q: unreadable: %v", target, accept, err)
			}
		}
	}
}

// failingGatherer yields an error, with families or without.
type failingGatherer struct{ families []*dto.MetricFamily }

func (g failingGatherer) Gather() ([]*dto.MetricFamily, error) {
	return g.families, errors.New("gathering failed")
}

func TestMetricsWithGatherError(t *testing.T) {
	options := testOptions(&fakeScraper{snapshot: everyState()})
	options.Exporter = failingGatherer{}
	handler := newHandler(t, options)

	if answer := ask(handler, "GET", "/metrics"); answer.Code != 200 ||
		!strings.Contains(answer.Body.String(), "go_info 0") {
		t.Errorf("status %d, want 200 with the rest of the metrics: %s", answer.Code, answer.Body)
	}
	answer := ask(handler, "GET", "/metrics")
	if want := `promhttp_metric_handler_errors_total{cause="gathering"} 1`; !strings.Contains(answer.Body.String(), want) {
		t.Errorf("want %s in:\n%s", want, answer.Body)
	}
}

func TestFamiliesAreSorted(t *testing.T) {
	answer := ask(newHandler(t, testOptions(&fakeScraper{snapshot: everyState()})), "GET", "/metrics")
	var previous string
	for line := range strings.Lines(answer.Body.String()) {
		name, isHelp := strings.CutPrefix(line, "# HELP ")
		if !isHelp {
			continue
		}
		if name <= previous {
			t.Errorf("%q after %q", name, previous)
		}
		previous = name
	}
	parser := expfmt.NewTextParser(1) // UTF-8 names
	if _, err := parser.TextToMetricFamilies(strings.NewReader(answer.Body.String())); err != nil {
		t.Error(err)
	}
}

// discard is a client that reads and forgets.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkMetrics measures encoding a scrape of 1,000 tokens with 40 series each.
func BenchmarkMetrics(b *testing.B) {
	families := manyFamilies(40, 1000)
	options := testOptions(&fakeScraper{snapshot: monitor.Snapshot{}})
	options.Exposition = func(monitor.Snapshot) iter.Seq[*dto.MetricFamily] { return slices.Values(families) }
	handler := newHandler(b, options)
	for _, encoding := range []string{"identity", "gzip"} {
		b.Run(encoding, func(b *testing.B) {
			request, err := http.NewRequest("GET", "/metrics", http.NoBody)
			if err != nil {
				b.Fatal(err)
			}
			request.Header.Set("Accept-Encoding", encoding)
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(discard{make(http.Header)}, request)
			}
		})
	}
}

// manyFamilies returns gauges with one series per token.
func manyFamilies(families, tokens int) []*dto.MetricFamily {
	registry := prometheus.NewRegistry()
	for family := range families {
		gauge := prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: fmt.Sprintf("appfigures_family_%02d_seconds", family), Help: "For measuring.",
		}, []string{"token", "result"})
		registry.MustRegister(gauge)
		for token := range tokens {
			gauge.WithLabelValues(fmt.Sprintf("token-%04d", token), "rate_limited").Set(float64(family*token) / 7)
		}
	}
	gathered, err := registry.Gather()
	if err != nil {
		panic(err)
	}
	return gathered
}
