package monitor

import (
	"log/slog"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// This file decides what an answer changes about a token. It reads no clock and does no I/O.

// token is a configured token with all that is known about it.
type token struct {
	TokenState
	state.Turns
	sourceDigest, secretDigest string // as in the state file
	account                    *account
	place                      int   // among the account's tokens, from 0
	call                       *call // the probe under way, with its confirmation; nil if there is none
}

// useSecret notes the digest of the secret as it was read, and reports whether that is another one. A verdict is about
// a secret: with another one, the token starts again, but keeps its place among the turns, its counters and history.
func (t *token) useSecret(digest string, now time.Time) (changed bool) {
	changed = t.secretDigest != digest
	if changed && t.secretDigest != "" {
		t.Findings = state.Findings{History: t.History, Configured: now}
		t.SecretTried, t.LookAgain, t.Missed = false, false, false
	} else if t.Probed && t.Last.Result == probe.NoToken { // it can be read again
		t.LookAgain = true
	}
	t.secretDigest = digest
	return changed
}

// change is what an outcome changed about a token, as it is logged.
type change struct {
	level   slog.Level
	message string
}

var (
	noChange      = change{slog.LevelDebug, "Probe completed"}
	nowValid      = change{slog.LevelInfo, "Token is valid"}
	nowDenied     = change{slog.LevelWarn, "Token is denied"} // or denied for another reason
	firstDenial   = change{slog.LevelInfo, "Token was denied; probing again to confirm"}
	oneOffDenial  = change{slog.LevelInfo, "Denial was not confirmed; that changes no verdict"}
	newIndecision = change{slog.LevelWarn, "Token could not be judged"} // another result that decides nothing
)

// record takes over an outcome of one of its tokens, and notes which tokens there may be news about. The grant is that
// of the request; zero if none was made.
func (a *account) record(t *token, g grant, o probe.Outcome, now time.Time) change {
	if o.Result.Verdict() == probe.VerdictUnknown {
		t.Missed = !(g.before.Missed && g.before.LookAgain) // a second look that decides nothing either is not repeated
	} else {
		t.LookAgain, t.Missed = false, false
		a.lookAgain(func(other *token) bool { return other.Missed }) // the API works
	}
	changed := t.record(o, now)
	switch changed {
	case firstDenial:
		t.LookAgain = true
	case nowDenied: // what denied one token may deny them all
		a.lookAgain(func(other *token) bool { return other.Verdict != probe.VerdictDenied })
	}
	return changed
}

// lookAgain gives the tokens about which there may be news an extra turn.
func (a *account) lookAgain(news func(*token) bool) {
	for _, t := range a.tokens {
		t.LookAgain = t.LookAgain || news(t)
	}
}

// record takes over an outcome that came at now. The verdict changes only on answers that decide it: to valid on one
// valid answer, to denied or to another reason on two denials in a row for it. Answers that decide nothing do not count.
func (t *token) record(o probe.Outcome, now time.Time) change {
	result, verdict := o.Result, o.Result.Verdict()
	repeated := t.Probed && result == t.Last.Result
	t.Probed, t.Last = true, o
	t.remember(o)
	if result != probe.NoToken {
		t.Results[result]++
	}
	switch {
	case verdict == probe.VerdictUnknown && repeated:
		return noChange
	case verdict == probe.VerdictUnknown:
		return newIndecision
	case verdict == t.Verdict && result == t.Reason:
		changed := noChange
		if t.Pending != probe.Valid {
			changed = oneOffDenial
		}
		t.confirmVerdict(o, now)
		return changed
	case verdict == probe.VerdictDenied && t.Pending != result:
		t.Pending = result
		return firstDenial
	default:
		t.SinceStart = t.Verdict == probe.VerdictUnknown
		t.Verdict, t.Reason, t.VerdictSince = verdict, result, now
		t.confirmVerdict(o, now)
		if verdict == probe.VerdictDenied {
			return nowDenied
		}
		return nowValid
	}
}

// confirmVerdict notes that an answer has confirmed the verdict.
func (t *token) confirmVerdict(o probe.Outcome, now time.Time) {
	t.Pending, t.Message, t.VerdictTime = probe.Valid, o.Message, now
}

const historyLength = 40 // results of a token that are kept

// remember appends a result to the history, which snapshots share: it is replaced, not changed. Consecutive results for
// which no request left are one.
func (t *token) remember(o probe.Outcome) {
	past := state.Past{Unix: o.Start.Unix(), Result: o.Result, Unsent: !o.Sent}
	history := append(make([]state.Past, 0, historyLength+1), t.History...) // a copy with room
	if n := len(history); n > 0 && past.Unsent && history[n-1].Unsent {
		past.Unix = history[n-1].Unix
		history = history[:n-1]
	}
	history = append(history, past)
	t.History = history[max(0, len(history)-historyLength):]
}
