package status

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

const day = 24 * time.Hour

// now is when the tests judge.
var now = time.Date(2026, 5, 4, 3, 0, 0, 0, time.UTC)

// unprobed returns a token of which nothing is known.
func unprobed() monitor.TokenState {
	return monitor.TokenState{
		Token:    config.Token{Name: "etl", Account: "acme"},
		Findings: state.Findings{Configured: now.Add(-time.Hour)}, Interval: 29 * time.Minute, VerdictDue: now.Add(-31 * time.Minute),
	}
}

// probed returns a token whose last two probes had this result, the last one two minutes ago.
func probed(result probe.Result) monitor.TokenState {
	token := unprobed()
	token.Probed = true
	token.Last = probe.Outcome{Result: result, Message: "of " + result.String(), Start: now.Add(-2 * time.Minute)}
	token.History = []state.Past{
		{Unix: now.Add(-31 * time.Minute).Unix(), Result: result}, {Unix: token.Last.Start.Unix(), Result: result},
	}
	if result.Verdict() != probe.VerdictUnknown {
		return decided(token, result, 2*time.Minute)
	}
	return token
}

// decided returns the token with a verdict of three hours that was last confirmed some time ago.
func decided(token monitor.TokenState, reason probe.Result, ago time.Duration) monitor.TokenState {
	token.Verdict, token.Reason, token.Message = reason.Verdict(), reason, "of "+reason.String()
	token.VerdictTime, token.VerdictSince = now.Add(-ago), now.Add(-3*time.Hour-ago)
	token.VerdictDue = token.VerdictTime.Add(token.Interval)
	return token
}

func expiring(token monitor.TokenState, left time.Duration) monitor.TokenState {
	token.ExpiresAt = now.Add(left)
	return token
}

func used(used, limit int64) probe.Quota {
	return probe.Quota{Used: used, UsedOK: true, Limit: limit, LimitOK: true}
}

// reportOn returns the report on one token of the account acme.
func reportOn(token monitor.TokenState, account monitor.AccountState, thresholds Thresholds) Report {
	account.Name = "acme"
	return NewReport(monitor.Snapshot{
		Time: now, Tokens: []monitor.TokenState{token}, Accounts: []monitor.AccountState{account},
	}, thresholds)
}

