package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
)

// The JSON that programs read. Its keys and types are a contract; null stands for what is not known.
type (
	jsonReport struct {
		Tokens []jsonToken `json:"tokens"` // in the order of the configuration
	}
	jsonToken struct {
		Name            string     `json:"name"`
		Account         string     `json:"account"`
		Result          *string    `json:"result"`           // null when the check ended before there was one
		Valid           *bool      `json:"valid"`            // by this check's own probe; null without a verdict
		HTTPStatus      int        `json:"http_status"`      // 0 without a response
		DurationSeconds float64    `json:"duration_seconds"` // 0 without a probe
		Message         string     `json:"message"`
		Quota           *jsonQuota `json:"quota"`
		ExpiresAt       *string    `json:"expires_at"` // RFC 3339, UTC
	}
	jsonQuota struct {
		Used  *int64 `json:"used"`  // requests of this UTC day
		Limit *int64 `json:"limit"` // requests a UTC day
	}
)

// renderJSON returns the findings as one JSON document that ends in a newline.
func renderJSON(findings []finding) string {
	report := jsonReport{Tokens: make([]jsonToken, len(findings))}
	for i, f := range findings {
		report.Tokens[i] = f.toJSON()
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	// Plain structs of strings, numbers and booleans; a duration in seconds is never NaN.
	if err := encoder.Encode(report); err != nil {
		panic(err)
	}
	return escapeUnprintable(out.String())
}

func (f finding) toJSON() jsonToken {
	token := jsonToken{
		Name:            f.Name,
		Account:         f.Account,
		HTTPStatus:      f.Last.HTTPStatus,
		DurationSeconds: f.Last.Duration.Seconds(),
		Message:         f.message,
	}
	if f.ended {
		token.Result = new(f.result.String())
	}
	if f.severity != undecided {
		token.Valid = new(f.severity != denied)
	}
	if f.Quota.UsedOK || f.Quota.LimitOK {
		token.Quota = newJSONQuota(f.Quota)
	}
	if !f.ExpiresAt.IsZero() {
		token.ExpiresAt = new(f.ExpiresAt.UTC().Format(time.RFC3339))
	}
	return token
}

func newJSONQuota(quota probe.Quota) *jsonQuota {
	q := &jsonQuota{}
	if quota.UsedOK {
		q.Used = &quota.Used
	}
	if quota.LimitOK {
		q.Limit = &quota.Limit
	}
	return q
}

// escapeUnprintable writes the characters of a JSON document that steer a terminal, or are not seen, as \u escapes,
// which mean the same. The encoder does so below U+0020 only; outside of strings there are none.
func escapeUnprintable(document string) string {
	var out strings.Builder
	for _, r := range document {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			out.WriteRune(r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.String()
}
