package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// remark is what several tokens have in common that is allowed but unwise.
type remark struct {
	at     value    // where the first of them stands
	tokens []string // their names
}

func (r *remark) add(at value, token string) {
	if len(r.tokens) == 0 {
		r.at = at
	}
	r.tokens = append(r.tokens, token)
}

// warnings returns a line for each kind of remark, in the order of the file called name.
func (d *draft) warnings(name string) (lines []string) {
	var found mistakes
	for _, kind := range []struct {
		remark
		format string // of the tokens
	}{
		{d.exposed, "every user of this machine can read %s; take the right from others (chmod o-r)"},
		{d.inline, "the configuration itself holds %s; token_file or token_env keep tokens out of copies of this file"},
	} {
		if len(kind.tokens) > 0 {
			found = append(found, mistake{kind.at.line, kind.at.path, fmt.Sprintf(kind.format, nameTokens(kind.tokens))})
		}
	}
	found.sort()
	for _, warning := range found {
		lines = append(lines, warning.in(name))
	}
	return lines
}

// Inspect says, a line each, what keeps tokens from working although the configuration is valid: secrets that cannot
// be read here and now, and expiry. Like the other warnings it quotes no secret.
func (c *Config) Inspect(now time.Time) (lines []string) {
	var problems []string // in the order of their first tokens
	tokens := make(map[string][]string)
	note := func(problem string, t Token) {
		if tokens[problem] == nil {
			problems = append(problems, problem)
		}
		tokens[problem] = append(tokens[problem], t.Name)
	}
	for _, t := range c.Tokens {
		if _, err := t.Source.Read(); err != nil {
			note("no secret: "+err.Error(), t)
		}
		if !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) {
			note("expires_at is in the past; replace the token, or correct the date", t)
		}
	}
	for _, problem := range problems {
		lines = append(lines, nameTokens(tokens[problem])+": "+problem)
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
	if more := len(names) - maxNamed; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	if len(names) == 1 {
		return "the token " + list
	}
	return fmt.Sprintf("%d tokens (%s)", len(names), list)
}
