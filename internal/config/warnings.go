package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// group is tokens or files that share a warning.
type group struct {
	at    position // of the first of them
	names []string
}

func (g *group) add(at position, name string) {
	if len(g.names) == 0 {
		g.at = at
	}
	g.names = append(g.names, name)
}

// build completes the configuration with its warnings.
func (b *builder) build() *Config {
	var found problems
	warn := func(g group, format string, describe func([]string) string) {
		if len(g.names) > 0 {
			found.add(g.at, fmt.Sprintf(format, describe(g.names)))
		}
	}
	warn(b.inline, "the configuration itself contains %s; token_file or token_env keep tokens out of its copies",
		nameTokens)
	warn(b.exposed, "every user of this machine can read %s; remove other users' read permission (chmod o-r)",
		nameTokens)
	warn(b.skipped, "skipped files that are not tokens: %s; move them elsewhere", quote)
	for _, g := range b.same {
		warn(g, "%s have the same secret, and each of them uses its account's quota; keep one of them", nameTokens)
	}
	for _, g := range b.similarAccounts() {
		warn(g, "the accounts %s differ only in case or white space, and each has a budget of its own; use one name",
			quote)
	}
	b.Warnings = found.lines()
	return &b.Config
}

// similarAccounts returns the accounts whose names differ only in case or white space, in the order of the file.
func (b *builder) similarAccounts() (similar []group) {
	accounts := slices.SortedFunc(maps.Keys(b.accounts), func(x, y string) int {
		return cmp.Or(cmp.Compare(b.accounts[x].line, b.accounts[y].line), cmp.Compare(x, y))
	})
	var keys []string // in that order
	groups := make(map[string]*group)
	for _, account := range accounts {
		key := strings.ToLower(strings.Join(strings.Fields(account), ""))
		if groups[key] == nil {
			groups[key], keys = new(group), append(keys, key)
		}
		groups[key].add(b.accounts[account], account)
	}
	for _, key := range keys {
		if len(groups[key].names) > 1 {
			similar = append(similar, *groups[key])
		}
	}
	return similar
}

// Inspect returns, one line each, why tokens of a valid configuration do not work here and now: their secret cannot be
// read, or expires_at is past. Like other warnings, they quote no secret.
func (c *Config) Inspect(now time.Time) []string {
	var lines []string
	for i, r := range readAll(c.Tokens, inspectTimeout, read) {
		t := c.Tokens[i]
		if r.err != nil {
			lines = append(lines, fmt.Sprintf("%s: the token %q: no secret: %v", t.Source.at, t.Name, r.err))
		}
		if !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) {
			lines = append(lines, fmt.Sprintf("%s: the token %q: expires_at is in the past; "+
				"replace the token, or correct the date", t.expiryAt, t.Name))
		}
	}
	if more := len(lines) - maxProblems; more > 1 {
		rest := fmt.Sprintf("%d more tokens have no secret, or are past their expires_at", more)
		lines = append(lines[:maxProblems], rest)
	}
	return lines
}

// maxNamed bounds how many tokens a warning names.
const maxNamed = 10

// nameTokens names tokens in a sentence.
func nameTokens(names []string) string {
	if len(names) == 1 {
		return "the token " + quote(names)
	}
	return fmt.Sprintf("%d tokens (%s)", len(names), quote(names))
}

// quote lists names, quoted.
func quote(names []string) string {
	var quoted []string
	for _, name := range names[:min(len(names), maxNamed)] {
		quoted = append(quoted, strconv.Quote(name))
	}
	list := strings.Join(quoted, ", ")
	if more := len(names) - maxNamed; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return list
}
