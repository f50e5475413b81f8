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
// verdict is ? unknown, v valid, r l f denied, in capitals while a denial awaits confirmation (+ for ? and v).
func TestRecord(t *testing.T) {
	results := map[rune]probe.Result{
		'v': probe.Valid, 'r': probe.Rejected, 'l': probe.Locked, 'f': probe.Forbidden, 'q': probe.QuotaExhausted,
		'p': probe.RateLimited, 's': probe.ServerError, 'u': probe.Unexpected, 't': probe.Timeout,
		'x': probe.Unreachable, 'n': probe.NoToken,
	}
	for _, test := range []struct{ answers, verdicts, why string }{
		{"v", "v", "one valid answer is enough"},
		{"qpsutxn", "???????", "these decide nothing"},
		{"vqpsutxn", "vvvvvvvv", "nor do they change a verdict"},
		{"rr", "+r", "two denials in a row deny"},
		{"vrr", "v!r", "also a valid token"},
		{"vrv", "v!v", "one odd denial does not"},
		{"vrvr", "v!v!", "nor do two with a valid answer between them"},
		{"vrqpsutxnr", "v!!!!!!!!r", "answers that decide nothing do not interrupt the row"},
		{"rrv", "+rv", "one valid answer clears a denial"},
		{"rrll", "+rRl", "another reason takes two answers as well"},
		{"rrlr", "+rRr", "one odd reason does not change it"},
		{"vrl", "v!!", "two denials for different reasons are no row"},
		{"vrll", "v!!l", "but the second reason begins one"},
		{"rlf", "+++", "nor are three"},
		{"ff", "+f", "forbidden denies"},
	} {
		tok := new(token)
		var verdicts strings.Builder
		now := time.Unix(1e9, 0)
		for _, letter := range test.answers {
			now = now.Add(time.Minute)
			tok.record(probe.Outcome{Result: results[letter], Sent: letter != 'n' && letter != 'x', Start: now}, now)
			verdicts.WriteString(verdictLetter(tok))
		}
		if verdicts.String() != test.verdicts {
			t.Errorf("%s: verdicts %s, want %s (%s)", test.answers, &verdicts, test.verdicts, test.why)
		}
	}
}

func verdictLetter(tok *token) string {
	letter := map[probe.Verdict]string{probe.VerdictUnknown: "?", probe.VerdictValid: "v"}[tok.Verdict]
	if tok.Verdict == probe.VerdictDenied {
		letter = tok.Reason.String()[:1]
	}
	if tok.Pending != probe.Valid {
		letter = map[string]string{"?": "+", "v": "!"}[letter] + strings.ToUpper(strings.Trim(letter, "?v"))
	}
	return letter
}

// TestRecordTimes checks what a snapshot says about when and why.
func TestRecordTimes(t *testing.T) {
	tok := new(token)
	at := func(minute int) time.Time { return time.Unix(1e9, 0).Add(time.Duration(minute) * time.Minute) }
	type facts struct {
		changed       change
		time, since   time.Time
		atStart       bool
		message, last string
	}
	for _, step := range []struct {
		minute  int
		result  probe.Result
		message string
		want    facts
	}{
		{1, probe.Valid, "", facts{nowValid, at(1), at(1), true, "", ""}},
		{2, probe.Valid, "", facts{noChange, at(2), at(1), true, "", ""}},
		{3, probe.Timeout, "slow", facts{newIndecision, at(2), at(1), true, "", "slow"}},
		{5, probe.Rejected, "no", facts{firstDenial, at(2), at(1), true, "", "no"}},
		{6, probe.Valid, "", facts{oneOffDenial, at(6), at(1), true, "", ""}},
		{7, probe.Rejected, "no", facts{firstDenial, at(6), at(1), true, "", "no"}},
		{8, probe.Rejected, "gone", facts{nowDenied, at(8), at(8), false, "gone", "gone"}},
		{9, probe.Rejected, "gone", facts{noChange, at(9), at(8), false, "gone", "gone"}},
	} {
		now := at(step.minute)
		changed := tok.record(probe.Outcome{Result: step.result, Message: step.message, Sent: true, Start: now}, now)
		got := facts{changed, tok.VerdictTime, tok.VerdictSince, tok.SinceStart, tok.Message, tok.Last.Message}
		if got != step.want {
			t.Errorf("minute %d: %+v, want %+v", step.minute, got, step.want)
		}
	}
	if tok.Results[probe.Rejected] != 4 || tok.Results[probe.Timeout] != 1 {
		t.Errorf("counted %v", tok.Results)
	}
}

// TestHistory checks that the last 40 results are kept, that probes of which no request left are one, and that a
// snapshot's history does not change.
func TestHistory(t *testing.T) {
	tok := new(token)
	record := func(second int64, result probe.Result, sent bool) {
		at := time.Unix(second, 0)
		tok.record(probe.Outcome{Result: result, Sent: sent, Start: at}, at)
	}
	record(1, probe.Unreachable, false)
	record(2, probe.NoToken, false)
	record(3, probe.Unreachable, true)
	snapshot := tok.History
	record(4, probe.Unreachable, false)
	want := []state.Past{
		{Unix: 1, Result: probe.NoToken, Unsent: true}, {Unix: 3, Result: probe.Unreachable},
		{Unix: 4, Result: probe.Unreachable, Unsent: true},
	}
	if !slices.Equal(tok.History, want) {
		t.Errorf("history %v, want %v", tok.History, want)
	}
	for second := range int64(100) {
		record(10+second, probe.Valid, true)
	}
	if n := len(tok.History); n != historyLength || tok.History[0].Unix != 70 {
		t.Errorf("%d results from %v on", n, tok.History[0].Unix)
	}
	if !slices.Equal(snapshot, want[:2]) {
		t.Errorf("an older snapshot has become %v", snapshot)
	}
}
