package state

import (
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// Content is what survives a restart. It holds no token: a token's source and secret are salted digests.
type Content struct {
	Salt       []byte     `json:"salt"`
	Tokens     []Token    `json:"tokens"`
	Accounts   []Account  `json:"accounts"`
	Unanswered Unanswered `json:"unanswered"`
}

// Token is what is kept of a token.
type Token struct {
	Name         string `json:"name"`
	SourceDigest string `json:"source"`           // of where the secret comes from
	SecretDigest string `json:"secret,omitempty"` // of the secret last read; empty before the first
	Findings
	Turns
}

// Findings is what is known about a token.
type Findings struct {
	Verdict      probe.Verdict `json:"verdict"`
	Reason       probe.Result  `json:"reason"`           // that the verdict rests on: Valid, Rejected, Locked or Forbidden
	Message      string        `json:"message"`          // the API's, of that answer
	VerdictTime  time.Time     `json:"verdict_time"`     // when an answer last confirmed the verdict; zero if none did
	VerdictSince time.Time     `json:"verdict_since"`    // since when verdict and reason have been so; zero if none
	SinceStart   bool          `json:"since_start"`      // whether the first answers already said so: it may be older
	Pending      probe.Result  `json:"pending,omitzero"` // a denial that awaits its confirmation; Valid if none does

	Probed     bool          `json:"probed"`     // whether Last holds a result
	Last       probe.Outcome `json:"last"`       // of the last probe, or NoToken, for which none was made
	History    []Past        `json:"history"`    // the last results, oldest first; must not be modified
	Configured time.Time     `json:"configured"` // when the token, or its present secret, was first seen
}

// Past is one result in a token's history. Consecutive results for which no request left are one.
type Past struct {
	Unix   int64        `json:"unix"` // seconds since 1970 at its time
	Result probe.Result `json:"result"`
	Unsent bool         `json:"unsent,omitempty"` // whether no request left
}

// Time returns when the probe was made, or the first of several.
func (p Past) Time() time.Time { return time.Unix(p.Unix, 0) }

// Turns is what pacing knows about a token.
type Turns struct {
	LastTurn    time.Time `json:"last_turn"`              // when its last turn was due; the next is due an interval later
	SecretTried bool      `json:"secret_tried,omitempty"` // whether a request was granted with its present secret
	LookAgain   bool      `json:"look_again,omitempty"`   // whether there may be news about it
	Missed      bool      `json:"missed,omitempty"`       // its last result decided nothing: it may be looked at again once
	Requested   time.Time `json:"requested,omitzero"`     // when its last request was granted, or it was configured
}

// Account is what is kept of an account.
type Account struct {
	Name      string    `json:"name"`
	Day       time.Time `json:"day"`        // 00:00 UTC of the day that the counters are about
	Used      int64     `json:"used"`       // requests of that day
	ExtraUsed int64     `json:"extra_used"` // of these, extra turns
	Limit     int64     `json:"limit"`      // requests per UTC day, as the API last reported; 0 if never
	Report    Report    `json:"report,omitzero"`
	Hold      Hold      `json:"hold,omitzero"`
	// Excused is the end of the last or present hold by a used-up quota or budget: until then no verdict is overdue. A 429
	// excuses nothing: if the API answers nothing else, only the alert on unverified tokens tells.
	Excused time.Time `json:"excused,omitzero"`
}

// Report is an account's use as the API last reported it.
type Report struct {
	Used  int64     `json:"used"`  // requests of all programs on the API's day
	Since int64     `json:"since"` // own requests since the report
	Until time.Time `json:"until"` // end of the API's day
}

// Hold is a pause that an answer demanded.
type Hold struct {
	Reason string    `json:"reason"` // quota_exhausted or rate_limited
	Until  time.Time `json:"until"`
}

// Unanswered counts the consecutive probes, of whichever token, that the API itself did not answer. A token that could
// not be read does not count: it was not probed.
type Unanswered struct {
	Probes int       `json:"probes"`
	Since  time.Time `json:"since"` // start of the first of them; zero if there is none
}
