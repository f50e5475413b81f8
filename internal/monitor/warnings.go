package monitor

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

// maxWait is the time between two probes of a token from which on [Warnings] mentions it.
const maxWait = time.Hour

// Warnings returns, one line each, which accounts have more tokens than their budget can look at each hour.
func Warnings(cfg *config.Config) []string {
	tokens := make(map[string]int)
	for _, t := range cfg.Tokens {
		tokens[t.Account]++
	}
	var warnings []string
	for _, account := range slices.Sorted(maps.Keys(tokens)) {
		n := tokens[account]
		p := newPacer(cfg.Pacing, time.Time{})
		p.configure(cfg.Pacing, n, time.Time{})
		wait := time.Duration(n) * p.interval()
		if wait <= maxWait {
			continue
		}
		remedy := "watch fewer of them, or give those of other Appfigures accounts an account of their own"
		// What the bucket gains, see pacer.refill: all but a twentieth and two urgent probes per token.
		if share := float64(n) * (float64(day/maxWait) + 2) / 0.95 / float64(p.limit()); share <= 1 {
			remedy = fmt.Sprintf("to probe each once per hour, raise pacing.quota_share to %.2f, ", share+0.005) + remedy
		}
		warnings = append(warnings, fmt.Sprintf("account %q: each of its tokens (%d) is probed only every %s, because "+
			"pacing.quota_share %v of %d requests leaves %d routine probes per day for all; %s",
			account, n, wait.Round(time.Minute), p.share, p.limit(), p.refill(), remedy))
	}
	return warnings
}
