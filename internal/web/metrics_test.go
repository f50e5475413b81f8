package web

import (
	"compress/gzip"
	"context"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/collector"
)

// TestFormats checks that each format is served, and that only protobuf has the times at which counters began: in the
// text formats they would be a series per counter. The families of the three sources are one exposition, sorted.
func TestFormats(t *testing.T) {
	const openMetrics, protobuf = "application/openmetrics-text", "application/vnd.google.protobuf"
	handler := newHandler(t, testOptions(newScraper()))
	for accept, want := range map[string]string{
		"":                             "text/plain",
		openMetrics + ";version=1.0.0": openMetrics,
		protobuf + ";proto=io.prometheus.client.MetricFamily;encoding=delimited": protobuf,
	} {
		answer := ask(handler, "GET", "/metrics", "Accept", accept)
		body := answer.Body.String()
		packed := ask(handler, "GET", "/metrics", "Accept", accept, "Accept-Encoding", "gzip")
		reader, err := gzip.NewReader(packed.Body)
		if err != nil || packed.Header().Get("Content-Encoding") != "gzip" {
			t.Fatalf("Accept %q: %v, headers %v, want gzip", accept, err, packed.Header())
		}
		// The counter of requests differs, but not in length.
		if unpacked, err := io.ReadAll(reader); err != nil || len(unpacked) != len(body) {
			t.Errorf("Accept %q: %d bytes packed, %d plain, %v", accept, len(unpacked), len(body), err)
		}
		if got := answer.Header().Get("Content-Type"); !strings.HasPrefix(got, want) {
			t.Errorf("Accept %q: Content-Type %q, want %q", accept, got, want)
		}
		if !strings.Contains(body, "appfigures_probes_total") || strings.Contains(body, "_created") {
			t.Errorf("Accept %q: no counters, or series that tell when they began:\n%s", accept, body)
		}
		var last string
		for line := range strings.Lines(body) {
			if name, ok := strings.CutPrefix(line, "# HELP "); ok {
				if name <= last && accept == "" { // OpenMetrics cuts the _total off
					t.Errorf("Accept %q: %q after %q", accept, name, last)
				}
				last = name
			}
		}
	}
}

// TestEncodings checks that a response has no encoding but one that the client accepts.
func TestEncodings(t *testing.T) {
	handler := newHandler(t, testOptions(newScraper()))
	for accepted, want := range map[string]string{
		"": "", "gzip": "gzip", "gzip, deflate, br": "gzip", "deflate": "", "identity": "", "gzip;q=0": "", "identity, gzip;q=0": "",
	} {
		answer := ask(handler, "GET", "/metrics", "Accept-Encoding", accepted)
		if got := answer.Header().Get("Content-Encoding"); answer.Code != 200 || got != want {
			t.Errorf("Accept-Encoding %q: status %d, encoding %q, want %q", accepted, answer.Code, got, want)
		}
	}
}

// TestScrapesAtOnce checks that no scrape uses the memory of another whose response is not complete.
func TestScrapesAtOnce(t *testing.T) {
	scraper := newScraper()
	options := testOptions(scraper)
	scrape := func(handler http.Handler) string { // without the counts of scrapes
		body, _, _ := strings.Cut(ask(handler, "GET", "/metrics").Body.String(), "# HELP promhttp")
		return body
	}
	want := scrape(newHandler(t, options))
	var handler http.Handler
	nested := false
	options.Exporter = func() collector.Exporter { // the series are made, and not written yet
		if !nested {
			nested = true
			slices.Reverse(scraper.tokens)
			scrape(handler)
		}
		return collector.Exporter{}
	}
	handler = newHandler(t, options)
	if got := scrape(handler); got != want {
		t.Errorf("a scrape beside another one gives\n%s\nwant\n%s", got, want)
	}
}

// TestScrapesAreBounded checks that scrapes beyond the limit are refused, those of /probe and /metrics together, while
// other endpoints answer.
func TestScrapesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scraper := newScraper()
		free := make(chan struct{})
		scraper.onScrape = func(context.Context) { <-free }
		handler := newHandler(t, testOptions(scraper))
		var waiting sync.WaitGroup
		for i := range maxScrapes {
			waiting.Go(func() { ask(handler, "GET", []string{"/metrics", "/probe?target=etl"}[i%2]) })
		}
		synctest.Wait()
		for target, want := range map[string]int{"/metrics": 503, "/probe?target=etl": 503, "/": 200, "/-/healthy": 200} {
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

func TestScrapeDeadline(t *testing.T) {
	for _, test := range []struct {
		header string
		offset time.Duration
		want   time.Duration
	}{
		{"10", 500 * time.Millisecond, 9500 * time.Millisecond},
		{"0.5", 500 * time.Millisecond, 250 * time.Millisecond}, // the offset would leave nothing
		{"10", math.MaxInt64, 5 * time.Second},
		{"10", -time.Second, 10 * time.Second}, // never later than Prometheus waits
		{"1e300", 0, 5 * time.Minute},
		{"", time.Second, 5 * time.Minute},
		{"0", 0, 5 * time.Minute},
		{"NaN", 0, 5 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) { // in which time stands still
			scraper := newScraper()
			scraper.onScrape = func(ctx context.Context) {
				deadline, _ := ctx.Deadline()
				if got := time.Until(deadline); got != test.want {
					t.Errorf("header %q, offset %v: deadline in %v, want %v", test.header, test.offset, got, test.want)
				}
			}
			options := testOptions(scraper)
			options.TimeoutOffset = test.offset
			handler := newHandler(t, options)
			ask(handler, "GET", "/metrics", "X-Prometheus-Scrape-Timeout-Seconds", test.header)
			ask(handler, "GET", "/probe?target=etl", "X-Prometheus-Scrape-Timeout-Seconds", test.header)
			if n := scraper.scrapes.Load(); n != 2 {
				t.Errorf("%d scrapes, want 2", n)
			}
		})
	}
}
