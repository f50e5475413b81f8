// Package status judges how each token stands, in one report for the page, the JSON and the check command: it has the
// only states, thresholds and words. It neither probes nor lays anything out.
package status

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// Report is the state of all tokens and accounts as /api/v1/status and `check --output=json` give it. Its keys and
// types are a contract: keys are never missing, absent facts are null.
type Report struct {
	State    State     `json:"state"`    // the worst of the tokens'; at best warning while the API does not answer
	Headline string    `json:"headline"` // the state of all tokens in one line, without a period if it is one sentence
	Time     time.Time `json:"time"`     // when the report was made
	API      API       `json:"api"`
	Tokens   []Token   `json:"tokens"`   // in the order of the configuration
	Accounts []Account `json:"accounts"` // by name
}

// API is whether the API answers.
type API struct {
	UnansweredProbes int        `json:"unanswered_probes"` // consecutive, of whichever token
	Since            *time.Time `json:"unanswered_since"`  // start of the first of them
}

// Token is one token of a [Report].
type Token struct {
	Name              string            `json:"name"`
	Account           string            `json:"account"`
	Labels            map[string]string `json:"labels"`
	State             State             `json:"state"`
	StateSince        time.Time         `json:"state_since"`          // of a warning: since when it has been valid
	StateSinceAtLeast bool              `json:"state_since_at_least"` // whether it may have been so for longer
	// Cause is a result, not_probed, secret_changed, unverified, expiry or quota.
	Cause           string     `json:"cause"`
	Verdict         *string    `json:"verdict"`      // valid or denied
	Reason          *string    `json:"reason"`       // of a denial: rejected, locked or forbidden
	Since           *time.Time `json:"since"`        // since when the verdict has been so
	VerdictTime     *time.Time `json:"verdict_time"` // when an answer last confirmed it
	Result          *string    `json:"result"`       // of the last probe
	ResultTime      *time.Time `json:"result_time"`
	HTTPStatus      *int       `json:"http_status"`
	DurationSeconds *float64   `json:"duration_seconds"`
	Message         *string    `json:"message"` // what the API or the network reported with the cause
	Why             string     `json:"why"`     // the cause in a sentence
	Notes           []string   `json:"notes"`   // more facts about this token, one sentence each
	Advice          *string    `json:"advice"`  // what to do; null for a valid token
	ExpiresAt       *time.Time `json:"expires_at"`
	NextProbe       *time.Time `json:"next_probe"`             // null if the next scrape probes it
	IntervalSeconds float64    `json:"probe_interval_seconds"` // between two turns
	History         []Past     `json:"history"`                // the last results, oldest first
}

// Past is one result in the history of a [Token].
type Past struct {
	Time   time.Time `json:"time"`
	Result string    `json:"result"`
	Says   string    `json:"says"` // about the token: valid, denied, undecided, or none if no request left
}

// Account is one account of a [Report].
type Account struct {
	Name            string   `json:"name"`
	Tokens          int      `json:"tokens"` // configured
	Quota           Quota    `json:"quota"`
	Budget          Budget   `json:"budget"`
	Held            *Held    `json:"held"`                   // null if its tokens are probed
	IntervalSeconds float64  `json:"probe_interval_seconds"` // between two turns of one token
	Notes           []string `json:"notes"`                  // facts about this account, one sentence each
}

// Quota is an account's daily quota as the API last reported it today (UTC).
type Quota struct {
	Limit *int64     `json:"limit"`
	Used  *int64     `json:"used"` // by all programs of the account
	Reset *time.Time `json:"reset"`
}

// Budget is what probes may use of the quota, in requests per UTC day.
type Budget struct {
	Limit   int64 `json:"limit"`
	Used    int64 `json:"used"`    // today
	Assumed bool  `json:"assumed"` // the limit is a share of assumed_daily_limit: the API has reported none yet
}

// Held is why an account is not probed, or rarely, and until when.
type Held struct {
	Reason string    `json:"reason"` // quota_exhausted, rate_limited, reserve or budget
	Until  time.Time `json:"until"`
}

