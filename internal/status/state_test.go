package status

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

const day = 24 * time.Hour

// now is when the tests judge.
var now = time.Date(2026, 5, 4, 3, 0, 0, 0, time.UTC)

// unprobed returns a token of which nothing is known.
func unprobed() monitor.TokenState {
	return monitor.TokenState{Token: config.Token{Name: "etl", Account: "acme"}, Interval: 29 * time.Minute}
}

// probed returns a token whose probes have had this result for three hours, the last one two minutes ago.
func probed(result probe.Result) monitor.TokenState {
	token := unprobed()
	token.Probed, token.ResultSince = true, now.Add(-3*time.Hour)
	token.Last = probe.Outcome{Result: result, Message: "of " + result.String(), Start: now.Add(-2 * time.Minute)}
	if result.Verdict() != probe.VerdictUnknown {
		return decided(token, result, 2*time.Minute)
	}
	return token
}

// decided returns the token with a verdict of three hours that was last confirmed some time ago.
func decided(token monitor.TokenState, reason probe.Result, ago time.Duration) monitor.TokenState {
	token.Verdict, token.Reason, token.Message = reason.Verdict(), reason, "of "+reason.String()
	token.VerdictTime, token.VerdictSince = now.Add(-ago), now.Add(-3*time.Hour-ago)
	return token
}

func expiring(token monitor.TokenState, left time.Duration) monitor.TokenState {
	token.ExpiresAt = now.Add(left)
	return token
}

func unconfirmed(token monitor.TokenState) monitor.TokenState {
	token.Unconfirmed = true
	return token
}

func used(used, limit int64) probe.Quota {
	return probe.Quota{Used: used, UsedOK: true, Limit: limit, LimitOK: true}
}

func TestJudge(t *testing.T) {
	const stale = 29*time.Minute + time.Hour + time.Second
	valid, denied := probed(probe.Valid), probed(probe.Rejected)
	restored := unprobed() // from the state file, by a process that has not probed yet
	restored = decided(restored, probe.Valid, 5*time.Minute)
	for _, test := range []struct {
		name    string
		token   monitor.TokenState
		quota   probe.Quota
		want    string // state, cause
		message string
		since   string // what and since when
		notes   []string
	}{
		{name: "never probed", token: unprobed(), want: "unknown not_probed", since: "not_probed "},
		{name: "accepted", token: valid, want: "valid valid", since: "valid 23:58"},
		{name: "accepted, restored", token: restored, want: "valid valid", since: "valid 23:55"},
		{name: "rejected", token: denied, want: "denied rejected", message: "of rejected", since: "denied 23:58"},
		{name: "locked", token: probed(probe.Locked), want: "denied locked", message: "of locked", since: "denied 23:58"},
		{name: "forbidden", token: probed(probe.Forbidden), want: "denied forbidden",
			message: "of forbidden", since: "denied 23:58"},
		{name: "no verdict ever", token: probed(probe.Timeout), want: "unknown timeout",
			message: "of timeout", since: "timeout 00:00"},
		{name: "valid, short outage", token: decided(probed(probe.Timeout), probe.Valid, 5*time.Minute),
			want: "valid timeout", message: "of timeout", since: "valid 23:55",
			notes: []string{"Last probe: timeout, 2 min ago; valid as of 5 min ago."}},
		{name: "valid, limited", token: decided(probed(probe.RateLimited), probe.Valid, 5*time.Minute),
			want: "valid rate_limited", message: "of rate_limited", since: "valid 23:55",
			notes: []string{"Last probe: rate_limited, 2 min ago; valid as of 5 min ago."}},
		{name: "valid, long outage", token: decided(probed(probe.ServerError), probe.Valid, stale),
			want: "unknown server_error", message: "of server_error", since: "server_error 00:00",
			notes: []string{"Last probe: server_error, 2 min ago; valid as of 1 h ago."}},
		{name: "valid, at the end of the time", token: decided(probed(probe.ServerError), probe.Valid, stale-time.Second),
			want: "valid server_error", message: "of server_error", since: "valid 22:31",
			notes: []string{"Last probe: server_error, 2 min ago; valid as of 1 h ago."}},
		{name: "valid, not scraped any more", token: decided(valid, probe.Valid, stale),
			want: "unknown stale", since: "not confirmed 01:30"},
		{name: "valid, then no token", token: decided(probed(probe.NoToken), probe.Valid, 5*time.Minute),
			want: "unknown no_token", message: "of no_token", since: "no_token 00:00",
			notes: []string{"Last probe: no_token, 2 min ago; valid as of 5 min ago."}},
		{name: "denied, then no token", token: decided(probed(probe.NoToken), probe.Rejected, 5*time.Minute),
			want: "denied rejected", message: "of rejected", since: "denied 23:55",
			notes: []string{"Last probe: no_token, 2 min ago (of no_token); denied as of 5 min ago."}},
		{name: "denied, long outage", token: decided(probed(probe.Timeout), probe.Locked, 3*day),
			want: "denied locked", message: "of locked", since: "denied 00:00",
			notes: []string{"Last probe: timeout, 2 min ago (of timeout); denied as of 3 days ago."}},
		{name: "valid, one denial", token: unconfirmed(decided(denied, probe.Valid, 5*time.Minute)),
			want: "valid unconfirmed", message: "of rejected", since: "valid 23:55",
			notes: []string{"Last probe: rejected, 2 min ago; valid as of 5 min ago; a second denial must confirm it."}},
		{name: "one denial so far", token: func() monitor.TokenState {
			token := unconfirmed(probed(probe.Rejected))
			token.Verdict = probe.VerdictUnknown
			return token
		}(), want: "unknown unconfirmed", message: "of rejected", since: "unconfirmed 00:00",
			notes: []string{"Last probe: rejected, 2 min ago; a second denial must confirm it."}},
		{name: "expires in 14 days", token: expiring(valid, 14*day), want: "valid valid", since: "valid 23:58"},
		{name: "expires before", token: expiring(valid, 14*day-1), want: "warning expires_soon", since: "valid 23:58",
			notes: []string{"It expires in 13 days (2026-05-18 02:59 UTC)."}},
		{name: "expires now", token: expiring(valid, 0), want: "warning expired", since: "valid 23:58",
			notes: []string{"Its expires_at was now (2026-05-04 03:00 UTC)."}},
		{name: "expired", token: expiring(valid, -26*time.Hour), want: "warning expired", since: "valid 23:58",
			notes: []string{"Its expires_at was 26 h ago (2026-05-03 01:00 UTC)."}},
		{name: "rejected and expired", token: expiring(denied, -day), want: "denied rejected", message: "of rejected",
			since: "denied 23:58", notes: []string{"Its expires_at was 24 h ago (2026-05-03 03:00 UTC)."}},
		{name: "unknown and expired", token: expiring(probed(probe.Timeout), -day), want: "unknown timeout",
			message: "of timeout", since: "timeout 00:00",
			notes: []string{"Its expires_at was 24 h ago (2026-05-03 03:00 UTC)."}},
		{name: "90 % used", token: valid, quota: used(900, 1000), want: "valid valid", since: "valid 23:58"},
		{name: "more used", token: valid, quota: used(901, 1000), want: "warning quota_nearly_used", since: "valid 23:58",
			notes: []string{"Account acme has used 901 of 1,000 requests today (UTC)."}},
		{name: "used without a limit", token: valid, quota: probe.Quota{Used: 5000, UsedOK: true}, want: "valid valid",
			since: "valid 23:58"},
		{name: "expires and quota", token: expiring(valid, day), quota: used(901, 1000), want: "warning expires_soon",
			since: "valid 23:58", notes: []string{"It expires in 24 h (2026-05-05 03:00 UTC).",
				"Account acme has used 901 of 1,000 requests today (UTC)."}},
	} {
		account := monitor.AccountState{Name: "acme", Quota: test.quota}
		j := Judge(test.token, account, now, DefaultThresholds)
		if got := j.State.String() + " " + j.Cause.String(); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
		since := ""
		if !j.Since.IsZero() {
			since = j.Since.Format("15:04")
		}
		if got := j.SinceWhat + " " + since; got != test.since {
			t.Errorf("%s: since %q, want %q", test.name, got, test.since)
		}
		if !slices.Equal(j.Notes, test.notes) || j.Message != test.message {
			t.Errorf("%s: message %q, notes %q", test.name, j.Message, j.Notes)
		}
	}
}

