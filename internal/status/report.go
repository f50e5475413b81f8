// Package status judges the state of tokens, for the page, the JSON and the check command alike: it has the only
// states, thresholds and words.
package status

import (
	"slices"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// Report is the state of all tokens and accounts as /api/v1/status and `check --output=json` give it. Its keys and
// types are a contract: keys are never missing, absent facts are null.
type Report struct {
	State    string    `json:"state"`    // the worst of the tokens': denied, unknown, warning or valid
	Time     time.Time `json:"time"`     // when the report was made
	Tokens   []Token   `json:"tokens"`   // in the order of the configuration
	Accounts []Account `json:"accounts"` // by name
}

// Token is one token of a [Report].
type Token struct {
	Name            string            `json:"name"`
	Account         string            `json:"account"`
	Labels          map[string]string `json:"labels"`
	State           string            `json:"state"`        // denied, unknown, warning or valid
	Cause           string            `json:"cause"`        // of the state: a result, or the name of another [Cause]
	Verdict         *string           `json:"verdict"`      // valid or denied
	Reason          *string           `json:"reason"`       // of a denial: rejected, locked or forbidden
	Since           *time.Time        `json:"since"`        // since when the verdict has been so
	VerdictTime     *time.Time        `json:"verdict_time"` // when an answer last confirmed it
	Result          *string           `json:"result"`       // of the last probe
	ResultTime      *time.Time        `json:"result_time"`
	HTTPStatus      *int              `json:"http_status"`
	DurationSeconds *float64          `json:"duration_seconds"`
	Message         *string           `json:"message"` // what the API or the network reported with the cause
	Why             string            `json:"why"`     // the cause in one sentence
	Notes           []string          `json:"notes"`   // facts about this token, one sentence each
	Advice          *string           `json:"advice"`  // what to do; null if nothing
	ExpiresAt       *time.Time        `json:"expires_at"`
	NextProbe       *time.Time        `json:"next_probe"`             // null if the next scrape probes it
	IntervalSeconds float64           `json:"probe_interval_seconds"` // at most, between two routine probes
}

// Account is one account of a [Report].
type Account struct {
	Name               string   `json:"name"`
	Quota              Quota    `json:"quota"`
	Budget             Budget   `json:"budget"`
	Held               *Held    `json:"held"`                 // null if its tokens are probed
	LongestWaitSeconds float64  `json:"longest_wait_seconds"` // the longest of its tokens' probe intervals
	SameUserAs         []string `json:"same_user_as"`         // accounts whose tokens belong to the same user of the API
	Notes              []string `json:"notes"`                // facts about this account, one sentence each
}

// Quota is an account's daily quota as the API last reported it today (UTC).
type Quota struct {
	Limit *int64     `json:"limit"`
	Used  *int64     `json:"used"`
	Reset *time.Time `json:"reset"`
}

// Budget is what probes may use of the quota, in requests in any 24 hours.
type Budget struct {
	Limit   int64 `json:"limit"`
	Used    int64 `json:"used"`
	Assumed bool  `json:"assumed"` // the limit is a share of assumed_daily_limit: the API has reported none yet
}

// Held tells why an account is not probed, and until when.
type Held struct {
	Reason string    `json:"reason"` // daily_limit, slow_down or reserve
	Until  time.Time `json:"until"`
}

// NewReport judges all tokens of a snapshot.
func NewReport(snapshot monitor.Snapshot, thresholds Thresholds) Report {
	report := Report{
		Time:     snapshot.Time.UTC(),
		Tokens:   make([]Token, len(snapshot.Tokens)),
		Accounts: make([]Account, len(snapshot.Accounts)),
	}
	accounts := make(map[string]monitor.AccountState, len(snapshot.Accounts))
	longestWaits := LongestWaits(snapshot.Tokens)
	for _, account := range snapshot.Accounts {
		accounts[account.Name] = account
	}
	worst := Valid
	for i, token := range snapshot.Tokens {
		j := Judge(token, accounts[token.Account], snapshot.Time, thresholds)
		worst = min(worst, j.State)
		report.Tokens[i] = newToken(token, j, snapshot.Time)
	}
	report.State = worst.String()
	for i, account := range snapshot.Accounts {
		report.Accounts[i] = newAccount(account, longestWaits[account.Name], snapshot.Time)
	}
	slices.SortStableFunc(report.Accounts, func(a, b Account) int { return CompareNames(a.Name, b.Name) })
	return report
}

func newToken(token monitor.TokenState, j Judgement, now time.Time) Token {
	t := Token{
		Name:            token.Name,
		Account:         token.Account,
		Labels:          make(map[string]string, len(token.Labels)),
		State:           j.State.String(),
		Cause:           j.Cause.String(),
		Since:           known(token.VerdictSince),
		VerdictTime:     known(token.VerdictTime),
		Message:         nonEmpty(j.Message),
		Why:             j.Cause.Meaning(),
		Notes:           append([]string{}, j.Notes...),
		Advice:          nonEmpty(j.Cause.Advice()),
		ExpiresAt:       known(token.ExpiresAt),
		IntervalSeconds: token.Interval.Seconds(),
	}
	for _, label := range token.Labels {
		t.Labels[label.Name] = label.Value
	}
	if token.Verdict != probe.VerdictUnknown {
		t.Verdict = new(token.Verdict.String())
	}
	if token.Verdict == probe.VerdictDenied {
		t.Reason = new(token.Reason.String())
	}
	if token.Probed {
		t.Result = new(token.Last.Result.String())
		t.ResultTime = known(token.Last.Start)
		if token.Last.Result != probe.NoToken { // which made no request
			t.DurationSeconds = new(token.Last.Duration.Seconds())
		}
		if token.Last.HTTPStatus != 0 {
			t.HTTPStatus = &token.Last.HTTPStatus
		}
	}
	if token.NextProbe.After(now) {
		t.NextProbe = known(token.NextProbe)
	}
	return t
}

func newAccount(account monitor.AccountState, longestWait time.Duration, now time.Time) Account {
	a := Account{
		Name:               account.Name,
		Quota:              Quota{Reset: known(account.QuotaReset)},
		Budget:             Budget{Limit: account.Budget, Used: account.BudgetUsed, Assumed: account.LimitAssumed},
		LongestWaitSeconds: longestWait.Seconds(),
		SameUserAs:         append([]string{}, account.SameUserAs...),
		Notes:              append(paceNotes(account, longestWait), AccountNotes(account, now)...),
	}
	if account.Quota.LimitOK {
		a.Quota.Limit = &account.Quota.Limit
	}
	if account.Quota.UsedOK {
		a.Quota.Used = &account.Quota.Used
	}
	if account.Held != monitor.NotHeld {
		a.Held = &Held{Reason: account.Held.String(), Until: account.HeldUntil.UTC()}
	}
	return a
}

// known returns t in UTC, or nil for the zero time.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC())
}

