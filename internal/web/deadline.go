package web

import (
	"math"
	"strconv"
	"time"
)

// timeoutHeader is how long Prometheus waits for this scrape, in seconds, as a decimal number.
const timeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

// The bounds of a scrape's timeout. Prometheus calls a series stale after five minutes, so no useful scrape takes
// longer.
const (
	minScrape = time.Millisecond
	maxScrape = 5 * time.Minute
)

// scrapeTimeout returns how long a scrape may take: the header's value less the offset, which is left for the response
// to reach Prometheus, or half of the value if the offset would leave nothing. It is within [minScrape, maxScrape]. It
// is not ok if the header is not a positive number: then the scrape may take as long as its probes.
func scrapeTimeout(header string, offset time.Duration) (timeout time.Duration, ok bool) {
	limit, ok := parseSeconds(header)
	if !ok {
		return 0, false
	}
	timeout = limit - max(offset, 0)
	if timeout <= 0 {
		timeout = limit / 2
	}
	return min(max(timeout, minScrape), maxScrape), true
}

// parseSeconds parses a positive, finite number of seconds. The result is at most the longest duration.
func parseSeconds(text string) (time.Duration, bool) {
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(seconds) || math.IsInf(seconds, 0) || seconds <= 0 {
		return 0, false
	}
	nanoseconds := seconds * float64(time.Second)
	if nanoseconds >= math.MaxInt64 {
		return math.MaxInt64, true
	}
	return time.Duration(nanoseconds), true
}
