package monitor

import (
	"slices"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// token is a configured token with all that is known about it.
type token struct {
	savedToken
	account *account
	call    *call // the probe under way, with its confirmation; nil if there is none
}

func newToken(name, source string, now time.Time) *token {
	t := new(token)
	t.SavedName, t.SourceDigest, t.Configured, t.Created = name, source, now, now
	return t
}

// useSecret notes the digest of the secret as it was read, and reports whether that is another one. A verdict is about
// a secret: with another one, the token starts again, but keeps its turns, counters and history.
func (t *token) useSecret(digest string, now time.Time) (changed bool) {
	changed = t.SecretDigest != digest
	if changed && t.SecretDigest != "" {
		t.TokenState = TokenState{Token: t.Token, History: t.History, Counters: t.Counters, Configured: now}
		t.Sent, t.LookAgain, t.Missed = false, false, false
	} else if t.Probed && t.Last.Result == probe.NoToken { // it can be read again
		t.LookAgain = true
	}
	t.SecretDigest = digest
	return changed
}

// change is what an outcome changed about a token.
type change uint8

const (
	noChange      change = iota
	nowValid             // the verdict
	nowDenied            // the verdict, or the reason of a denial
	firstDenial          // a denial that a second answer must confirm
	oneOffDenial         // a denial that the next answer did not confirm
	newIndecision        // another result that decides nothing
)

// record takes over an outcome that came at now. The verdict changes only on answers that decide it: to valid on one
// valid answer, to denied or to another reason on two denials in a row. Answers that decide nothing do not count.
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

// remember appends a result to the history, which snapshots share: it is replaced, not changed. Consecutive results for
// which no request left are one.
func (t *token) remember(o probe.Outcome) {
	past := PastResult{Unix: o.Start.Unix(), Result: o.Result, Unsent: !o.Sent}
	history := slices.Clone(t.History)
	if n := len(history); n > 0 && past.Unsent && history[n-1].Unsent {
		past.Unix = history[n-1].Unix
		history = history[:n-1]
	}
	history = append(history, past)
	t.History = history[max(0, len(history)-historyLength):]
}
