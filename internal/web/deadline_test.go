package web

import (
	"math"
	"strconv"
	"testing"
	"time"
)

func TestScrapeTimeout(t *testing.T) {
	for _, test := range []struct {
		header string
		want   time.Duration // 0: not ok
	}{
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
		{"", 0},
		{"0", 0},
		{"-0", 0},
		{"-1", 0},
		{"1e999", 0}, // out of range of a float64
		{"NaN", 0},
		{"+Inf", 0},
		{"-Inf", 0},
		{"10s", 0},
		{" 10", 0},
		{"10, 20", 0},
		{"ten", 0},
		{"１０", 0},
	} {
		got, ok := scrapeTimeout(test.header, 500*time.Millisecond)
		if got != test.want || ok != (test.want != 0) {
			t.Errorf("scrapeTimeout(%q) = %v, %v, want %v", test.header, got, ok, test.want)
		}
	}
	for offset, want := range map[time.Duration]time.Duration{
		0:                10 * time.Second,
		-time.Second:     10 * time.Second, // never later than Prometheus waits
		10 * time.Second: 5 * time.Second,
		math.MaxInt64:    5 * time.Second,
	} {
		if got, _ := scrapeTimeout("10", offset); got != want {
			t.Errorf("offset %v: %v, want %v", offset, got, want)
		}
	}
}

// FuzzScrapeTimeout checks that no scrape lasts longer than Prometheus waits.
func FuzzScrapeTimeout(f *testing.F) {
	for _, header := range []string{"", "10", "0.5", "-1", "NaN", "Inf", "1e308", "0x1p-1074", "1_000", "\x00"} {
		f.Add(header, int64(500*time.Millisecond))
	}
	f.Add("1", int64(math.MinInt64))
	f.Add("1", int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, header string, offset int64) {
		got, ok := scrapeTimeout(header, time.Duration(offset))
		seconds, err := strconv.ParseFloat(header, 64)
		if want := err == nil && seconds > 0 && !math.IsInf(seconds, 0); ok != want {
			t.Errorf("scrapeTimeout(%q, %d): ok %v, want %v", header, offset, ok, want)
		}
		if ok && (got < minScrape || got > maxScrape || got > minScrape && got.Seconds() > seconds) {
			t.Errorf("scrapeTimeout(%q, %d) = %v, out of bounds", header, offset, got)
		}
	})
}