func TestTokenState(t *testing.T) {
	const overdue = 29*time.Minute + time.Hour + time.Second
	accepted, rejected := probed(probe.Valid), probed(probe.Rejected)
	anotherSecret := unprobed()
	anotherSecret.History = accepted.History
	oneDenial, noVerdict := decided(rejected, probe.Valid, 5*time.Minute), rejected
	oneDenial.Pending = probe.Rejected
	noVerdict.Pending, noVerdict.Verdict, noVerdict.Reason = probe.Rejected, probe.VerdictUnknown, 0
	fromTheStart := probed(probe.Locked)
	fromTheStart.SinceStart = true
	for _, test := range []struct {
		name  string
		token monitor.TokenState
		quota probe.Quota
		want  string // state, cause, message, how long so
		notes []string
	}{
		{name: "never probed", token: unprobed(), want: "unknown not_probed - 1 h"},
		{name: "another secret", token: anotherSecret, want: "unknown secret_changed - 1 h"},
		{name: "accepted", token: accepted, want: "valid valid - 3 h 2 min"},
		{name: "rejected", token: rejected, want: "denied rejected of_rejected 3 h 2 min"},
		{name: "locked", token: fromTheStart, want: "denied locked of_locked at least 3 h 2 min"},
		{name: "no verdict ever", token: probed(probe.Timeout), want: "unknown timeout of_timeout 1 h"},
		{name: "valid, short outage", token: decided(probed(probe.Timeout), probe.Valid, 5*time.Minute),
			want:  "valid valid - 3 h 5 min",
			notes: []string{"Last probe: timeout, 2 min ago (of timeout); valid as of 5 min ago."}},
		{name: "valid, long outage", token: decided(probed(probe.ServerError), probe.Valid, overdue),
			want:  "unknown server_error of_server_error 1 s",
			notes: []string{"Last known: valid, 1 h 29 min ago."}},
		{name: "valid, at the end of the time", token: decided(probed(probe.ServerError), probe.Valid, overdue-time.Second),
			want:  "valid valid - 4 h 29 min",
			notes: []string{"Last probe: server_error, 2 min ago (of server_error); valid as of 1 h 29 min ago."}},
		{name: "valid, not scraped any more", token: decided(accepted, probe.Valid, overdue),
			want: "unknown unverified - 1 s", notes: []string{"Last known: valid, 1 h 29 min ago."}},
		{name: "valid, then no token", token: decided(probed(probe.NoToken), probe.Valid, 5*time.Minute),
			want: "unknown no_token of_no_token 2 min", notes: []string{"Last known: valid, 5 min ago."}},
		{name: "denied, then no token", token: decided(probed(probe.NoToken), probe.Rejected, 5*time.Minute),
			want:  "denied rejected of_rejected 3 h 5 min",
			notes: []string{"Last probe: no_token, 2 min ago (of no_token); denied as of 5 min ago."}},
		{name: "valid, one denial", token: oneDenial,
			want: "valid valid - 3 h 5 min", notes: []string{
				"Last probe: rejected, 2 min ago (of rejected); valid as of 5 min ago.", "Only a second denial in a row counts."}},
		{name: "one denial so far", token: noVerdict, want: "unknown rejected of_rejected 1 h",
			notes: []string{"Only a second denial in a row counts."}},
		{name: "expires in 14 days", token: expiring(accepted, 14*day), want: "valid valid - 3 h 2 min"},
		{name: "expires before", token: expiring(accepted, 14*day-1), want: "warning expiry - 3 h 2 min"},
		{name: "rejected and expired", token: expiring(rejected, -day), want: "denied rejected of_rejected 3 h 2 min",
			notes: []string{"Its expires_at is 2026-05-03 03:00 UTC, 24 h ago."}},
		{name: "90 % used", token: accepted, quota: used(900, 1000), want: "valid valid - 3 h 2 min"},
		{name: "more used", token: accepted, quota: used(901, 1000), want: "warning quota - 3 h 2 min"},
		{name: "used without a limit", token: accepted, quota: probe.Quota{Used: 5000, UsedOK: true},
			want: "valid valid - 3 h 2 min"},
		{name: "expires, and quota", token: expiring(accepted, day), quota: used(901, 1000),
			want: "warning expiry - 3 h 2 min"},
	} {
		got := reportOn(test.token, monitor.AccountState{Quota: test.quota}, DefaultThresholds).Tokens[0]
		message := "-"
		if got.Message != nil {
			message = strings.ReplaceAll(*got.Message, " ", "_")
		}
		if text := fmt.Sprintf("%s %s %s %s", got.State, got.Cause, message, got.Lasting(now)); text != test.want {
			t.Errorf("%s: %s, want %s", test.name, text, test.want)
		}
		if !slices.Equal(got.Notes, test.notes) {
			t.Errorf("%s: notes %q, want %q", test.name, got.Notes, test.notes)
		}
		if got.Why == "" || (got.Advice == nil) != (got.State == Valid) {
			t.Errorf("%s: why %q, advice %v: want both, but no advice for a valid token", test.name, got.Why, got.Advice)
		}
	}
}

