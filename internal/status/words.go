package status

import (
	"fmt"
	"strings"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// headline describes all tokens in one line.
func (r *Report) headline() string {
	text := r.worst()
	if !r.unanswered() {
		return text
	}
	switch { // nothing may read as if it had just been looked at
	case len(r.Tokens) > 1 && r.Count(Valid) == len(r.Tokens):
		text = "Last known: all valid"
	case r.Count(Denied)+r.Count(Unknown) == 0:
		text = "Last known: " + strings.ToLower(text[:1]) + text[1:]
	}
	text += ". The API has not answered"
	if r.API.Since != nil {
		text += " for " + Duration(r.Time.Sub(*r.API.Since))
	}
	return text + "."
}

// worst describes how many tokens are in the worst state that one of them is in.
func (r *Report) worst() string {
	total, waiting := len(r.Tokens), 0
	for _, t := range r.Tokens {
		if t.Cause == notProbed.name {
			waiting++
		}
	}
	denied, unknown, warning := r.Count(Denied), r.Count(Unknown), r.Count(Warning)
	switch {
	case waiting == total:
		return "Nothing has been probed yet"
	case denied > 0:
		return share(denied, total, "is denied", "are denied")
	case unknown > waiting:
		return share(unknown, total, "is unknown", "are unknown")
	case waiting > 0:
		return share(waiting, total, "has not been probed yet", "have not been probed yet")
	case warning > 0:
		return share(warning, total, "has a warning", "have a warning")
	default:
		return share(total, total, "is valid", "are valid")
	}
}

// share returns how many of all tokens do something: "2 of 12 tokens are denied".
func share(count, total int, does, do string) string {
	switch {
	case total == 1:
		return "The token " + does
	case count == total:
		return fmt.Sprintf("All %d tokens %s", total, do)
	case count == 1:
		return fmt.Sprintf("1 of %d tokens %s", total, does)
	default:
		return fmt.Sprintf("%d of %d tokens %s", count, total, do)
	}
}

// notes returns what a reader should know about a token besides its state and cause, one sentence each.
func notes(token monitor.TokenState, state State, now time.Time) []string {
	all := []string{}
	switch {
	case state != Unknown && failing(token):
		text := fmt.Sprintf("Last probe: %s, %s", token.Last.Result, Ago(token.Last.Start, now))
		if token.Last.Message != "" {
			text += " (" + token.Last.Message + ")"
		}
		text += fmt.Sprintf("; %s as of %s", token.Verdict, Ago(token.VerdictTime, now))
		if token.Unconfirmed {
			text += "; a second denial must confirm it"
		}
		all = append(all, text+".")
	case state == Unknown && token.Verdict != probe.VerdictUnknown:
		all = append(all, fmt.Sprintf("Last known: %s, %s.", token.Verdict, Ago(token.VerdictTime, now)))
	}
	if state != Valid && !token.ExpiresAt.IsZero() && !token.ExpiresAt.After(now) {
		all = append(all, expiryText(token.ExpiresAt, now))
	}
	return all
}

// expiryText tells when a token expires or should have expired.
func expiryText(expiresAt, now time.Time) string {
	return fmt.Sprintf("Its expires_at is %s, %s.", Minute(expiresAt), Ago(expiresAt, now))
}

// holds are the sentences about held accounts; the verbs stand for the end of the hold.
var holds = map[monitor.HoldReason]string{
	monitor.QuotaExhausted: "Not probed until %s, %s: the account's requests of today (UTC) are used up.",
	monitor.RateLimited:    "Not probed until %s, %s: the API asked for a pause.",
	monitor.Reserve:        "One probe per hour until %s, %s: the last requests of today (UTC) are for your programs.",
	monitor.Budget:         "Not probed until %s, %s: the probes of today (UTC) have used their budget.",
}

// accountNotes returns what a reader should know about an account besides its numbers, one sentence each.
func accountNotes(account monitor.AccountState, now time.Time) []string {
	all := []string{}
	if account.Held != monitor.NotHeld {
		all = append(all, fmt.Sprintf(holds[account.Held], Minute(account.HeldUntil), Ago(account.HeldUntil, now)))
	}
	if account.LimitAssumed {
		all = append(all, fmt.Sprintf("The API has not reported the account's limit yet: %d requests per day are assumed.",
			account.Limit))
	}
	return all
}

// Lasting returns how long the token has been in its state: "2 h 14 min", "at least 3 days". It is empty if that is not
// known.
func (t *Token) Lasting(now time.Time) string {
	switch {
	case t.StateSince == nil:
		return ""
	case t.StateSinceAtLeast:
		return "at least " + Duration(now.Sub(*t.StateSince))
	default:
		return Duration(now.Sub(*t.StateSince))
	}
}

// Next returns when the token is probed next: "in 3 min", or "due" if the next scrape probes it.
func (t *Token) Next(now time.Time) string {
	if t.NextProbe == nil {
		return "due"
	}
	return Ago(*t.NextProbe, now)
}

// Usage returns how much of the quota is used: "125 of 1000 requests". It is empty if the API did not report both.
func (q Quota) Usage() string {
	if q.Used == nil || q.Limit == nil {
		return ""
	}
	return fmt.Sprintf("%d of %d requests", *q.Used, *q.Limit)
}

// Usage returns how much of the budget is used today: "31 of 250 requests".
func (b Budget) Usage() string { return fmt.Sprintf("%d of %d requests", b.Used, b.Limit) }

// Pace returns how often each token of the account is probed: "every 1 h 10 min".
func (a *Account) Pace() string {
	return "every " + Duration(time.Duration(a.IntervalSeconds*float64(time.Second)))
}

// Duration returns d in at most two units, rounded down: "59 s", "3 min", "1 h 10 min", "47 h", "6 days".
func Duration(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Second:
		return "under 1 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 2*day && d%time.Hour >= time.Minute:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%d h", d/time.Hour)
	default:
		return fmt.Sprintf("%d days", d/day)
	}
}

// Ago returns how far t is from now: "3 h ago", "in 5 min", or "now" if it is less than a second. It is empty for the
// zero time, which stands for never.
func Ago(t, now time.Time) string {
	d := t.Sub(now)
	switch {
	case t.IsZero():
		return ""
	case d.Abs() < time.Second:
		return "now"
	case d > 0:
		return "in " + Duration(d)
	default:
		return Duration(-d) + " ago"
	}
}

// Minute returns t to the minute in UTC: "2026-05-04 03:12 UTC".
func Minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Latency returns the duration of a probe: "83 ms", "1.2 s".
func Latency(seconds float64) string {
	if seconds < 1 {
		return fmt.Sprintf("%.0f ms", 1000*seconds)
	}
	return fmt.Sprintf("%.1f s", seconds)
}

// Plural returns n with the noun, which takes an s unless n is 1.
func Plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