// nonEmpty returns text, or nil if it is empty.
func nonEmpty(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// Apply judges the tokens that have a valid verdict again, by other thresholds than those of the report.
func (r *Report) Apply(thresholds Thresholds) {
	quotas := make(map[string]probe.Quota, len(r.Accounts))
	for _, a := range r.Accounts {
		if a.Quota.Limit != nil && a.Quota.Used != nil {
			quotas[a.Name] = probe.Quota{Limit: *a.Quota.Limit, LimitOK: true, Used: *a.Quota.Used, UsedOK: true}
		}
	}
	worst := Valid
	for i := range r.Tokens {
		t := &r.Tokens[i]
		state, err := ParseState(t.State)
		if err != nil {
			state = Unknown
		}
		if state >= Warning {
			state = t.applyWarnings(quotas[t.Account], r.Time, thresholds)
		}
		t.State = state.String()
		worst = min(worst, state)
	}
	r.State = worst.String()
}

// applyWarnings judges a token with a valid verdict and returns its state.
func (t *Token) applyWarnings(quota probe.Quota, now time.Time, thresholds Thresholds) State {
	var expiresAt time.Time
	if t.ExpiresAt != nil {
		expiresAt = *t.ExpiresAt
	}
	cause, warn := warningCause(expiresAt, quota, now, thresholds)
	if !warn {
		if t.State == Warning.String() {
			t.setCause(Cause(probe.Valid))
		}
		return Valid
	}
	note := expiryNote(expiresAt, now)
	if cause == QuotaLow {
		note = quotaNote(t.Account, quota)
	}
	if !slices.Contains(t.Notes, note) {
		t.Notes = append(t.Notes, note)
	}
	t.setCause(cause)
	return Warning
}

func (t *Token) setCause(c Cause) {
	t.Cause, t.Why, t.Advice = c.String(), c.Meaning(), nonEmpty(c.Advice())
}

// Select keeps only the named tokens and their accounts. It returns the names that the report does not have.
func (r *Report) Select(names []string) (missing []string) {
	accounts := make(map[string]bool)
	for _, name := range names {
		if !slices.ContainsFunc(r.Tokens, func(t Token) bool { return t.Name == name }) {
			missing = append(missing, name)
		}
	}
	r.Tokens = slices.DeleteFunc(r.Tokens, func(t Token) bool { return !slices.Contains(names, t.Name) })
	for _, t := range r.Tokens {
		accounts[t.Account] = true
	}
	r.Accounts = slices.DeleteFunc(r.Accounts, func(a Account) bool { return !accounts[a.Name] })
	return missing
}
