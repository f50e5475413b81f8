package web

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestFormats checks that each format is served, and that only protobuf tells when counters began: in the text formats
// that would be a series per counter.
func TestFormats(t *testing.T) {
	const openMetrics, protobuf = "application/openmetrics-text", "application/vnd.google.protobuf"
	handler := newHandler(t, testOptions(&fakeScraper{snapshot: everyState()}))
	for accept, want := range map[string]string{
		"":                             "text/plain",
		openMetrics + ";version=1.0.0": openMetrics,
		protobuf + ";proto=io.prometheus.client.MetricFamily;encoding=delimited": protobuf,
	} {
		answer := ask(handler, "GET", "/metrics", "Accept", accept)
		body := answer.Body.String()
		if got := answer.Header().Get("Content-Type"); !strings.HasPrefix(got, want) {
			t.Errorf("Accept %q: Content-Type %q, want %q", accept, got, want)
		}
		if !strings.Contains(body, "appfigures_probes_total") || strings.Contains(body, "_created") {
			t.Errorf("Accept %q: no counters, or series that tell when they began:\n%s", accept, body)
		}
	}
}

// TestFamiliesAreSorted checks that the families of the three sources are one sorted exposition, each name once.
func TestFamiliesAreSorted(t *testing.T) {
	body := ask(newHandler(t, testOptions(&fakeScraper{snapshot: everyState()})), "GET", "/metrics").Body.String()
	var previous string
	for line := range strings.Lines(body) {
		if name, ok := strings.CutPrefix(line, "# HELP "); ok {
			if name <= previous {
				t.Errorf("%q after %q", name, previous)
			}
			previous = name
		}
	}
}

func TestMetricsWithGatherError(t *testing.T) {
	options := testOptions(&fakeScraper{snapshot: everyState()})
	options.Registry.MustRegister(failingCollector{})
	answer := ask(newHandler(t, options), "GET", "/metrics")
	if answer.Code != 200 || !strings.Contains(answer.Body.String(), "appfigures_token_info{") {
		t.Errorf("status %d, want 200 with the rest of the metrics: %s", answer.Code, answer.Body)
	}
}

type failingCollector struct{}

func (failingCollector) Describe(chan<- *prometheus.Desc) {}
func (failingCollector) Collect(metrics chan<- prometheus.Metric) {
	metrics <- prometheus.NewInvalidMetric(prometheus.NewDesc("broken", "Broken.", nil, nil), errors.New("broken"))
}

// TestScrapesAreBounded checks that scrapes beyond the limit are refused, those of /probe and /metrics together, while
// other endpoints answer.
func TestScrapesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scraper := &fakeScraper{snapshot: everyState()}
		free := make(chan struct{})
		scraper.onScrape = func(context.Context, time.Time) { <-free }
		handler := newHandler(t, testOptions(scraper))
		var waiting sync.WaitGroup
		for i := range maxScrapes {
			waiting.Go(func() { ask(handler, "GET", []string{"/metrics", "/probe?target=mobile-old"}[i%2]) })
		}
		synctest.Wait()
		for target, want := range map[string]int{
			"/metrics": 503, "/probe?target=mobile-old": 503, "/": 200, "/-/healthy": 200,
		} {
			if answer := ask(handler, "GET", target); answer.Code != want {
				t.Errorf("%s: status %d, want %d", target, answer.Code, want)
			}
		}
		close(free)
		waiting.Wait()
		if answer := ask(handler, "GET", "/metrics"); answer.Code != 200 {
			t.Errorf("status %d after the others ended, want 200", answer.Code)
		}
	})
}

func TestScrapeTimeout(t *testing.T) {
	for _, test := range []struct {
		header string
		offset time.Duration
		want   time.Duration
	}{
		{"10", 500 * time.Millisecond, 9500 * time.Millisecond},
		{"2.5", 500 * time.Millisecond, 2 * time.Second},
		{"0.5", 500 * time.Millisecond, 250 * time.Millisecond}, // the offset would leave nothing
		{"10", math.MaxInt64, 5 * time.Second},
		{"10", -time.Second, 10 * time.Second}, // never later than Prometheus waits
		{"1e300", 0, maxScrape},
		{"", time.Second, maxScrape},
		{"0", 0, maxScrape},
		{"-1", 0, maxScrape},
		{"NaN", 0, maxScrape},
		{"10s", 0, maxScrape},
	} {
		if got := scrapeTimeout(test.header, test.offset); got != test.want {
			t.Errorf("scrapeTimeout(%q, %v) = %v, want %v", test.header, test.offset, got, test.want)
		}
	}
}