// TestHeadline checks the report's state and headline: nothing is green that was not looked at.
func TestHeadline(t *testing.T) {
	valid, warning := probed(probe.Valid), expiring(probed(probe.Valid), day)
	unknown, denied := probed(probe.Timeout), probed(probe.Locked)
	tokens := func(tokens ...monitor.TokenState) []monitor.TokenState { return tokens }
	for _, test := range []struct {
		tokens     []monitor.TokenState
		unanswered int
		want       string
	}{
		{tokens(valid), 0, "valid: The token is valid"},
		{tokens(valid, valid), 2, "valid: All 2 tokens are valid"},
		{tokens(valid, unprobed()), 0, "unknown: 1 of 2 tokens is unknown"},
		{tokens(warning, valid), 0, "warning: 1 of 2 tokens has a warning"},
		{tokens(warning), 0, "warning: The token has a warning"},
		{tokens(warning, unknown, unknown), 0, "unknown: 2 of 3 tokens are unknown"},
		{tokens(valid, unknown, denied, denied), 0, "denied: 2 of 4 tokens are denied"},
		{tokens(denied, denied), 0, "denied: All 2 tokens are denied"},
		{tokens(valid, valid), 3, "warning: Last known: all 2 tokens are valid. The API has not answered for 12 min."},
		{tokens(valid), 3, "warning: Last known: the token is valid. The API has not answered for 12 min."},
		{tokens(warning, valid), 3, "warning: Last known: 1 of 2 tokens has a warning. The API has not answered for 12 min."},
		{tokens(unknown, valid), 3, "unknown: 1 of 2 tokens is unknown. The API has not answered for 12 min."},
		{tokens(denied, unknown), 9, "denied: 1 of 2 tokens is denied. The API has not answered for 12 min."},
	} {
		report := NewReport(monitor.Snapshot{Time: now, Tokens: test.tokens,
			Unanswered: state.Unanswered{Probes: test.unanswered, Since: now.Add(-12 * time.Minute)}}, DefaultThresholds)
		if got := string(report.State) + ": " + report.Headline; got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
	}
}

// TestApply checks the thresholds, and that a report that was made with others becomes the one made with them.
func TestApply(t *testing.T) {
	strict, lax := Thresholds{Expiry: 30 * day, Quota: 0.5}, Thresholds{Quota: 1}
	for _, test := range []struct {
		left       time.Duration
		used       int64 // of 1000
		thresholds Thresholds
		want       string
	}{
		{20 * day, 500, strict, "warning: Its expires_at is 2026-05-24 03:00 UTC, in 20 days."},
		{20 * day, 510, lax, "valid: The API accepted the token."},
		{-1, 510, lax, "warning: Its expires_at is 2026-05-04 02:59 UTC, 0 s ago."},
		{400 * day, 510, strict, "warning: Account acme has used 510 of 1000 requests today (UTC)."},
		{400 * day, 500, strict, "valid: The API accepted the token."},
	} {
		token := expiring(probed(probe.Valid), test.left)
		for _, before := range []Thresholds{DefaultThresholds, strict, lax} {
			report := reportOn(token, monitor.AccountState{Quota: used(test.used, 1000)}, before)
			report.Apply(test.thresholds)
			if got := string(report.State) + ": " + report.Tokens[0].Why; got != test.want {
				t.Errorf("%+v after %+v: %s, want %s", test.thresholds, before, got, test.want)
			}
		}
	}
}

func TestHolds(t *testing.T) {
	for _, reason := range monitor.HoldReasons() {
		account := monitor.AccountState{Held: reason, HeldUntil: now.Add(21 * time.Hour)}
		got := reportOn(unprobed(), account, DefaultThresholds).Accounts[0]
		if len(got.Notes) != 1 || !strings.Contains(got.Notes[0], " until 2026-05-05 00:00 UTC, in 21 h: ") ||
			got.Held.Reason != string(reason) {
			t.Errorf("%v: %+v", reason, got)
		}
	}
}

func TestHistory(t *testing.T) {
	token := unprobed()
	token.History = []state.Past{{Result: probe.Valid}, {Result: probe.Locked}, {Result: probe.RateLimited},
		{Result: probe.Unreachable, Unsent: true}}
	for i, want := range []string{"valid", "denied", "undecided", "none"} {
		if got := reportOn(token, monitor.AccountState{}, DefaultThresholds).Tokens[0].History[i]; got.Says != want {
			t.Errorf("%+v, want %s", got, want)
		}
	}
}