// TestHeldBeforeFirstProbe checks that a token without a result tells what keeps it from being probed.
func TestHeldBeforeFirstProbe(t *testing.T) {
	for reason, want := range map[monitor.HoldReason]string{
		monitor.DailyLimit: "Not probed until 2026-05-05 00:00 UTC (in 21 h): the account's requests of today",
		monitor.SlowDown:   "Not probed until 2026-05-05 00:00 UTC (in 21 h): the API asked for fewer requests",
		monitor.Reserve:    "One probe per hour until 2026-05-05 00:00 UTC",
	} {
		account := monitor.AccountState{Name: "acme", Held: reason, HeldUntil: now.Add(21 * time.Hour)}
		j := Judge(unprobed(), account, now, DefaultThresholds)
		if len(j.Notes) != 1 || !strings.HasPrefix(j.Notes[0], want) {
			t.Errorf("%v: %q, want %q", reason, j.Notes, want)
		}
	}
}

func TestThresholds(t *testing.T) {
	thresholds := Thresholds{Expiry: 2 * time.Hour, Quota: 0.5}
	account := monitor.AccountState{Name: "acme", Quota: used(600, 1000)}
	if j := Judge(expiring(probed(probe.Valid), 3*time.Hour), account, now, thresholds); j.Cause != QuotaLow {
		t.Errorf("quota: %v", j.Cause)
	}
	if j := Judge(expiring(probed(probe.Valid), time.Hour), account, now, thresholds); j.Cause != ExpiresSoon {
		t.Errorf("expiry: %v", j.Cause)
	}
}

// TestCauses checks that each cause has a name and a meaning of its own, and advice unless all is well.
func TestCauses(t *testing.T) {
	seen := make(map[string]bool)
	for c := range Cause(probe.NumResults + len(causes)) {
		for _, text := range []string{c.String(), c.Meaning(), c.Advice()} {
			if seen[text] || text == "" && c != Cause(probe.Valid) {
				t.Errorf("cause %d (%s): %q is empty or not its own", c, c, text)
			}
			seen[text] = true
		}
	}
}

func TestParseState(t *testing.T) {
	for _, state := range States() {
		if got, err := ParseState(state.String()); got != state || err != nil {
			t.Errorf("ParseState(%q) = %v, %v", state, got, err)
		}
	}
	if _, err := ParseState("Valid"); err == nil || !strings.Contains(err.Error(), "denied") {
		t.Errorf("ParseState: %v, want an error that lists the states", err)
	}
}
