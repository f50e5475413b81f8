// Package state keeps what cost requests to learn in one file, so that it survives restarts: verdicts, last results,
// budgets and holds. It knows nothing of what the values mean; internal/monitor does.
package state

import "time"

// State is the content of the state file. It holds no token: Source and Secret are short salted digests.
type State struct {
	Version int       `json:"version"`
	Saved   time.Time `json:"saved"`
	Boot    string    `json:"boot,omitempty"`  // the boot of the system, in which Steady counts; empty if unknown
	Steady  time.Time `json:"steady,omitzero"` // when the state was saved, by a clock that does not step
	Salt    []byte    `json:"salt"`            // of the digests
	Tokens  []Token   `json:"tokens"`

	Unverified *Unverified `json:"unverified,omitempty"` // nil if all times are known
	Asked      time.Time   `json:"asked,omitzero"`       // when a probe was last made only to learn them

	Gone     map[string]Gone `json:"gone,omitempty"` // by digest of a source or secret, or by name; see internal/monitor
	Accounts []Account       `json:"accounts"`
}

// Token is what is kept of one token.
type Token struct {
	Name    string `json:"name"`
	Account string `json:"account,omitempty"`
	Source  string `json:"source"`           // digest of where the secret comes from
	Secret  string `json:"secret,omitempty"` // digest of the secret last probed

	Verdict      string    `json:"verdict,omitempty"` // "valid" or "denied"; empty if unknown
	Reason       string    `json:"reason,omitempty"`  // name of the result that the verdict rests on
	Message      string    `json:"message,omitempty"`
	VerdictTime  time.Time `json:"verdict_time,omitzero"`
	VerdictSince time.Time `json:"verdict_since,omitzero"`
	SinceStart   bool      `json:"since_start,omitempty"`
	Unconfirmed  string    `json:"unconfirmed,omitempty"` // name of the denial that awaits confirmation

	Last        *Probe      `json:"last,omitempty"`
	ResultSince time.Time   `json:"result_since,omitzero"`
	Begun       time.Time   `json:"begun,omitzero"`   // when the last request was permitted
	Urgent      []time.Time `json:"urgent,omitempty"` // recent urgent probes, oldest first
	Spread      bool        `json:"spread,omitempty"` // to be probed next, because of another token's denial
}

// Probe is the outcome of a probe.
type Probe struct {
	Result     string          `json:"result"`
	HTTPStatus int             `json:"http_status,omitempty"`
	Message    string          `json:"message,omitempty"`
	Start      time.Time       `json:"start"`
	Duration   time.Duration   `json:"duration"` // nanoseconds
	Phases     []time.Duration `json:"phases,omitempty"`
}

// Unverified tells that what happened before At may be older by Off: for so long the system was off by the wall clock,
// which may be wrong.
type Unverified struct {
	At      time.Time     `json:"at"`
	Off     time.Duration `json:"off"`      // in nanoseconds
	APITime time.Time     `json:"api_time"` // by the API's clock, at At, if the system was not off; zero if unknown
}

// Account is what is kept of one account.
type Account struct {
	Name       string    `json:"name"`
	ID         uint64    `json:"id,omitempty"`      // survives another name
	Limit      int64     `json:"limit,omitempty"`   // requests per UTC day, as last reported; 0 if never
	Used       int64     `json:"used"`              // requests of Day, as last reported; -1 if never
	Reported   time.Time `json:"reported,omitzero"` // when Used was reported
	Day        int64     `json:"day,omitempty"`     // UTC day by the API's clock, as days since 1970
	APITime    time.Time `json:"api_time,omitzero"` // by the API's clock, when the state was saved; zero if unknown
	Bins       []Bin     `json:"bins,omitempty"`    // requests of the last 24 hours
	Tokens     int       `json:"tokens,omitempty"`  // how many it has
	Permits    float64   `json:"permits"`           // in the bucket; negative if it is overdrawn
	Last       time.Time `json:"last,omitzero"`     // last permit
	HoldReason string    `json:"hold_reason,omitempty"`
	HoldUntil  time.Time `json:"hold_until,omitzero"`
	HeldAt     time.Time `json:"held_at,omitzero"` // when the API demanded that

	DelayedUntil time.Time `json:"delayed_until,omitzero"` // until when routine probes wait, or waited, for longer than their pace
}

// Gone is what is kept of tokens that left the configuration, or were given another secret.
type Gone struct {
	Accounts []string  `json:"accounts"` // that they were in
	Last     time.Time `json:"last"`     // request
}

// Bin counts the requests of a short span of time.
type Bin struct {
	Origin uint64    `json:"origin,omitempty"` // ID of the account that made them
	Start  time.Time `json:"start"`
	Count  int64     `json:"count"`
}
