package status

import (
	"fmt"
	"slices"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// State is the state of a token. The page, the dashboard, check, the JSON, alerts and runbooks use these four names and
// no others. The worst is the smallest.
type State uint8

// The states, worst first.
const (
	Denied  State = iota // the API denied the token or its account
	Unknown              // no verdict, no token to probe with, or a verdict that was not confirmed for too long
	Warning              // valid, but it expires soon, has expired, or its account's quota is nearly used up
	Valid                // the API accepted the token
)

var stateNames = [...]string{Denied: "denied", Unknown: "unknown", Warning: "warning", Valid: "valid"}

// NumStates is the number of states.
const NumStates = len(stateNames)

// States lists every state, worst first.
func States() []State { return []State{Denied, Unknown, Warning, Valid} }

// String returns the state's name.
func (s State) String() string { return stateNames[s] }

// ParseState returns the state of that name.
func ParseState(name string) (State, error) {
	i := slices.Index(stateNames[:], name)
	if i < 0 {
		return 0, fmt.Errorf("unknown state %q: want one of %q", name, stateNames)
	}
	return State(i), nil
}

// Thresholds decide when a valid token needs a warning.
type Thresholds struct {
	Expiry time.Duration // warn if the token expires in less
	Quota  float64       // warn if the account has used more than this share of its daily limit
}

// DefaultThresholds are those of the page, the JSON and the alerts.
var DefaultThresholds = Thresholds{Expiry: 14 * 24 * time.Hour, Quota: 0.9}

// staleAfter is how long after its next routine probe was due a verdict may stay without confirmation: enough for
// outages of minutes and for slow scrapers.
const staleAfter = time.Hour

// Cause is what a token's state rests on. Tokens with the same state and cause need the same remedy. A cause is the
// result of a probe, as in Cause(probe.Rejected), or one of the constants below.
type Cause uint8

// The causes that are not results.
const (
	NotProbed   = Cause(iota + probe.NumResults) // no probe has ended yet
	Unconfirmed                                  // one denial, which a second answer has not confirmed yet
	Stale                                        // the verdict was not confirmed for too long, and no probe failed
	Expired                                      // expires_at is past
	ExpiresSoon                                  // expires_at is within the threshold
	QuotaLow                                     // the account has used more of its quota than the threshold
)

// causes holds the words of the causes that are not results; the results have their own.
var causes = map[Cause]struct{ name, meaning, advice string }{
	NotProbed: {
		"not_probed",
		"The token has not been probed yet.",
		"Wait for its turn; if nothing scrapes the exporter yet, let Prometheus do so or open /metrics.",
	},
	Unconfirmed: {
		"unconfirmed",
		"The API denied the token once; only a second denial in a row counts.",
		"Wait for the next probe, which confirms the denial or shows that it was a single odd answer.",
	},
	Stale: {
		"stale",
		"The verdict is older than the pace of probing explains.",
		"Check that Prometheus scrapes the exporter: it probes only when it is scraped.",
	},
	Expired: {
		"expired",
		"The token's expires_at is past, but the API still accepts the token.",
		"Replace the token, or correct its expires_at.",
	},
	ExpiresSoon: {
		"expires_soon",
		"The token expires soon.",
		"Replace the token before it expires, then update its expires_at.",
	},
	QuotaLow: {
		"quota_nearly_used",
		"The account has used nearly all of its requests of today (UTC).",
		"Find the programs that use the quota: at the limit, the API refuses all of them until 00:00 UTC.",
	},
}

// String returns the cause's name: that of the result, if it is one.
func (c Cause) String() string {
	if int(c) < probe.NumResults {
		return probe.Result(c).String()
	}
	return causes[c].name
}

// Meaning explains the cause in one sentence.
func (c Cause) Meaning() string {
	if int(c) < probe.NumResults {
		return probe.Result(c).Meaning()
	}
	return causes[c].meaning
}

// Advice returns what to do about the cause, in one sentence. It is empty if there is nothing to do.
func (c Cause) Advice() string {
	switch {
	case c == Cause(probe.Valid):
		return ""
	case int(c) < probe.NumResults:
		return probe.Result(c).Advice()
	}
	return causes[c].advice
}

// Judgement is the state of a token, with the reasons for it.
type Judgement struct {
	State   State
	Cause   Cause
	Message string   // what the API or the network reported with Cause; empty if nothing
	Notes   []string // facts about this token, one sentence each

	// Since is when what SinceWhat names began; zero if that is not known. With OrEarlier it may have begun earlier.
	Since     time.Time
	SinceWhat string // "denied", "valid", "not confirmed", or the name of Cause
	OrEarlier bool
}

// Judge returns the state of a token at a time. account is the token's.
func Judge(token monitor.TokenState, account monitor.AccountState, now time.Time, thresholds Thresholds) Judgement {
	j := Judgement{Notes: notes(token, account, now, thresholds)}
	last, failed := lastCause(token)
	stale := token.VerdictTime.Before(now.Add(-token.Interval - staleAfter))
	warning, warn := warningCause(token.ExpiresAt, account.Quota, now, thresholds)
	switch {
	case token.Verdict == probe.VerdictDenied:
		j.State, j.Cause = Denied, Cause(token.Reason)
	case token.Verdict == probe.VerdictUnknown, last == Cause(probe.NoToken), stale && failed:
		j.State, j.Cause = Unknown, last
	case stale:
		j.State, j.Cause = Unknown, Stale
	case warn:
		j.State, j.Cause = Warning, warning
	default:
		j.State, j.Cause = Valid, Cause(probe.Valid)
		if failed {
			j.Cause = last
		}
	}

	switch {
	case j.State == Denied:
		j.Message = token.Message
	case failed && j.Cause == last:
		j.Message = token.Last.Message
	}
	switch {
	case j.State == Denied:
		j.Since, j.SinceWhat, j.OrEarlier = token.VerdictSince, "denied", token.SinceStart
	case j.Cause == Stale:
		j.Since, j.SinceWhat = token.VerdictTime, "not confirmed"
	case j.State == Unknown:
		j.Since, j.SinceWhat = token.ResultSince, j.Cause.String()
	default:
		j.Since, j.SinceWhat, j.OrEarlier = token.VerdictSince, "valid", token.SinceStart
	}
	return j
}

// lastCause returns what the last probe shows, and whether that leaves the verdict in doubt.
func lastCause(token monitor.TokenState) (cause Cause, failed bool) {
	switch {
	case !token.Probed:
		return NotProbed, false
	case token.Unconfirmed:
		return Unconfirmed, true
	default:
		return Cause(token.Last.Result), token.Last.Result.Verdict() == probe.VerdictUnknown
	}
}

// warningCause returns why a valid token needs a warning, and whether it does.
func warningCause(expiresAt time.Time, quota probe.Quota, now time.Time, thresholds Thresholds) (Cause, bool) {
	switch left := expiresAt.Sub(now); {
	case !expiresAt.IsZero() && left <= 0:
		return Expired, true
	case !expiresAt.IsZero() && left < thresholds.Expiry:
		return ExpiresSoon, true
	default:
		return QuotaLow, QuotaNearlyUsed(quota, thresholds)
	}
}

// QuotaNearlyUsed reports whether more of the quota is used than the threshold. It is false until the API has reported
// both numbers.
func QuotaNearlyUsed(quota probe.Quota, thresholds Thresholds) bool {
	return quota.LimitOK && quota.UsedOK && float64(quota.Used) > thresholds.Quota*float64(quota.Limit)
}
