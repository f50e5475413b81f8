package status

import (
	"fmt"
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

// cause is what a token's state rests on.
type cause struct {
	name        string // a result's, or one of those below
	why, advice string // a sentence each
}

// The causes that are not results.
var (
	notProbed = cause{
		"not_probed", "The token has not been probed yet.",
		"Wait for its turn; tokens are probed only by scrapes and by runs of check.",
	}
	secretChanged = cause{
		"secret_changed", "Its secret has changed; not probed yet.",
		"Wait for the next scrape or run of check, which probes it unless its account is held.",
	}
	unverified = cause{
		"unverified", "The verdict should have been confirmed more than an hour ago.",
		"Check that Prometheus scrapes the exporter, or that check runs often: nothing else probes.",
	}
)

func resultCause(r probe.Result) cause { return cause{r.String(), r.Meaning(), r.Advice()} }

// judge sets the token's state, without warnings, since when it has been so, and what it rests on.
func (t *Token) judge(token monitor.TokenState, now time.Time) {
	state, since, overdueSince := Valid, token.VerdictSince, token.VerdictDue.Add(unverifiedAfter)
	switch {
	case token.Verdict == probe.VerdictDenied:
		state = Denied
	case token.Verdict == probe.VerdictUnknown:
		state, since = Unknown, token.Configured
	case token.Last.Result == probe.NoToken:
		state, since = Unknown, token.History[len(token.History)-1].Time()
	case now.After(overdueSince):
		state, since = Unknown, overdueSince
	}
	t.StateSince, t.StateSinceAtLeast = since.UTC(), state != Unknown && token.SinceStart
	switch {
	case state != Unknown:
		t.set(state, resultCause(token.Reason), token.Message)
	case token.SecretChanged():
		t.set(state, secretChanged, "")
	case !token.Probed:
		t.set(state, notProbed, "")
	case token.Last.Result == token.Reason: // which it confirmed
		t.set(state, unverified, "")
	default:
		t.set(state, resultCause(token.Last.Result), token.Last.Message)
	}
}

func (t *Token) set(state State, c cause, message string) {
	t.State, t.Cause, t.Why, t.Advice = state, c.name, c.why, when(state != Valid, c.advice)
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
	r.State = r.worst()
	if r.State == Valid && r.unanswered() {
		r.State = Warning
	}
	r.Headline = r.headline()
}

// worst returns the worst state that a token is in.
func (r *Report) worst() State {
	for _, state := range States() {
		if r.Count(state) > 0 {
			return state
		}
	}
	return Valid
}

// warn makes a valid token's state either valid or warning.
func (t *Token) warn(quota Quota, now time.Time, thresholds Thresholds) {
	t.set(Valid, resultCause(probe.Valid), "")
	if quota.Limit != nil && quota.Used != nil && float64(*quota.Used) > thresholds.Quota*float64(*quota.Limit) {
		why := fmt.Sprintf("Account %s has used %s today (UTC).", t.Account, quota.Usage())
		advice := "Find the programs that use the quota: at the limit, the API refuses all of them until 00:00 UTC."
		t.set(Warning, cause{"quota", why, advice}, "")
	}
	if t.ExpiresAt != nil && t.ExpiresAt.Sub(now) < thresholds.Expiry {
		why, advice := expiryText(*t.ExpiresAt, now), "Replace the token, or correct its expires_at."
		t.set(Warning, cause{"expiry", why, advice}, "")
	}
}

// unanswered reports whether the API does not answer.
func (r *Report) unanswered() bool {
	return r.API.Since != nil && r.API.UnansweredProbes >= UnansweredLimit
}
