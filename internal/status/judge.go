package status

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// State is the state of a token. Page, dashboard, check, JSON, alerts and runbooks use these four words and no others.
type State string

// The states, worst first.
const (
	Denied  State = "denied"  // the API denied the token or its account
	Unknown State = "unknown" // no verdict, no token to probe with, or a verdict that was not confirmed for too long
	Warning State = "warning" // valid, but it expires soon, has expired, or its account's quota is nearly used up
	Valid   State = "valid"   // the API accepted the token
)

// States lists every state, worst first.
func States() []State { return []State{Denied, Unknown, Warning, Valid} }

// Thresholds decide when a valid token needs a warning.
type Thresholds struct {
	Expiry time.Duration // warn if the token expires in less
	Quota  float64       // warn if the account has used more than this share of its daily limit
}

// DefaultThresholds are those of the page, the JSON and the alerts.
var DefaultThresholds = Thresholds{Expiry: 14 * 24 * time.Hour, Quota: 0.9}

const (
	// UnansweredLimit is how many consecutive probes without an answer mean an outage, as for AppfiguresAPIDown.
	UnansweredLimit = 3
	// unverifiedAfter is how long a confirmation of a verdict may be overdue, as for AppfiguresTokenUnverified.
	unverifiedAfter = time.Hour
)

// judge sets the state of a token, but for warnings: since when it has been so, and what it rests on.
func (t *Token) judge(token monitor.TokenState, now time.Time) {
	last, message := token.Last.Result, token.Last.Message
	overdueSince := token.VerdictDue.Add(unverifiedAfter)
	switch {
	case token.SecretChanged():
		t.set(Unknown, token.Configured, "secret_changed", "Its secret has changed; not probed yet.",
			"Wait for the next scrape or run of check, or for its turn if today's extra turns are used.")
	case !token.Probed:
		t.set(Unknown, token.Configured, "not_probed", "The token has not been probed yet.",
			"Wait for its turn; tokens are probed only by scrapes and by runs of check.")
	case token.Verdict == probe.VerdictUnknown:
		t.setResult(Unknown, token.Configured, last, message)
	case token.Verdict == probe.VerdictDenied:
		t.setResult(Denied, token.VerdictSince, token.Reason, token.Message)
	case last == probe.NoToken:
		t.setResult(Unknown, token.History[len(token.History)-1].Time(), last, message)
	case !now.After(overdueSince):
		t.setResult(Valid, token.VerdictSince, probe.Valid, "")
	case last == probe.Valid:
		t.set(Unknown, overdueSince, "unverified", "The verdict should have been confirmed more than an hour ago.",
			"Check that Prometheus scrapes the exporter, or that check runs often: nothing else probes.")
	default:
		t.setResult(Unknown, overdueSince, last, message)
	}
}

// set sets a state and what it rests on: the name of the cause, then a sentence each for why and for what to do.
func (t *Token) set(state State, since time.Time, cause, why, advice string) {
	t.State, t.StateSince = state, since.UTC()
	t.Cause, t.Why, t.Advice = cause, why, when(state != Valid, advice)
}

// setResult sets a state that rests on a result, with the message that came with it.
func (t *Token) setResult(state State, since time.Time, result probe.Result, message string) {
	t.set(state, since, result.String(), result.Meaning(), result.Advice())
	t.Message = when(message != "", message)
}

// Apply judges by these thresholds which of the valid tokens need a warning, and makes the report's state and headline.
func (r *Report) Apply(thresholds Thresholds) {
	quotas := make(map[string]Quota, len(r.Accounts))
	for _, a := range r.Accounts {
		quotas[a.Name] = a.Quota
	}
	for i := range r.Tokens {
		if t := &r.Tokens[i]; t.State == Valid || t.State == Warning {
			t.warn(quotas[t.Account], r.Time, thresholds)
		}
	}
	states := States()
	worst := states[slices.IndexFunc(states, func(s State) bool { return s == Valid || r.Count(s) > 0 })]
	r.State, r.Headline = worst, r.headline(worst)
	if since := r.API.Since; since != nil && r.API.UnansweredProbes >= UnansweredLimit {
		if worst == Valid || worst == Warning { // nothing may read as if it had just been looked at
			r.State = Warning
			r.Headline = "Last known: " + strings.ToLower(r.Headline[:1]) + r.Headline[1:]
		}
		r.Headline += fmt.Sprintf(". The API has not answered for %s.", Duration(r.Time.Sub(*since)))
	}
}

// warn makes a valid token's state either valid or warning.
func (t *Token) warn(quota Quota, now time.Time, thresholds Thresholds) {
	switch {
	case t.ExpiresAt != nil && t.ExpiresAt.Sub(now) < thresholds.Expiry:
		t.set(Warning, t.StateSince, "expiry", expiryText(*t.ExpiresAt, now),
			"Replace the token, or correct its expires_at.")
	case quota.Limit != nil && quota.Used != nil && float64(*quota.Used) > thresholds.Quota*float64(*quota.Limit):
		t.set(Warning, t.StateSince, "quota",
			fmt.Sprintf("Account %s has used %s today (UTC).", t.Account, quota.Usage()),
			"Find the programs that use the quota: at the limit, the API refuses all of them until 00:00 UTC.")
	default:
		t.setResult(Valid, t.StateSince, probe.Valid, "")
	}
}
