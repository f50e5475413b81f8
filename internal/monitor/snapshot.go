package monitor

import (
	"cmp"
	"slices"
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
}

// Unanswered counts the consecutive probes, of whichever token, that the API itself did not answer. A token that could
// not be read does not count: it was not probed.
type Unanswered struct {
	Probes int       `json:"probes"`
	Since  time.Time `json:"since"` // start of the first of them; zero if there is none
}

// StateFile is about the last write of the state file, and those that failed.
type StateFile struct {
	Enabled bool
	Saved   time.Time // when it was last written; zero before the first time
	Errors  uint64    // failed writes
	Failing bool      // whether the last write failed
}

// TokenState is what is known about one token. The state file keeps what has a key.
type TokenState struct {
	config.Token `json:"-"` // name, account, labels, expiry, source

	Verdict      probe.Verdict `json:"verdict"`
	Reason       probe.Result  `json:"reason"`           // that the verdict rests on: Valid, Rejected, Locked or Forbidden
	Message      string        `json:"message"`          // the API's, of that answer
	VerdictTime  time.Time     `json:"verdict_time"`     // when an answer last confirmed the verdict; zero if none did
	VerdictSince time.Time     `json:"verdict_since"`    // since when verdict and reason have been so; zero if none
	SinceStart   bool          `json:"since_start"`      // whether the first answers already said so: it may be older
	Pending      probe.Result  `json:"pending,omitzero"` // a denial that awaits its confirmation; Valid if none does

	Probed     bool          `json:"probed"`     // whether Last holds a result
	Last       probe.Outcome `json:"last"`       // of the last probe, or NoToken, for which none was made
	History    []PastResult  `json:"history"`    // the last results, oldest first; must not be modified
	Configured time.Time     `json:"configured"` // when the token, or its present secret, was first seen

	Counters   `json:"-"`
	Interval   time.Duration `json:"-"` // between two turns, at the present pace
	VerdictDue time.Time     `json:"-"` // by when an answer should have confirmed the verdict
	NextProbe  time.Time     `json:"-"` // when a scrape would next probe it; not after the snapshot's time if at once
}

// Counters count what this process did with a token.
type Counters struct {
	Results [probe.NumResults]uint64 // probes made, by result; those of NoToken stay 0
	Created time.Time                // when this process began to count
}

// historyLength is how many results of a token are kept.
const historyLength = 40

// PastResult is one result in a token's history. Consecutive results for which no request left are one.
type PastResult struct {
	Unix   int64        `json:"unix"` // seconds since 1970 at its time
	Result probe.Result `json:"result"`
	Unsent bool         `json:"unsent,omitempty"` // whether no request left
}

// Time returns when the probe was made, or the first of several.
func (p PastResult) Time() time.Time { return time.Unix(p.Unix, 0) }

// SecretChanged reports whether the token has another secret than the last that was probed, and was not probed since.
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

// HoldReason is why an account is not probed for a while: the label "reason" of appfigures_account_held.
type HoldReason string

// The reasons of a hold.
const (
	NotHeld        HoldReason = ""
	QuotaExhausted HoldReason = "quota_exhausted" // the API answered 420, or reported that the limit is reached
	RateLimited    HoldReason = "rate_limited"    // the API answered 429
	Reserve        HoldReason = "reserve"         // the last requests are for other programs: one probe per hour
	Budget         HoldReason = "budget"          // the probes of today have used their budget
)

// HoldReasons lists every reason of a hold.
func HoldReasons() []HoldReason { return []HoldReason{QuotaExhausted, RateLimited, Reserve, Budget} }

// Snapshot returns the state of the named tokens, or of all if there are no names. It probes nothing.
func (m *Monitor) Snapshot(names ...string) Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.Now()
	tokens := m.selectLocked(names)
	snapshot := Snapshot{
		Time: now, Tokens: make([]TokenState, len(tokens)),
		Unanswered: m.unanswered, CertificateExpiry: m.certificateExpiry,
	}
	seen := make(map[*account]bool)
	for i, t := range tokens {
		a := t.account
		if !seen[a] {
			seen[a] = true
			snapshot.Accounts = append(snapshot.Accounts, a.state(now))
		}
		s := &snapshot.Tokens[i]
		*s = t.TokenState
		s.Interval, s.VerdictDue, s.NextProbe = a.interval(now), a.verdictDue(t, now), a.nextProbe(t, now)
	}
	slices.SortFunc(snapshot.Accounts, func(a, b AccountState) int { return cmp.Compare(a.Name, b.Name) })
	return snapshot
}

// state returns what others see of the account.
func (a *account) state(now time.Time) AccountState {
	a.rollOver(now)
	s := AccountState{
		Name:         a.Name,
		Tokens:       len(a.tokens),
		Limit:        a.effectiveLimit(),
		LimitAssumed: a.Limit == 0,
		Budget:       a.budget(),
		BudgetUsed:   a.Used,
		Interval:     a.interval(now),
	}
	s.Held, s.HeldUntil = a.heldBy(now)
	if a.useKnown(now) {
		s.Quota = probe.Quota{Used: a.Report.Used, UsedOK: true, Limit: a.Limit, LimitOK: a.Limit > 0}
		s.QuotaReset = a.Report.Until.Truncate(time.Second) // the API gives its time in seconds
	}
	var metric dto.Metric
	if a.answers.Write(&metric) == nil {
		s.Durations = metric.GetHistogram()
	}
	return s
}

// nextProbe returns when a scrape would next probe a token, as far as is known at now.
func (a *account) nextProbe(t *token, now time.Time) time.Time {
	next := t.LastTurn.Add(a.interval(now))
	if from, ok := a.extraFrom(t, now); ok && from.Before(next) {
		next = from
	}
	if until, stopped := a.stopped(now); stopped {
		next = later(next, until)
	}
	return next
}

// verdictDue returns by when an answer should have confirmed the verdict on a token.
func (a *account) verdictDue(t *token, now time.Time) time.Time {
	since := t.VerdictTime
	if since.IsZero() {
		since = t.Configured
	}
	due := since.Add(a.interval(now))
	// A quota or budget that is used up excuses the wait. An API that keeps answering 429 does not: nothing else says so.
	if reason, until := a.heldBy(now); reason == QuotaExhausted || reason == Budget {
		due = later(due, until)
	}
	if a.Hold.Reason == QuotaExhausted {
		due = later(due, a.Hold.Until)
	}
	return due
}
