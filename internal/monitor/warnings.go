package monitor

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

// documentedLimit is how many requests a day the API allows an account, as its documentation says. Only warnings go by
// it: pacing goes by what the API reports.
const documentedLimit = 1000

// maxWait is the wait between two probes of a token from which on [Warnings] speaks up.
const maxWait = time.Hour

// Warnings says, a line each, which accounts have so many tokens that each waits longer than an hour for its probe.
func Warnings(cfg *config.Config) []string {
	tokens := make(map[string]int)
	for _, t := range cfg.Tokens {
		tokens[t.Account]++
	}
	var warnings []string
	for _, account := range slices.Sorted(maps.Keys(tokens)) {
		n := tokens[account]
		p := pacer{share: cfg.Pacing.QuotaShare, limit: documentedLimit}
		perDay := p.budget()
		if perDay == 0 {
			warnings = append(warnings, fmt.Sprintf("account %q: a quota_share of %v leaves no probe a day of the API's %d requests; raise pacing.quota_share",
				account, p.share, documentedLimit))
			continue
		}
		wait := day * time.Duration(n) / time.Duration(perDay)
		if wait <= maxWait {
			continue
		}
		remedy := "watch fewer tokens, or name the accounts that they really belong to"
		if share := float64(n) * float64(day/maxWait) / documentedLimit; share <= 1 {
			remedy = fmt.Sprintf("raise pacing.quota_share to %.2f for a wait of an hour, ", share) + remedy
		}
		warnings = append(warnings, fmt.Sprintf(
			"account %q: %d tokens share %d probes a day (quota_share %v of the API's %d requests), so each waits %s for its turn; %s",
			account, n, perDay, p.share, documentedLimit, wait.Round(time.Minute), remedy))
	}
	return warnings
}
