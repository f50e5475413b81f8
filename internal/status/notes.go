package status

import (
	"fmt"
	"strings"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// notes returns what a reader should know about a token besides its state, one sentence each.
func notes(token monitor.TokenState, account monitor.AccountState, now time.Time, thresholds Thresholds) []string {
	var all []string
	if last := lastProbe(token, now); last != "" {
		all = append(all, last)
	}
	if !token.ExpiresAt.IsZero() && token.ExpiresAt.Sub(now) < thresholds.Expiry {
		all = append(all, expiryNote(token.ExpiresAt, now))
	}
	if QuotaNearlyUsed(account.Quota, thresholds) {
		all = append(all, quotaNote(account.Name, account.Quota))
	}
	if !token.Probed && account.Held != monitor.NotHeld {
		all = append(all, held(account, now))
	}
	return all
}

// expiryNote tells when a token expires or should have expired.
func expiryNote(expiresAt, now time.Time) string {
	if !expiresAt.After(now) {
		return fmt.Sprintf("Its expires_at was %s (%s).", Ago(expiresAt, now), Minute(expiresAt))
	}
	return fmt.Sprintf("It expires in %s (%s).", Duration(expiresAt.Sub(now)), Minute(expiresAt))
}

// quotaNote tells how much of its quota an account has used.
func quotaNote(account string, quota probe.Quota) string {
	return fmt.Sprintf("Account %s has used %s today (UTC).", account, Usage(quota))
}

// lastProbe describes a last probe that does not confirm the verdict. It is empty if there is none.
func lastProbe(token monitor.TokenState, now time.Time) string {
	if !token.Probed || token.Last.Result.Verdict() == token.Verdict && !token.Unconfirmed {
		return ""
	}
	text := "Last probe: " + token.Last.Result.String()
	if ago := Ago(token.Last.Start, now); ago != "" {
		text += ", " + ago
	}
	if message := token.Last.Message; message != "" && token.Verdict == probe.VerdictDenied {
		text += " (" + message + ")"
	}
	if token.Verdict != probe.VerdictUnknown {
		text += fmt.Sprintf("; %s as of %s", token.Verdict, Ago(token.VerdictTime, now))
	}
	if token.Unconfirmed {
		text += "; a second denial must confirm it"
	}
	return text + "."
}

// held explains why the account is not probed, and until when.
func held(account monitor.AccountState, now time.Time) string {
	until := fmt.Sprintf("until %s (%s)", Minute(account.HeldUntil), Ago(account.HeldUntil, now))
	switch account.Held {
	case monitor.DailyLimit:
		return fmt.Sprintf("Not probed %s: the account's requests of today (UTC) are used up.", until)
	case monitor.SlowDown:
		return fmt.Sprintf("Not probed %s: the API asked for fewer requests.", until)
	default:
		return fmt.Sprintf("One probe per hour %s: the last requests of today (UTC) are left to your programs.", until)
	}
}

// Usage returns how much of a quota is used, as far as the API reported it: "125 of 1,000 requests". It is empty if the
// API did not report the use.
func Usage(quota probe.Quota) string {
	switch {
	case !quota.UsedOK:
		return ""
	case !quota.LimitOK:
		return Number(quota.Used) + " requests"
	default:
		return Number(quota.Used) + " of " + Number(quota.Limit) + " requests"
	}
}

// PaceAdvice is how to have an account's tokens probed more often.
const PaceAdvice = "To probe more often, raise pacing.quota_share (1 at most), lower pacing.min_interval if it is set, " +
	"or watch fewer tokens of the account."

// Pace returns how often tokens are probed: "every 29 min or sooner".
func Pace(longestWait time.Duration) string {
	unit := time.Hour
	switch {
	case longestWait < time.Second:
		return "at each scrape"
	case longestWait < time.Minute:
		unit = time.Second
	case longestWait < time.Hour:
		unit = time.Minute
	}
	return "every " + Duration((longestWait + unit - 1).Truncate(unit)) + " or sooner" // rounded up
}

// paceNotes explains how often the account's tokens are probed, and what would make that more often.
func paceNotes(account monitor.AccountState, longestWait time.Duration) []string {
	used := fmt.Sprintf("Probes used %s of %s requests in the last 24 hours",
		Number(account.BudgetUsed), Number(account.Budget))
	if account.Held != monitor.NotHeld {
		return []string{used + "."}
	}
	all := []string{fmt.Sprintf("%s; each token is probed %s.", used, Pace(longestWait))}
	if longestWait >= time.Minute {
		all = append(all, PaceAdvice)
	}
	return all
}

// AccountNotes returns what a reader should know about an account besides its numbers, one sentence each.
func AccountNotes(account monitor.AccountState, now time.Time) []string {
	var all []string
	if account.Held != monitor.NotHeld {
		all = append(all, held(account, now))
	}
	if account.LimitAssumed {
		all = append(all, fmt.Sprintf("The API has not reported the account's limit yet: %s requests per day are assumed.",
			Number(account.Limit)))
	}
	if len(account.SameUserAs) > 0 {
		all = append(all, fmt.Sprintf("Its tokens belong to the same API user as those of %s: "+
			"these accounts share one quota, so configure them as one.", strings.Join(account.SameUserAs, ", ")))
	}
	return all
}

// LongestWaits returns for each account the longest interval between two routine probes of one of its tokens.
func LongestWaits(tokens []monitor.TokenState) map[string]time.Duration {
	waits := make(map[string]time.Duration)
	for _, token := range tokens {
		waits[token.Account] = max(waits[token.Account], token.Interval)
	}
	return waits
}
