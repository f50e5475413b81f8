package check

import (
	"fmt"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

const (
	// expiresSoon is how long before a token's expires_at the check begins to warn. The alert
	// AppfiguresTokenExpiringSoon has the same number.
	expiresSoon = 14 * 24 * time.Hour
	// quotaNearlyUsed is the share of an account's daily quota, in percent, above which the check warns.
	quotaNearlyUsed = 90
)

// severity is how bad a finding is. A larger one is worse.
type severity uint8

const (
	fine      severity = iota // valid, and nothing to say
	warned                    // valid, but not for long, or with little quota left
	undecided                 // no verdict
	denied
)

const numSeverities = int(denied) + 1

// exitCode returns the exit code of a check whose worst finding is s.
func (s severity) exitCode() int {
	return [numSeverities]int{fine: OK, warned: Warning, undecided: Unknown, denied: Critical}[s]
}

// finding is what the check found out about one token.
type finding struct {
	monitor.TokenState
	result   probe.Result
	ended    bool     // whether there is a result
	message  string   // what the API or the network said, or why there is no result
	warnings []string // what will be wrong soon, each in a sentence
	severity severity
}

// asked reports whether the check tried to ask the API about the token.
func (f finding) asked() bool { return f.Probed && f.Last.Result != probe.NoToken }

// examine judges the tokens of a check's only round, in their order.
func examine(snapshot monitor.Snapshot) []finding {
	accounts := make(map[string]monitor.AccountState, len(snapshot.Accounts))
	for _, account := range snapshot.Accounts {
		accounts[account.Name] = account
	}
	findings := make([]finding, len(snapshot.Tokens))
	for i, token := range snapshot.Tokens {
		f := finding{TokenState: token, severity: undecided}
		if token.Probed {
			f.result, f.ended, f.message = token.Last.Result, true, token.Last.Message
			f.severity = severityOf(f.result)
		} else if account := accounts[token.Account]; !account.HeldUntil.IsZero() {
			// A pause that the API asked for in answer to another token of the account would have been this one's
			// answer too.
			f.result, f.ended, f.message = probe.RateLimited, true, explainPause(account)
		} else {
			f.message = explainMissing(token, account)
		}
		f.warnings = warnings(token, snapshot.Time)
		if len(f.warnings) > 0 {
			f.severity = max(f.severity, warned)
		}
		findings[i] = f
	}
	return findings
}

func severityOf(result probe.Result) severity {
	switch result.Verdict() {
	case probe.VerdictValid:
		return fine
	case probe.VerdictDenied:
		return denied
	default:
		return undecided
	}
}

// worst returns the severity of the whole check.
func worst(findings []finding) severity {
	worst := fine
	for _, f := range findings {
		worst = max(worst, f.severity)
	}
	return worst
}

// explainPause says why a token of a paused account was not asked about.
func explainPause(account monitor.AccountState) string {
	return fmt.Sprintf("not asked: the API wants no more requests of the account %q before %s",
		account.Name, minute(account.HeldUntil))
}

// explainMissing says why the round has no result for a token.
func explainMissing(token monitor.TokenState, account monitor.AccountState) string {
	switch {
	case token.Skipped[monitor.Budget] > 0:
		return fmt.Sprintf(
			"not asked: probes may make %d requests a day with the account %q, and those before this one took them",
			account.Budget, account.Name)
	case token.Skipped[monitor.Deadline] > 0:
		return "not asked: the time for the check was over before its turn"
	default:
		return "no answer: the check ended before the API gave one"
	}
}

// warnings says what is not wrong yet, but will be.
func warnings(token monitor.TokenState, now time.Time) []string {
	var found []string
	if left := token.ExpiresAt.Sub(now); !token.ExpiresAt.IsZero() && left <= expiresSoon {
		found = append(found, explainExpiry(token, left))
	}
	if q := token.Quota; q.LimitOK && q.UsedOK && q.Used*100 > q.Limit*quotaNearlyUsed {
		found = append(found, fmt.Sprintf("The account %q has used %d of its %d requests of this UTC day (%d%%).",
			token.Account, q.Used, q.Limit, q.Used*100/q.Limit))
	}
	return found
}

// explainExpiry says that a token's expires_at is near, or over when nothing is left.
func explainExpiry(token monitor.TokenState, left time.Duration) string {
	date := minute(token.ExpiresAt)
	switch {
	case left > 0:
		return fmt.Sprintf("Expires in %s (%s): create its successor now.", roughly(left), date)
	case token.Probed && token.Last.Result == probe.Valid:
		return fmt.Sprintf("Its expires_at was %s ago (%s), yet the API accepts it: correct expires_at.", roughly(-left), date)
	default:
		return fmt.Sprintf("Its expires_at was %s ago (%s).", roughly(-left), date)
	}
}

// minute writes a time to the minute.
func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// roughly says a duration in its largest unit, rounded down.
func roughly(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return "less than a minute"
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%d h", d/time.Hour)
	default:
		return fmt.Sprintf("%d days", d/day)
	}
}
