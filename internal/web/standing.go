package web

import (
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// standing is how a token stands, as the page puts it. The worst comes first, as on the page.
type standing uint8

const (
	denied      standing = iota // the last verdict is a refusal
	unknown                     // probed, but no answer has decided anything yet
	unconfirmed                 // valid by the last verdict, but the last probe could not confirm it
	expiring                    // valid, but its configured expiry is near or past
	waiting                     // not probed yet
	valid
)

const numStandings = int(valid) + 1

// expiryWarning is how long before its expiry a token needs attention. The check command warns as early.
const expiryWarning = 14 * 24 * time.Hour

// standings holds the words for each standing: for a row, and for the count under the headline.
var standings = [numStandings]struct{ class, word, counted string }{
	denied:      {"bad", "Denied", "denied"},
	unknown:     {"warn", "Unknown", "unknown"},
	unconfirmed: {"warn", "Unconfirmed", "unconfirmed"},
	expiring:    {"warn", "Expiring", "expiring"},
	waiting:     {"idle", "Not probed yet", "not probed yet"},
	valid:       {"good", "Valid", "valid"},
}

// needsAttention reports whether somebody should look at such a token.
func (s standing) needsAttention() bool { return s < waiting }

// standingOf judges a token as the snapshot shows it.
func standingOf(token monitor.TokenState, now time.Time) standing {
	switch {
	case token.Verdict == probe.VerdictDenied:
		return denied
	case !token.Probed:
		return waiting
	case token.Verdict == probe.VerdictUnknown:
		return unknown
	case token.Last.Result.Verdict() == probe.VerdictUnknown:
		return unconfirmed
	case !token.ExpiresAt.IsZero() && token.ExpiresAt.Sub(now) < expiryWarning:
		return expiring
	default:
		return valid
	}
}

// standingSince returns when the token began to stand as it does, zero when that is not known, and whether that may have
// been earlier.
func standingSince(s standing, token monitor.TokenState) (since time.Time, orEarlier bool) {
	switch s {
	case unknown, unconfirmed:
		return token.ResultSince, token.FirstSeen.Result
	case waiting:
		return time.Time{}, false
	default:
		return token.Since, token.FirstSeen.Verdict
	}
}
