package config

import (
	"fmt"
	"maps"
	"math"
	"os"
	"runtime"
	"slices"
	"time"
)

// loadReader reads secrets for warnings. It outlives loads: a file that hangs costs one goroutine, not one per reload.
var loadReader Reader

// warnOfSecrets reads all secrets, and returns what is unwise about those that can be read in time.
func (c *Config) warnOfSecrets() (warnings []string) {
	var inlined, exposed []string   // names of tokens
	seen := make(map[string]string) // names of tokens, by secret
	for i, r := range loadReader.Read(c.Tokens) {
		if r.Err != nil {
			continue
		}
		t := c.Tokens[i]
		switch t.Source.kind {
		case inline:
			inlined = append(inlined, t.Name)
		case fromFile:
			if info, err := os.Stat(t.Source.text.Reveal()); err == nil && info.Mode().Perm()&0o004 != 0 {
				exposed = append(exposed, t.Name)
			}
		}
		if other, known := seen[r.Secret.Reveal()]; known {
			warnings = append(warnings, fmt.Sprintf("the tokens %q and %q have the same secret, and each uses its "+
				"account's quota; keep one of them", other, t.Name))
		}
		seen[r.Secret.Reveal()] = t.Name
	}
	if len(inlined) > 0 {
		warnings = append(warnings, fmt.Sprintf("the configuration itself contains the tokens %q; token_file or "+
			"token_env keep them out of its copies", inlined))
	}
	if len(exposed) > 0 && runtime.GOOS != "windows" { // where Go cannot tell
		warnings = append(warnings, fmt.Sprintf("every user of this machine can read the tokens %q; remove that "+
			"permission (chmod o-r; in Swarm mode: 0400, in Kubernetes defaultMode: 0400)", exposed))
	}
	return warnings
}

// warnOfPace returns which accounts have more tokens than their budget can probe each hour. Four fifths of a budget are
// for turns, so one token per hour takes 30 of its requests per day.
func (c *Config) warnOfPace() (warnings []string) {
	tokens := make(map[string]int) // by account
	for _, t := range c.Tokens {
		tokens[t.Account]++
	}
	share, limit := c.Pacing.QuotaShare, float64(c.Pacing.AssumedDailyLimit)
	for _, account := range slices.Sorted(maps.Keys(tokens)) {
		hourly := float64(30 * tokens[account])
		hours := hourly / limit / share
		if hours <= max(1, c.Pacing.MinInterval.Hours()) {
			continue
		}
		remedy := "watch fewer of them"
		if enough := math.Ceil(100*hourly/limit) / 100; enough <= 1 {
			remedy = fmt.Sprintf("raise it to %.2f to probe each once per hour", enough)
		}
		warnings = append(warnings, fmt.Sprintf("account %q: each of its %d tokens is probed only every %.3g hours, "+
			"because pacing.quota_share, %v of the assumed %.0f requests per day, is for all of them; %s", account,
			tokens[account], hours, share, limit, remedy))
	}
	return warnings
}

// Inspect returns, one line each, which tokens cannot be read here, or are past their expires_at. The lines quote no
// secret.
func (c *Config) Inspect(now time.Time) (lines []string) {
	for i, r := range loadReader.Read(c.Tokens) {
		t := c.Tokens[i]
		if r.Err != nil {
			lines = append(lines, fmt.Sprintf("the token %q cannot be read: %v", t.Name, r.Err))
		}
		if !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) {
			lines = append(lines, fmt.Sprintf("the token %q is past its expires_at; replace it, or correct the date",
				t.Name))
		}
	}
	return lines
}
