package web

import (
	"math"
	"strconv"
	"testing"
	"time"
)

func TestScrapeTimeout(t *testing.T) {
	const offset, fallback = 500 * time.Millisecond, 10 * time.Second
	for _, test := range []struct {
		header string
		want   time.Duration
	}{
		{"", fallback},
		{"10", 9500 * time.Millisecond},
		{"10.000000", 9500 * time.Millisecond},
		{"2.5", 2 * time.Second},
		{"0.6", 100 * time.Millisecond},
		{"0.5", 250 * time.Millisecond}, // the offset would leave nothing
		{"0.1", 50 * time.Millisecond},
		{"0.000000001", minScrape},
		{"300.5", maxScrape},
		{"301", maxScrape},
		{"1e300", maxScrape},
		{"9223372036.854775807", maxScrape},
		{"0", fallback},
		{"-0", fallback},
		{"-1", fallback},
		{"1e999", fallback}, // out of range of a float64
		{"NaN", fallback},
		{"+Inf", fallback},
		{"-Inf", fallback},
		{"10s", fallback},
		{" 10", fallback},
		{"10, 20", fallback},
		{"ten", fallback},
		{"１０", fallback},
	} {
		if got := scrapeTimeout(test.header, offset, fallback); got != test.want {
			t.Errorf("scrapeTimeout(%q) = %v, want %v", test.header, got, test.want)
		}
	}
}

func TestScrapeTimeoutOffsets(t *testing.T) {
	for _, test := range []struct {
		offset, fallback, want time.Duration
	}{
		{0, time.Second, 10 * time.Second},
		{-time.Second, time.Second, 10 * time.Second}, // never later than Prometheus waits
		{10 * time.Second, time.Second, 5 * time.Second},
		{math.MaxInt64, time.Second, 5 * time.Second},
	} {
		if got := scrapeTimeout("10", test.offset, test.fallback); got != test.want {
			t.Errorf("offset %v: %v, want %v", test.offset, got, test.want)
		}
	}
	for fallback, want := range map[time.Duration]time.Duration{
		0:               minScrape,
		time.Hour:       maxScrape,
		2 * time.Minute: 2 * time.Minute,
	} {
		if got := scrapeTimeout("", time.Second, fallback); got != want {
			t.Errorf("fallback %v: %v, want %v", fallback, got, want)
		}
	}
}

// FuzzScrapeTimeout holds that no scrape lasts longer than Prometheus waits, and that a header which is no positive
// number changes nothing.
func FuzzScrapeTimeout(f *testing.F) {
	for _, header := range []string{"", "10", "0.5", "-1", "NaN", "Inf", "1e308", "0x1p-1074", "1_000", "\x00", "9223372036.9"} {
		f.Add(header, int64(500*time.Millisecond), int64(10*time.Second))
	}
	f.Add("1", int64(math.MinInt64), int64(math.MinInt64))
	f.Add("1", int64(math.MaxInt64), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, header string, offset, fallback int64) {
		got := scrapeTimeout(header, time.Duration(offset), time.Duration(fallback))
		if got < minScrape || got > maxScrape {
			t.Errorf("scrapeTimeout(%q, %d, %d) = %v, out of bounds", header, offset, fallback, got)
		}
		asked, err := strconv.ParseFloat(header, 64)
		told := err == nil && asked > 0 && !math.IsInf(asked, 0)
		if told && got > minScrape && got.Seconds() > asked {
			t.Errorf("scrapeTimeout(%q, %d, %d) = %v, longer than Prometheus waits", header, offset, fallback, got)
		}
		if bounded := min(max(time.Duration(fallback), minScrape), maxScrape); !told && got != bounded {
			t.Errorf("scrapeTimeout(%q, %d, %d) = %v, want the fallback, %v", header, offset, fallback, got, bounded)
		}
	})
}
