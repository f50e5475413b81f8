package monitor

import (
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

// Snapshot is the state of all tokens at one moment: plain values that nobody changes any more. The page, the
// metrics, service discovery and the check command are all drawn from it.
type Snapshot struct {
	Time     time.Time
	Tokens   []TokenState   // in the order of the configuration
	Accounts []AccountState // sorted by name

	// CertificateExpiry is the earliest expiry in the chain of the last TLS handshake; zero before the first.
	CertificateExpiry time.Time
}

// TokenState is what is known of one token.
type TokenState struct {
	config.Token // name, account, labels, expiry, source

	Verdict     appfigures.Verdict // of the last answer that decided one
	VerdictTime time.Time          // when that answer was given; zero before the first
	Ground      Ground             // what that answer was
	Since       time.Time          // when the verdict last became what it is; zero before the first
	ResultSince time.Time          // when the last result first appeared without a break; zero before the first probe
	FirstSeen   FirstSeen          // which of the two may have begun before the exporter did

	Probed bool               // whether Last holds a result
	Last   appfigures.Outcome // the last probe's
	Quota  appfigures.Quota   // as last reported on the snapshot's UTC day; nothing OK when it was not

	Results [appfigures.NumResults]uint64 // requests made, by result
	Skipped [NumReasons]uint64            // probes not made, by reason

	// NextDue is when a scrape would next probe it, as far as can be told; zero when nothing holds it back. Only
	// [Monitor.Snapshot] fills it in.
	NextDue time.Time
}

// Ground is what a verdict rests on.
type Ground struct {
	Result  appfigures.Result
	Message string // the API's
}

// FirstSeen tells of what has been so from the first probe on, and so perhaps for longer than anybody here knows.
type FirstSeen struct{ Verdict, Result bool }

// AccountState is what is known of one account.
type AccountState struct {
	Name        string
	Budget      int64     // requests that probes may use this UTC day
	BudgetKnown bool      // whether the API has reported a limit yet; until then nothing is paced
	Used        int64     // requests that probes did use this UTC day
	HeldUntil   time.Time // no probe before then; zero when the API asked for no pause
	HeldFor     appfigures.ThrottleKind
}

// Reason is why a scrape did not probe a token.
type Reason uint8

const (
	MinInterval Reason = iota // min_interval has not passed since its last probe
	Budget                    // the account's budget has no place for it now
	RateLimited               // the API asked the account to pause
	Deadline                  // the scrape's time was over before its turn
)

// NumReasons is the size of the set of reasons.
const NumReasons = int(Deadline) + 1

var reasonNames = [NumReasons]string{MinInterval: "min_interval", Budget: "budget", RateLimited: "rate_limited", Deadline: "deadline"}

// Reasons lists every reason.
func Reasons() []Reason { return []Reason{MinInterval, Budget, RateLimited, Deadline} }

// String returns the value of the label "reason".
func (r Reason) String() string { return reasonNames[r] }
