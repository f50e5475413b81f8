package monitor

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// TestRecord plays series of answers, a letter each: v valid, r rejected, l locked, f forbidden, q quota_exhausted,
// p rate_limited (a pause), s server_error, u unexpected, t timeout, x unreachable, n no_token. After each answer, the
// verdict is ? unknown, v valid, r l f denied, with a ! while a denial awaits confirmation.
func TestRecord(t *testing.T) {
	results := map[rune]probe.Result{
		'v': probe.Valid, 'r': probe.Rejected, 'l': probe.Locked, 'f': probe.Forbidden, 'q': probe.QuotaExhausted,
		'p': probe.RateLimited, 's': probe.ServerError, 'u': probe.Unexpected, 't': probe.Timeout,
		'x': probe.Unreachable, 'n': probe.NoToken,
	}
	for _, test := range []struct{ answers, verdicts, why string }{
		{"qpsutxnv", "???????v", "one valid answer is enough, the others decide nothing"},
		{"vqpsutxn", "vvvvvvvv", "nor do they change a verdict"},
		{"vrr", "vv!r", "two denials in a row deny"},
		{"vrvr", "vv!vv!", "but not with a valid answer between them"},
		{"vrqpsutxnr", "vv!v!v!v!v!v!v!v!r", "answers that decide nothing do not interrupt the row"},
		{"rrv", "?!rv", "one valid answer clears a denial"},
		{"rrll", "?!rr!l", "another reason takes two answers as well"},
		{"rrlr", "?!rr!r", "one odd reason does not change it"},
		{"vrll", "vv!v!l", "two denials for different reasons are no row, but the second reason begins one"},
		{"rlff", "?!?!?!f", "nor are three"},
	} {
		tok := new(token)
		var verdicts strings.Builder
		for _, letter := range test.answers {
			tok.record(probe.Outcome{Result: results[letter]}, noon)
			if tok.Verdict == probe.VerdictUnknown {
				verdicts.WriteString("?")
			} else {
				verdicts.WriteString(tok.Reason.String()[:1])
			}
			if tok.Pending != probe.Valid {
				verdicts.WriteString("!")
			}
		}
		if verdicts.String() != test.verdicts {
			t.Errorf("%s: verdicts %s, want %s (%s)", test.answers, &verdicts, test.verdicts, test.why)
		}
	}
}

// TestRecordTimes checks what is logged and what a snapshot says about when and why.
func TestRecordTimes(t *testing.T) {
	tok := new(token)
	minute := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	for _, step := range []struct {
		at                        int // minutes, as verdictTime and verdictSince
		result                    probe.Result
		message, changed          string
		verdictTime, verdictSince int
		sinceStart                bool
		reason                    string // that the verdict rests on
	}{
		{1, probe.Valid, "", "INFO: Token is valid", 1, 1, true, ""},
		{2, probe.Valid, "", "DEBUG: Probe completed", 2, 1, true, ""},
		{3, probe.Timeout, "slow", "WARN: Token could not be judged", 2, 1, true, ""},
		{5, probe.Rejected, "no", "INFO: Token was denied; probing again to confirm", 2, 1, true, ""},
		{6, probe.Valid, "", "INFO: Denial was not confirmed; that changes no verdict", 6, 1, true, ""},
		{7, probe.Rejected, "no", "INFO: Token was denied; probing again to confirm", 6, 1, true, ""},
		{8, probe.Rejected, "gone", "WARN: Token is denied", 8, 8, false, "gone"},
		{9, probe.Rejected, "gone", "DEBUG: Probe completed", 9, 8, false, "gone"},
	} {
		changed := tok.record(probe.Outcome{Result: step.result, Message: step.message}, minute(step.at))
		if text := changed.level.String() + ": " + changed.message; text != step.changed {
			t.Errorf("minute %d: %s, want %s", step.at, text, step.changed)
		}
		if !tok.VerdictTime.Equal(minute(step.verdictTime)) || !tok.VerdictSince.Equal(minute(step.verdictSince)) ||
			tok.SinceStart != step.sinceStart || tok.Message != step.reason || tok.Last.Message != step.message {
			t.Errorf("minute %d: %+v", step.at, tok.Findings)
		}
	}
}

// TestHistory checks that the last 40 results are kept, that probes of which no request left are one, and that a
// snapshot's history does not change.
func TestHistory(t *testing.T) {
	tok := new(token)
	record := func(second int64, result probe.Result, sent bool) {
		tok.record(probe.Outcome{Result: result, Sent: sent, Start: time.Unix(second, 0)}, noon)
	}
	record(1, probe.Unreachable, false)
	snapshot := tok.History
	record(2, probe.NoToken, false)
	record(3, probe.Unreachable, true)
	record(4, probe.Unreachable, false)
	want := []state.Past{
		{Unix: 1, Result: probe.NoToken, Unsent: true}, {Unix: 3, Result: probe.Unreachable},
		{Unix: 4, Result: probe.Unreachable, Unsent: true},
	}
	if !slices.Equal(tok.History, want) {
		t.Errorf("history %v, want %v", tok.History, want)
	}
	if len(snapshot) != 1 || snapshot[0].Result != probe.Unreachable {
		t.Errorf("an older snapshot has become %v", snapshot)
	}
	for second := range int64(100) {
		record(10+second, probe.Valid, true)
	}
	if n := len(tok.History); n != historyLength || tok.History[0].Unix != 70 {
		t.Errorf("%d results from %v on", n, tok.History[0].Unix)
	}
}
