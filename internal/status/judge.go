package status

import (
	"fmt"
	"slices"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// State is the state of a token. The page, the dashboard, check, the JSON, alerts and runbooks use these four words and
// no others.
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

// rank orders states, worst first.
func (s State) rank() int { return slices.Index(States(), s) }

// Thresholds decide when a valid token needs a warning.
type Thresholds struct {
	Expiry time.Duration // warn if the token expires in less
	Quota  float64       // warn if the account has used more than this share of its daily limit
}

// DefaultThresholds are those of the page, the JSON and the alerts.
var DefaultThresholds = Thresholds{Expiry: 14 * 24 * time.Hour, Quota: 0.9}

const (
	// UnansweredLimit is after how many consecutive probes without an answer the API counts as not answering, as for
	// the alert AppfiguresAPIDown.
	UnansweredLimit = 3
	// unverifiedAfter is how long after it was due a verdict may stay without confirmation, as for the alert
	// AppfiguresTokenUnverified: enough for outages of minutes and for slow scrapers.
	unverifiedAfter = time.Hour
)

// cause is what a token's state rests on.
type cause struct {
	name   string // a result's, or one of its own
	why    string // a sentence
	advice string // a sentence; empty if there is nothing to do
}

// The causes that are not results, and the one that needs no advice.
var (
	valid     = cause{probe.Valid.String(), probe.Valid.Meaning(), ""}
	notProbed = cause{
		"not_probed", "The token has not been probed yet.",
		"Wait for its turn; tokens are probed only by scrapes and by runs of check.",
	}
	secretChanged = cause{
		"secret_changed", "Its secret has changed; not probed yet.",
		"Wait for the next scrape or run of check, which probes it if the account's requests of today (UTC) allow.",
	}
	unconfirmed = cause{
		"unconfirmed", "The API denied the token once; only a second denial in a row counts.",
		"Wait for the next probe, which confirms the denial or shows that it was a single odd answer.",
	}
	unverified = cause{
		"unverified", "The verdict should have been confirmed more than an hour ago.",
		"Check that Prometheus scrapes the exporter, or that check runs often: nothing else probes.",
	}
)

// resultCause returns the cause that a result is.
func resultCause(r probe.Result) cause { return cause{r.String(), r.Meaning(), r.Advice()} }

// judge sets the token's state, without warnings, and what it rests on.
func (t *Token) judge(token monitor.TokenState, now time.Time) {
	overdueSince := token.VerdictDue.Add(unverifiedAfter)
	last := resultCause(token.Last.Result)
	if token.Unconfirmed {
		last = unconfirmed
	}
	switch {
	case token.Verdict == probe.VerdictDenied:
		t.set(Denied, resultCause(token.Reason), token.Message)
		t.since(token.VerdictSince, token.SinceStart)
	case token.SecretChanged():
		t.set(Unknown, secretChanged, "")
	case !token.Probed && token.Verdict == probe.VerdictUnknown:
		t.set(Unknown, notProbed, "")
		t.since(token.Configured, false)
	case token.Verdict == probe.VerdictUnknown, token.Probed && token.Last.Result == probe.NoToken:
		t.set(Unknown, last, token.Last.Message)
		t.since(sinceSame(token.History))
	case now.After(overdueSince) && failing(token):
		t.set(Unknown, last, token.Last.Message)
		t.since(overdueSince, false)
	case now.After(overdueSince):
		t.set(Unknown, unverified, "")
		t.since(overdueSince, false)
	default:
		t.set(Valid, valid, "")
		t.since(token.VerdictSince, token.SinceStart)
	}
}

func (t *Token) set(state State, c cause, message string) {
	t.State, t.Cause, t.Why, t.Advice = state, c.name, c.why, when(c.advice != "", c.advice)
	t.Message = when(message != "", message)
}

func (t *Token) since(start time.Time, atLeast bool) {
	t.StateSince, t.StateSinceAtLeast = known(start), atLeast
}

// failing reports whether the last probe does not confirm the verdict.
func failing(token monitor.TokenState) bool {
	return token.Probed && (token.Unconfirmed || token.Last.Result.Verdict() != token.Verdict)
}

// sinceSame returns since when all results have been the last one, and whether that may have been longer.
func sinceSame(history []monitor.PastResult) (since time.Time, atLeast bool) {
	for i, past := range slices.Backward(history) {
		if past.Result != history[len(history)-1].Result {
			return since, false
		}
		since, atLeast = past.Time, i == 0 && len(history) >= monitor.HistoryLength
	}
	return since, atLeast
}

// Apply judges by these thresholds which of the valid tokens need a warning, and makes the report's state and headline.
func (r *Report) Apply(thresholds Thresholds) {
	quotas := make(map[string]Quota, len(r.Accounts))
	for _, a := range r.Accounts {
		quotas[a.Name] = a.Quota
	}
	r.State = Valid
	if r.unanswered() {
		r.State = Warning
	}
	for i := range r.Tokens {
		t := &r.Tokens[i]
		if t.State == Valid || t.State == Warning {
			t.warn(quotas[t.Account], r.Time, thresholds)
		}
		if t.State.rank() < r.State.rank() {
			r.State = t.State
		}
	}
	r.Headline = r.headline()
}

// warn makes a valid token's state either valid or warning.
func (t *Token) warn(quota Quota, now time.Time, thresholds Thresholds) {
	t.set(Valid, valid, "")
	if quota.Limit != nil && quota.Used != nil && float64(*quota.Used) > thresholds.Quota*float64(*quota.Limit) {
		t.set(Warning, cause{
			"quota", fmt.Sprintf("Account %s has used %s today (UTC).", t.Account, quota.Usage()),
			"Find the programs that use the quota: at the limit, the API refuses all of them until 00:00 UTC.",
		}, "")
	}
	if t.ExpiresAt != nil && (!t.ExpiresAt.After(now) || t.ExpiresAt.Sub(now) < thresholds.Expiry) {
		t.set(Warning, cause{
			"expiry", expiryText(*t.ExpiresAt, now), "Replace the token, or correct its expires_at.",
		}, "")
	}
}

// unanswered reports whether the API does not answer.
func (r *Report) unanswered() bool { return r.API.UnansweredProbes >= UnansweredLimit }
