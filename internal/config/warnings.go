package config

import (
	"fmt"
	"time"
)

// warnf adds a warning about a value.
func (b *builder) warnf(line int, key, format string, args ...any) {
	b.Warnings = append(b.Warnings, b.format(problem{line, key, fmt.Sprintf(format, args...)}))
}

// loadReader reads secrets while a configuration is loaded or inspected. It outlives loads, so that a file that hangs
// costs one goroutine, however often the configuration is reloaded.
var loadReader Reader

// warnOfSecrets reads the secrets of all tokens, and returns what is unwise about them. Those that cannot be read in
// time are left out.
func (c *Config) warnOfSecrets() (warnings []string) {
	var inlined, exposed, repeated []string // names of tokens
	first := make(map[string]string)        // names of tokens, by secret
	for i, r := range loadReader.Read(c.Tokens) {
		t := c.Tokens[i]
		if t.Source.kind == inline {
			inlined = append(inlined, t.Name)
		}
		if r.worldReadable {
			exposed = append(exposed, t.Name)
		}
		if other, known := first[r.Secret.Reveal()]; known && r.Err == nil {
			repeated = append(repeated, fmt.Sprintf("the tokens %q and %q have the same secret, and each uses its account's "+
				"quota; keep one of them", other, t.Name))
		} else if r.Err == nil {
			first[r.Secret.Reveal()] = t.Name
		}
	}
	if len(inlined) > 0 {
		warnings = append(warnings, "the configuration itself contains the tokens "+list(inlined)+"; "+
			"token_file or token_env keep them out of its copies")
	}
	if len(exposed) > 0 {
		warnings = append(warnings, "every user of this machine can read the tokens "+list(exposed)+"; "+
			"remove that permission (chmod o-r; in Swarm mode: 0400, in Kubernetes defaultMode: 0400)")
	}
	return append(warnings, repeated...)
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

// list quotes names for a sentence, at most ten of them.
func list(names []string) string {
	if more := len(names) - 10; more > 0 {
		return fmt.Sprintf("%q and %d more", names[:10], more)
	}
	return fmt.Sprintf("%q", names)
}
