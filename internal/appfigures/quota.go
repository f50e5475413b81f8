package appfigures

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

const (
	// maxQuota bounds what is believed as a number of requests per day. The API's limit is 1,000.
	maxQuota = 1_000_000_000
	// maxRetryAfter bounds how long a response is believed to ask for a pause.
	maxRetryAfter = 24 * time.Hour
	// maxSkew is how far the API's Date header may be from our clock to be believed.
	maxSkew = time.Hour
)

// number is a whole number that the API writes as a JSON number or string. Anything else decodes to -1, as does a
// number out of the range 0 to maxQuota.
type number int64

// UnmarshalJSON implements [json.Unmarshaler] and never fails.
func (n *number) UnmarshalJSON(data []byte) error {
	*n = parseNumber(strings.Trim(string(data), `"`))
	return nil
}

func parseNumber(s string) number {
	value, err := strconv.ParseUint(strings.TrimSpace(s), 10, 64)
	if err != nil || value > maxQuota {
		return -1
	}
	return number(value)
}

// isError reports whether the number is an HTTP status of 4xx or 5xx.
func (n number) isError() bool { return n >= 400 && n <= 599 }

// readQuota returns the account's quota from the headers that the API sends with each response or, for what they lack,
// from the usage object in the root's body. A limit of zero is not believed.
func readQuota(header http.Header, doc document) probe.Quota {
	usage := struct {
		Limit number `json:"daily_limit"`
		Used  number `json:"daily_used"`
	}{-1, -1}
	if len(doc.Usage) == 0 || json.Unmarshal(doc.Usage, &usage) != nil {
		usage.Limit, usage.Used = -1, -1
	}
	limit, used := parseNumber(header.Get("X-Request-Limit")), parseNumber(header.Get("X-Request-Usage"))
	if limit <= 0 {
		limit = usage.Limit
	}
	if used < 0 {
		used = usage.Used
	}
	return probe.Quota{Limit: max(0, int64(limit)), LimitOK: limit > 0, Used: max(0, int64(used)), UsedOK: used >= 0}
}

// readThrottle returns the API's demand for fewer requests, whatever body comes with it. RetryAfter is a duration that
// starts with the response; it is the difference of wall clocks, so that one set from it may be compared to dates.
func readThrottle(status int, header http.Header, now time.Time) (throttle probe.Throttle) {
	switch status {
	case statusChillOut:
		throttle.Kind = probe.DailyLimit
		throttle.RetryAfter, throttle.RetryAfterOK = untilMidnight(header.Get("Date"), now)
	case statusSlowDown:
		throttle.Kind = probe.SlowDown
		throttle.RetryAfter, throttle.RetryAfterOK = parseRetryAfter(header.Get("Retry-After"), now)
	}
	return throttle
}

// parseRetryAfter reads both forms of the header (RFC 9110, section 10.2.3): seconds, and a date.
func parseRetryAfter(value string, now time.Time) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	seconds, err := strconv.ParseUint(value, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) { // out of range: the largest
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second, true
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(0, date.Sub(now)), maxRetryAfter), true
	}
	return 0, false
}

// untilMidnight returns how long the UTC day lasts by the API's clock. By our own, if that were a second ahead, the
// first probe of our day would meet the last limit of the API's, and be held for another whole day.
func untilMidnight(date string, now time.Time) (time.Duration, bool) {
	its, err := http.ParseTime(date)
	if err != nil || its.Sub(now).Abs() > maxSkew {
		return 0, false
	}
	return its.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(its), true
}
