// Package status judges how tokens stand, for the page, the JSON and the check command alike: its states, thresholds
// and words are the only ones.
package status

import "time"

// Report is the state of all tokens and accounts as /api/v1/status and `check --output=json` give it. Its keys and
// types are a contract: keys are never missing, absent facts are null.
type Report struct {
	State    string    `json:"state"` // the worst of the tokens': denied, unknown, warning or valid
	Time     time.Time `json:"time"`  // when the report was made
	Tokens   []Token   `json:"tokens"`
	Accounts []Account `json:"accounts"`
}

// Token is one token of a [Report].
type Token struct {
	Name            string            `json:"name"`
	Account         string            `json:"account"`
	Labels          map[string]string `json:"labels"`
	State           string            `json:"state"`        // denied, unknown, warning or valid
	Verdict         *string           `json:"verdict"`      // valid or denied
	Reason          *string           `json:"reason"`       // of a denial: rejected, locked or forbidden
	Since           *time.Time        `json:"since"`        // since when the verdict has been so
	VerdictTime     *time.Time        `json:"verdict_time"` // when an answer last confirmed it
	Result          *string           `json:"result"`       // of the last probe
	ResultTime      *time.Time        `json:"result_time"`
	HTTPStatus      *int              `json:"http_status"`
	DurationSeconds *float64          `json:"duration_seconds"`
	Message         *string           `json:"message"` // the API's or the network's, or why there is no result
	Advice          *string           `json:"advice"`  // what to do; null if nothing
	ExpiresAt       *time.Time        `json:"expires_at"`
	NextProbe       *time.Time        `json:"next_probe"` // null if the next scrape probes it
}

// Account is one account of a [Report].
type Account struct {
	Name   string `json:"name"`
	Quota  Quota  `json:"quota"`
	Budget Budget `json:"budget"`
	Held   *Held  `json:"held"` // null if its tokens are probed
}

// Quota is an account's daily quota as the API last reported it today (UTC).
type Quota struct {
	Limit *int64     `json:"limit"`
	Used  *int64     `json:"used"`
	Reset *time.Time `json:"reset"`
}

// Budget is what probes may use of the quota, in requests in any 24 hours.
type Budget struct {
	Limit int64 `json:"limit"`
	Used  int64 `json:"used"`
}

// Held tells why an account is not probed, and until when.
type Held struct {
	Reason string    `json:"reason"` // daily_limit, slow_down or reserve
	Until  time.Time `json:"until"`
}