// NewReport judges all tokens of a snapshot.
func NewReport(snapshot monitor.Snapshot, thresholds Thresholds) Report {
	report := Report{
		Time:     snapshot.Time.UTC(),
		API:      API{snapshot.Unanswered.Probes, known(snapshot.Unanswered.Since)},
		Tokens:   make([]Token, len(snapshot.Tokens)),
		Accounts: make([]Account, len(snapshot.Accounts)),
	}
	for i, account := range snapshot.Accounts {
		report.Accounts[i] = newAccount(account, snapshot.Time)
	}
	for i, token := range snapshot.Tokens {
		report.Tokens[i] = newToken(token, snapshot.Time)
	}
	report.Apply(thresholds)
	return report
}

func newToken(token monitor.TokenState, now time.Time) Token {
	t := Token{
		Name:            token.Name,
		Account:         token.Account,
		Labels:          make(map[string]string, len(token.Labels)),
		Verdict:         when(token.Verdict != probe.VerdictUnknown, string(token.Verdict)),
		Reason:          when(token.Verdict == probe.VerdictDenied, token.Reason.String()),
		Since:           known(token.VerdictSince),
		VerdictTime:     known(token.VerdictTime),
		Result:          when(token.Probed, token.Last.Result.String()),
		ResultTime:      known(token.Last.Start),
		HTTPStatus:      when(token.Last.HTTPStatus != 0, token.Last.HTTPStatus),
		DurationSeconds: when(token.Probed && token.Last.Result != probe.NoToken, token.Last.Duration.Seconds()),
		ExpiresAt:       known(token.ExpiresAt),
		NextProbe:       when(token.NextProbe.After(now), token.NextProbe.UTC()),
		IntervalSeconds: token.Interval.Seconds(),
		History:         make([]Past, len(token.History)),
	}
	for _, label := range token.Labels {
		t.Labels[label.Name] = label.Value
	}
	for i, past := range token.History {
		says := cmp.Or(string(past.Result.Verdict()), "undecided")
		if past.Unsent {
			says = "none"
		}
		t.History[i] = Past{past.Time().UTC(), past.Result.String(), says}
	}
	t.judge(token, now)
	t.StateSinceAtLeast = t.State != Unknown && token.SinceStart
	t.Notes = notes(token, t.State, now)
	return t
}

func newAccount(account monitor.AccountState, now time.Time) Account {
	a := Account{
		Name:   account.Name,
		Tokens: account.Tokens,
		Quota: Quota{
			Limit: when(account.Quota.LimitOK, account.Quota.Limit),
			Used:  when(account.Quota.UsedOK, account.Quota.Used),
			Reset: known(account.QuotaReset),
		},
		Budget:          Budget{account.Budget, account.BudgetUsed, account.LimitAssumed},
		IntervalSeconds: account.Interval.Seconds(),
		Notes:           []string{},
	}
	if until := account.HeldUntil; account.Held != monitor.NotHeld {
		a.Held = &Held{string(account.Held), until.UTC()}
		a.Notes = append(a.Notes, fmt.Sprintf(holds[account.Held], Minute(until), Ago(until, now)))
	}
	if account.LimitAssumed {
		a.Notes = append(a.Notes, fmt.Sprintf("The API has not reported the account's limit yet: %d requests per day "+
			"are assumed.", account.Limit))
	}
	return a
}

// when returns the value if it is known, else nil.
func when[T any](known bool, value T) *T {
	if !known {
		return nil
	}
	return &value
}

// known returns t in UTC, or nil for the zero time.
func known(t time.Time) *time.Time { return when(!t.IsZero(), t.UTC()) }

// Count returns how many tokens are in a state.
func (r *Report) Count(state State) (count int) {
	for _, t := range r.Tokens {
		if t.State == state {
			count++
		}
	}
	return count
}

// WorstFirst returns the tokens by state and cause, else in the order of the configuration.
func (r *Report) WorstFirst() []Token {
	rank := func(t Token) int { return slices.Index(States(), t.State) }
	return slices.SortedStableFunc(slices.Values(r.Tokens), func(a, b Token) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Cause, b.Cause))
	})
}
