package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// warnf adds a warning about a value.
func (b *builder) warnf(line int, key, format string, args ...any) {
	b.Warnings = append(b.Warnings, b.format(problem{line, key, fmt.Sprintf(format, args...)}))
}

func (b *builder) warnOfInlineTokens() {
	var names []string
	for _, t := range b.Tokens {
		if t.Source.kind == inline {
			names = append(names, t.Name)
		}
	}
	if len(names) > 0 {
		b.warnf(0, "", "contains %s; token_file or token_env keep tokens out of its copies", nameTokens(names))
	}
}

// loadReader reads secrets while a configuration is loaded or inspected. It outlives loads, so that a file that hangs
// costs one goroutine, however often the configuration is reloaded.
var loadReader Reader

// warnOfSecrets reads the secrets of all tokens, and returns what is unwise about them. Those that cannot be read in
// time are left out.
func (c *Config) warnOfSecrets() (warnings []string) {
	var exposed []string
	same := make(map[string][]string) // names of tokens by secret
	readings := loadReader.Read(c.Tokens)
	for i, r := range readings {
		if r.worldReadable {
			exposed = append(exposed, c.Tokens[i].Name)
		}
		if r.Err == nil {
			same[r.Secret.Reveal()] = append(same[r.Secret.Reveal()], c.Tokens[i].Name)
		}
	}
	if len(exposed) > 0 {
		warnings = append(warnings, fmt.Sprintf("every user of this machine can read %s; remove that permission "+
			"(chmod o-r; in Swarm mode: 0400, in Kubernetes defaultMode: 0400)", nameTokens(exposed)))
	}
	for i, r := range readings {
		if names := same[r.Secret.Reveal()]; r.Err == nil && len(names) > 1 && names[0] == c.Tokens[i].Name {
			warnings = append(warnings, nameTokens(names)+" have the same secret, and each of them uses its account's "+
				"quota; keep one of them")
		}
	}
	return warnings
}

// Inspect returns, one line each, why tokens of a valid configuration do not work here and now: their secret cannot be
// read, or expires_at is past. The lines quote no secret.
func (c *Config) Inspect(now time.Time) (lines []string) {
	for i, r := range loadReader.Read(c.Tokens) {
		t := c.Tokens[i]
		if r.Err != nil {
			lines = append(lines, fmt.Sprintf("the token %q cannot be read: %v", t.Name, r.Err))
		}
		if !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) {
			lines = append(lines, fmt.Sprintf("the token %q is past its expires_at; replace it, or correct the date", t.Name))
		}
	}
	return lines
}

// maxNamed bounds how many tokens a warning names.
const maxNamed = 10

// nameTokens names tokens in a sentence.
func nameTokens(names []string) string {
	var quoted []string
	for _, name := range names[:min(len(names), maxNamed)] {
		quoted = append(quoted, strconv.Quote(name))
	}
	list := strings.Join(quoted, ", ")
	switch more := len(names) - maxNamed; {
	case len(names) == 1:
		return "the token " + list
	case more > 0:
		list += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("%d tokens (%s)", len(names), list)
}
