package appfigures

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

const maxRetryAfter = 24 * time.Hour // a response that asks for a longer pause gets this one

// number is a whole number that the API writes as a JSON number or string. Anything else decodes to -1, as does a
// number that is negative or has more than 31 bits, which nobody would believe: the API's limit is 1,000.
type number int64

// UnmarshalJSON implements [json.Unmarshaler] and never fails.
func (n *number) UnmarshalJSON(data []byte) error {
	*n = parseNumber(strings.Trim(string(data), `"`))
	return nil
}

func parseNumber(s string) number {
	value, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31)
	if err != nil {
		return -1
	}
	return number(value)
}

// readQuota returns the account's quota from the headers that the API sends with each response or, for what they lack,
// from the usage object in the root's body. A limit of zero is not believed.
func readQuota(header http.Header, doc document) probe.Quota {
	usage := struct {
		Limit number `json:"daily_limit"`
		Used  number `json:"daily_used"`
	}{-1, -1}
	_ = json.Unmarshal(doc.Usage, &usage) // what is not an object changes nothing
	limit := cmp.Or(max(0, parseNumber(header.Get("X-Request-Limit"))), max(0, usage.Limit))
	used := parseNumber(header.Get("X-Request-Usage"))
	if used < 0 {
		used = usage.Used
	}
	return probe.Quota{Limit: int64(limit), LimitOK: limit > 0, Used: max(0, int64(used)), UsedOK: used >= 0}
}

// readRetryAfter returns how long a response asks for a pause, at most maxRetryAfter; 0 if it does not. The header is
// in seconds or a date (RFC 9110, section 10.2.3). A date is of the server's clock, and so is compared to the
// response's own Date, without which it means nothing.
func readRetryAfter(header http.Header) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	until, err := http.ParseTime(value)
	date, dateErr := http.ParseTime(header.Get("Date"))
	if err != nil || dateErr != nil {
		return 0
	}
	return min(max(0, until.Sub(date)), maxRetryAfter)
}
