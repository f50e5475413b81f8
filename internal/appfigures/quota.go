package appfigures

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxQuota bounds what is believed as a number of requests a day. The API's limit is 1,000; plans with a million times
// as many are thinkable, garbage is not.
const maxQuota = 1_000_000_000

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

// readQuotaHeaders takes the account's quota from the headers that the API sends with each response.
func readQuotaHeaders(quota *probe.Quota, header http.Header) {
	quota.set(parseNumber(header.Get("X-Request-Limit")), parseNumber(header.Get("X-Request-Usage")))
}

// readQuotaBody takes the account's quota from the usage object in the root's answer.
func readQuotaBody(quota *probe.Quota, doc document) {
	usage := struct {
		Limit number `json:"daily_limit"`
		Used  number `json:"daily_used"`
	}{-1, -1}
	if len(doc.Usage) > 0 && json.Unmarshal(doc.Usage, &usage) == nil {
		quota.set(usage.Limit, usage.Used)
	}
}

// set takes over what is believable. A limit of zero is not: it would say that the account may do nothing at all.
func (q *probe.Quota) set(limit, used number) {
	if limit > 0 {
		q.Limit, q.LimitOK = int64(limit), true
	}
	if used >= 0 {
		q.Used, q.UsedOK = int64(used), true
	}
}

// readThrottle notes the API's demand for fewer requests, whatever body comes with it.
func readThrottle(throttle *probe.Throttle, status int, header http.Header) {
	switch status {
	case statusChillOut:
		throttle.Kind = DailyLimit
		throttle.RetryAfter, throttle.RetryAfterOK = untilItsMidnight(header.Get("Date"), time.Now())
	case statusSlowDown:
		throttle.Kind = SlowDown
		throttle.RetryAfter, throttle.RetryAfterOK = parseRetryAfter(header.Get("Retry-After"), time.Now())
	}
}

// parseRetryAfter reads both forms of the header (RFC 9110, section 10.2.3): seconds, and a date.
func parseRetryAfter(value string, now time.Time) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) { // then the largest
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second, true
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(0, date.Sub(now)), maxRetryAfter), true
	}
	return 0, false
}

// maxSkew is how far the API's Date header may be from our clock to be believed.
const maxSkew = time.Hour

// untilItsMidnight returns how long the UTC day still lasts by the API's clock. With our own clock a second ahead, the
// first probe of our day would meet the last limit of the API's, and be held for another whole day.
func untilItsMidnight(date string, now time.Time) (time.Duration, bool) {
	its, err := http.ParseTime(date)
	if err != nil || its.Sub(now).Abs() > maxSkew {
		return 0, false
	}
	return its.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(its), true
}
