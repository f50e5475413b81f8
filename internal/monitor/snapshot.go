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

	// CertificateExpiry is the earliest expiry in the chain of the last TLS handshake; zero before the first.
	CertificateExpiry time.Time

	StateFile StateFile
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

	Probed      bool          // whether Last holds a result
	Last        probe.Outcome // the last probe's; NoToken if the token could not be read, which is no probe
	ResultSince time.Time     // since when every probe has had this result; zero before the first
	// Unconfirmed reports that the last answer was a denial that a second one has not confirmed yet.
	Unconfirmed bool

	Results [probe.NumResults]uint64 // requests made by this process, by result
	Skipped [NumSkipReasons]uint64   // scrapes that did not probe the token, by reason
	Created time.Time                // when this process began to count

	// Interval is how long the token waits at most for its next routine probe at the present pace, if scraped.
	Interval time.Duration
	// NextProbe is when a scrape would next probe it, as far as is known; not after the snapshot's time if at once.
	NextProbe time.Time
}

// AccountState is what is known about one account.
type AccountState struct {
	Name   string
	Tokens int // configured

	Quota      probe.Quota // as the API last reported today (UTC); zero if it did not
	QuotaReset time.Time   // when the API's day ends; zero without Quota

	Limit        int64 // requests per UTC day that pacing assumes: reported, or assumed_daily_limit
	LimitAssumed bool
	Budget       int64 // requests that probes may use in any 24 hours
	BudgetUsed   int64 // requests that probes have used in the last 24 hours

	Held      HoldReason // why no probe is made at present; NotHeld if probes are made
	HeldUntil time.Time  // zero unless held

	// SameUserAs names other accounts whose tokens turned out to belong to the same user of the API, sorted; at most ten.
	SameUserAs []string

	// Durations counts the durations of the probes that the API answered: a classic and a native histogram.
	Durations *dto.Histogram
}

// HoldReason is why an account is not probed for a while.
type HoldReason uint8

const (
	NotHeld    HoldReason = iota
	DailyLimit            // the API answered 420, or reported that the limit is reached
	SlowDown              // the API answered 429
	Reserve               // what is left of the limit is reserved for other programs: one probe per hour
)

var holdNames = [...]string{NotHeld: "", DailyLimit: "daily_limit", SlowDown: "slow_down", Reserve: "reserve"}

// HoldReasons lists every reason of a hold.
func HoldReasons() []HoldReason { return []HoldReason{DailyLimit, SlowDown, Reserve} }

// String returns the value of the label "reason" of appfigures_account_held.
func (r HoldReason) String() string { return holdNames[r] }

// SkipReason is why a scrape did not probe a token.
type SkipReason uint8

const (
	SkipMinInterval SkipReason = iota // min_interval has not passed since its last probe
	SkipBudget                        // the account's budget or pace has no request for it now
	SkipReserve                       // what is left of the account's limit is reserved for other programs
	SkipRateLimited                   // the API asked the account to pause, or reported that its limit is reached
	SkipDeadline                      // the scrape ended before the probe could start
)

var skipNames = [...]string{
	SkipMinInterval: "min_interval", SkipBudget: "budget", SkipReserve: "reserve", SkipRateLimited: "rate_limited", SkipDeadline: "deadline",
}

// NumSkipReasons is the number of skip reasons.
const NumSkipReasons = len(skipNames)

// SkipReasons lists every skip reason.
func SkipReasons() []SkipReason {
	return []SkipReason{SkipMinInterval, SkipBudget, SkipReserve, SkipRateLimited, SkipDeadline}
}

// String returns the value of the label "reason" of appfigures_probes_skipped_total.
func (r SkipReason) String() string { return skipNames[r] }
