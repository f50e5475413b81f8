package status

import (
	"fmt"
	"strings"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// headline describes all tokens in one line, by the worst state: "2 of 12 tokens are denied".
func (r *Report) headline(worst State) string {
	count, total := r.Count(worst), len(r.Tokens)
	one, several := "is "+string(worst), "are "+string(worst)
	if worst == Warning {
		one, several = "has a warning", "have a warning"
	}
	switch {
	case total == 1:
		return "The token " + one
	case count == total:
		return fmt.Sprintf("All %d tokens %s", total, several)
	case count == 1:
		return fmt.Sprintf("1 of %d tokens %s", total, one)
	default:
		return fmt.Sprintf("%d of %d tokens %s", count, total, several)
	}
}

// notes returns what a reader should know about a token besides its state and cause, one sentence each.
func notes(token monitor.TokenState, state State, now time.Time) []string {
	all := []string{}
	switch {
	case token.Verdict == probe.VerdictUnknown:
	case state == Unknown:
		all = append(all, fmt.Sprintf("Last known: %s, %s.", token.Verdict, Ago(token.VerdictTime, now)))
	case token.Last.Result != token.Reason:
		text := fmt.Sprintf("Last probe: %s, %s", token.Last.Result, Ago(token.Last.Start, now))
		if token.Last.Message != "" {
			text += " (" + token.Last.Message + ")"
		}
		all = append(all, fmt.Sprintf("%s; %s as of %s.", text, token.Verdict, Ago(token.VerdictTime, now)))
	}
	if token.Pending != probe.Valid {
		all = append(all, "Only a second denial in a row counts.")
	}
	if state != Valid && !token.ExpiresAt.IsZero() && !token.ExpiresAt.After(now) {
		all = append(all, expiryText(token.ExpiresAt, now))
	}
	return all
}

// expiryText returns when a token expires or has expired.
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

// Lasting returns how long the token has been in its state: "2 h 14 min", "at least 3 days".
func (t *Token) Lasting(now time.Time) string {
	if t.StateSinceAtLeast {
		return "at least " + Duration(now.Sub(t.StateSince))
	}
	return Duration(now.Sub(t.StateSince))
}

// Next returns when the token is probed next: "in 3 min", or "due" if the next scrape probes it.
func (t *Token) Next(now time.Time) string {
	if t.NextProbe == nil || t.NextProbe.Sub(now) < time.Second {
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
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return strings.TrimSuffix(fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute), " 0 min")
	default:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
}

// Ago returns how far t is from now: "3 h ago", "in 5 min".
func Ago(t, now time.Time) string {
	if t.After(now) {
		return "in " + Duration(t.Sub(now))
	}
	return Duration(now.Sub(t)) + " ago"
}

// Minute returns t to the minute in UTC: "2026-05-04 03:12 UTC".
func Minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Plural returns n with the noun, which takes an s unless n is 1.
func Plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
