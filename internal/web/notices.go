package web

import (
	"fmt"
	"slices"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

// quietAfter is how long nothing may have been probed, although something was due, before the page warns of it.
const quietAfter = 15 * time.Minute

// notices returns what concerns all tokens.
func notices(snapshot monitor.Snapshot) []notice {
	var all []notice
	last := lastProbe(snapshot.Tokens)
	if last.IsZero() {
		all = append(all, notice{"idle", "The exporter probes when it is scraped.",
			"Open /metrics or let Prometheus scrape it; the results then show here."})
	}
	if nothingAnswered(snapshot.Tokens) {
		all = append(all, notice{"warn", "The API answers for no token.",
			"The cause is the network, a proxy or the API itself rather than the tokens. Their last verdicts remain."})
	}
	if !last.IsZero() && snapshot.Time.Sub(last) > quietAfter && anyDue(snapshot) {
		all = append(all, notice{"warn", "Nothing seems to scrape this exporter.",
			fmt.Sprintf("The last probe was %s and more are due. The exporter probes only when it is scraped: "+
				"check that Prometheus reaches it.", status.Ago(last, snapshot.Time))})
	}
	if file := snapshot.StateFile; file.Errors > 0 && snapshot.Time.Sub(file.Saved) > quietAfter {
		all = append(all, notice{"warn", "The state file cannot be written.",
			"A restart would forget what was learned since it was last saved. The exporter's log has the error."})
	}
	return all
}

// accountNotices returns which accounts are held, nearly out of quota, or share a quota; only how many, if several.
func accountNotices(snapshot monitor.Snapshot) []notice {
	var held, low, shared []monitor.AccountState
	for _, account := range snapshot.Accounts {
		switch {
		case account.Held != monitor.NotHeld:
			held = append(held, account)
		case status.QuotaNearlyUsed(account.Quota, status.DefaultThresholds):
			low = append(low, account)
		}
		if len(account.SameUserAs) > 0 {
			shared = append(shared, account)
		}
	}
	var all []notice
	if len(held) == 1 {
		all = append(all, notice{"warn", fmt.Sprintf("Account %s is on hold.", held[0].Name),
			status.AccountNotes(held[0], snapshot.Time)[0]})
	} else if len(held) > 1 {
		all = append(all, notice{"warn", fmt.Sprintf("%s are on hold.", status.Plural(len(held), "account")),
			"See Accounts below for why and until when."})
	}
	if len(low) == 1 {
		all = append(all, notice{"warn", fmt.Sprintf("Account %s has used %s today (UTC).", low[0].Name,
			status.Usage(low[0].Quota)), status.QuotaLow.Advice()})
	} else if len(low) > 1 {
		all = append(all, notice{"warn", fmt.Sprintf("%s have used nearly all of their requests of today (UTC).",
			status.Plural(len(low), "account")), status.QuotaLow.Advice()})
	}
	if len(shared) > 0 {
		all = append(all, notice{"warn", fmt.Sprintf("%s share a quota with another one.",
			status.Plural(len(shared), "account")),
			"Their tokens belong to the same API user, so their probes spend one quota twice. See Accounts below."})
	}
	return all
}

// nothingAnswered reports whether several tokens were probed and the API answered none of the last probes.
func nothingAnswered(tokens []monitor.TokenState) bool {
	probed := 0
	for _, token := range tokens {
		switch {
		case !token.Probed || token.Last.Result == probe.NoToken:
		case token.Last.Result.Answered():
			return false
		default:
			probed++
		}
	}
	return probed > 1
}

// lastProbe returns when the latest probe of any token began; zero before the first.
func lastProbe(tokens []monitor.TokenState) time.Time {
	var last time.Time
	for _, token := range tokens {
		if token.Probed && token.Last.Start.After(last) {
			last = token.Last.Start
		}
	}
	return last
}

// anyDue reports whether a scrape would probe something now.
func anyDue(snapshot monitor.Snapshot) bool {
	return slices.ContainsFunc(snapshot.Tokens, func(token monitor.TokenState) bool {
		return !token.NextProbe.After(snapshot.Time)
	})
}
