package monitor

import (
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// Snapshot is the state of the tokens at one moment: values that do not change any more. The page, the metrics, the
// JSON, service discovery and the check command are made from it.
type Snapshot struct {
	Time     time.Time
	Tokens   []TokenState   // in the order of the configuration
	Accounts []AccountState // sorted by name; those of Tokens

	Unanswered Unanswered
	// CertificateExpiry is the earliest expiry in the chain of the last TLS handshake; zero before the first.
	CertificateExpiry time.Time
	StateFile         StateFile
}

// Unanswered counts the consecutive probes, of whichever token, that the API itself did not answer. A token that could
// not be read does not count: it was not probed.
type Unanswered struct {
	Probes int
	Since  time.Time // start of the first of them; zero if there is none
}

// StateFile is how the state file does.
type StateFile struct {
	Enabled bool
	Saved   time.Time // when it was last written; zero before the first time
	Errors  uint64    // failed writes
}

// TokenState is what is known about one token.
type TokenState struct {
	config.Token // name, account, labels, expiry, source

	Verdict      probe.Verdict
	Reason       probe.Result // the result that the verdict rests on: Valid, or Rejected, Locked or Forbidden
	Message      string       // the API's, of that result
	VerdictTime  time.Time    // when an answer last confirmed the verdict; zero before the first
	VerdictSince time.Time    // since when the verdict and its reason have been so; zero before the first
	SinceStart   bool         // whether that is since the first probe, so that it may have been so for longer
	Unconfirmed  bool         // whether the last deciding answer was a denial that no second one has confirmed yet

	Probed  bool          // whether Last holds a result
	Last    probe.Outcome // the last probe's; NoToken if the token could not be read, which is no probe
	History []PastResult  // the last results, oldest first, at most HistoryLength; must not be modified

	Results    [probe.NumResults]uint64 // probes made by this process, by result; those of NoToken stay 0
	Created    time.Time                // when this process began to count
	Configured time.Time                // when the token was first configured

	Interval   time.Duration // between two turns, at the present pace
	VerdictDue time.Time     // by when an answer should have confirmed the verdict
	NextProbe  time.Time     // when a scrape would next probe it; not after the snapshot's time if at once
}

// HistoryLength is how many results of a token are kept.
const HistoryLength = 40

// PastResult is one result in a token's history. Consecutive results for which no request left are one.
type PastResult struct {
	Time   time.Time // of the probe; of the first of several
	Result probe.Result
	Unsent bool // whether no request left
}

// SecretChanged reports whether the token has another secret than the one that was last probed, and was not probed
// with it yet.
func (t *TokenState) SecretChanged() bool { return !t.Probed && len(t.History) > 0 }

// AccountState is what is known about one account.
type AccountState struct {
	Name   string
	Tokens int // configured

	Quota      probe.Quota // as the API last reported today (UTC); zero if it did not
	QuotaReset time.Time   // when the API's day ends; zero without Quota

	Limit        int64 // requests per UTC day that pacing assumes: reported, or assumed_daily_limit
	LimitAssumed bool
	Budget       int64         // requests per UTC day that probes may use
	BudgetUsed   int64         // requests that probes have used today (UTC)
	Interval     time.Duration // between two turns of one token, at the present pace

	Held      HoldReason // why probes are held at present; NotHeld if they are not
	HeldUntil time.Time  // zero unless held

	// Durations counts the durations of the probes that the API answered: a classic and a native histogram.
	Durations *dto.Histogram
}

// HoldReason is why an account is not probed for a while.
type HoldReason uint8

// The reasons of a hold.
const (
	NotHeld        HoldReason = iota
	QuotaExhausted            // the API answered 420, or reported that the limit is reached
	RateLimited               // the API answered 429
	Reserve                   // what is left of the limit is reserved for other programs: one probe per hour
	Budget                    // the probes of today have used their budget
)

var holdNames = [...]string{
	NotHeld: "", QuotaExhausted: "quota_exhausted", RateLimited: "rate_limited", Reserve: "reserve", Budget: "budget",
}

// HoldReasons lists every reason of a hold.
func HoldReasons() []HoldReason { return []HoldReason{QuotaExhausted, RateLimited, Reserve, Budget} }

// String returns the value of the label "reason" of appfigures_account_held.
func (r HoldReason) String() string { return holdNames[r] }
