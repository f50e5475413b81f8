package web

import (
	"math"
	"strconv"
	"time"
)

// timeoutHeader is how long Prometheus will wait for this scrape, in seconds, as a decimal number.
const timeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

// The bounds of a scrape's time, whoever asks. Prometheus calls a series stale after five minutes, so no useful
// scrape takes longer.
const (
	minScrape = time.Millisecond
	maxScrape = 5 * time.Minute
)

// scrapeTimeout returns how long a scrape may take: what the header says less the offset, which is left for the
// answer to reach Prometheus; half of what it says when the offset would leave nothing. A header that is no positive
// number is as good as none, and then the fallback holds. The result lies within [minScrape, maxScrape]: a scrape
// never fails because of its header.
func scrapeTimeout(header string, offset, fallback time.Duration) time.Duration {
	timeout := fallback
	if asked, ok := parseSeconds(header); ok {
		timeout = asked - max(offset, 0)
		if timeout <= 0 {
			timeout = asked / 2
		}
	}
	return min(max(timeout, minScrape), maxScrape)
}

// parseSeconds returns a positive, finite number of seconds as a duration, the longest there is when it is longer.
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
