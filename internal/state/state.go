// Package state keeps what cost requests to learn in one file, so that it survives restarts: verdicts, last results,
// turns, counters and holds. It knows nothing of what the values mean; internal/monitor does.
package state

import "time"

// State is the content of the state file. It holds no token: Source and Secret are salted digests. Times are
// wall-clock times.
type State struct {
	Version    int        `json:"version"` // of the format
	Salt       []byte     `json:"salt"`    // of the digests
	Tokens     []Token    `json:"tokens"`
	Accounts   []Account  `json:"accounts"`
	Unanswered Unanswered `json:"unanswered,omitzero"`
}

// Token is what is kept of one token.
type Token struct {
	Name   string `json:"name"`
	Source string `json:"source"`           // digest of where the secret comes from
	Secret string `json:"secret,omitempty"` // digest of the secret last read

	Verdict      string    `json:"verdict,omitempty"` // "valid" or "denied"; empty if unknown
	Reason       string    `json:"reason,omitempty"`  // name of the result that the verdict rests on
	Message      string    `json:"message,omitempty"`
	VerdictTime  time.Time `json:"verdict_time,omitzero"`
	VerdictSince time.Time `json:"verdict_since,omitzero"`
	SinceStart   bool      `json:"since_start,omitempty"`
	Unconfirmed  string    `json:"unconfirmed,omitempty"` // name of the denial that awaits confirmation

	Configured time.Time `json:"configured"`
	LastTurn   time.Time `json:"last_turn"` // when the last turn was due
	Sent       bool      `json:"sent,omitempty"`
	LookAgain  bool      `json:"look_again,omitempty"`
	Decided    time.Time `json:"decided,omitzero"` // when an answer last decided something

	Last    *Probe       `json:"last,omitempty"`
	History []PastResult `json:"history,omitempty"` // oldest first
}

// Probe is the outcome of a probe.
type Probe struct {
	Result     string          `json:"result"`
	HTTPStatus int             `json:"http_status,omitempty"`
	Message    string          `json:"message,omitempty"`
	Sent       bool            `json:"sent,omitempty"`
	Start      time.Time       `json:"start"`
	Duration   time.Duration   `json:"duration"` // nanoseconds
	Phases     []time.Duration `json:"phases,omitempty"`
}

// PastResult is one cell of a token's history.
type PastResult struct {
	Time   time.Time `json:"time"`
	Result string    `json:"result"`
	Unsent bool      `json:"unsent,omitempty"` // whether no request left
}

// Account is what is kept of one account.
type Account struct {
	Name      string    `json:"name"`
	Day       time.Time `json:"day,omitzero"`         // 00:00 UTC of the day that the counters are about
	Used      int64     `json:"used,omitempty"`       // requests of that day
	ExtraUsed int64     `json:"extra_used,omitempty"` // of these, the extra turns
	Limit     int64     `json:"limit,omitempty"`      // requests per UTC day, as last reported; 0 if never

	ReportedUse   int64     `json:"reported_use,omitempty"`  // requests of all programs, as the API last reported
	SinceReport   int64     `json:"since_report,omitempty"`  // own requests since
	ReportedUntil time.Time `json:"reported_until,omitzero"` // end of the API's day that ReportedUse is about; zero if never
	HoldReason    string    `json:"hold_reason,omitempty"`
	HoldUntil     time.Time `json:"hold_until,omitzero"`
}

// Unanswered counts the consecutive probes, of whichever token, that the API itself did not answer.
type Unanswered struct {
	Probes int       `json:"probes"`
	Since  time.Time `json:"since"` // start of the first of them
}
