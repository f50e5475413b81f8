package monitor

import (
	"cmp"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// Snapshot is the state of the tokens at one moment: values that do not change any more. The page, the metrics, the
// JSON, service discovery and the check command are made from it.
type Snapshot struct {
	Time              time.Time
	Tokens            []TokenState   // in the order of the configuration
	Accounts          []AccountState // sorted by name; those of Tokens
	Unanswered        state.Unanswered
	CertificateExpiry time.Time // the earliest in the chain of the last TLS handshake; zero before the first
}

// TokenState is what is known about one token.
type TokenState struct {
	config.Token // name, account, labels, expiry, source
	state.Findings
	Results    [probe.NumResults]uint64 // probes that this process made, by result; those of NoToken stay 0
	Created    time.Time                // when it began to count them
	Interval   time.Duration            // between two turns, at the present pace
	VerdictDue time.Time                // by when an answer should have confirmed the verdict
	NextProbe  time.Time                // from when on a scrape probes it; if not after Time, the next one does
}

// SecretChanged reports whether the token has another secret than the last that was probed, and no result since.
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

	Held      HoldReason     // why probes are held at present; NotHeld if they are not
	HeldUntil time.Time      // zero unless held
	Durations *dto.Histogram // of the probes that the API answered: a classic and a native histogram
}

// HoldReason is why an account is not probed for a while: the label "reason" of appfigures_account_held.
type HoldReason string

// The reasons of a hold.
const (
	NotHeld        HoldReason = ""
	QuotaExhausted HoldReason = "quota_exhausted" // the API answered 420, or its limit is reached as far as is known
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
	_ = a.answers.Write(&metric) // never fails
	s.Durations = metric.GetHistogram()
	return s
}

// verdictDue returns by when an answer should have confirmed the verdict on a token.
func (a *account) verdictDue(t *token, now time.Time) time.Time {
	return later(later(t.Configured, t.VerdictTime).Add(a.interval(now)), a.Excused)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
