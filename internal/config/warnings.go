package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// findings is what several tokens have in common that is allowed but unwise.
type findings struct {
	at     value    // where the first of them stands
	tokens []string // their names
}

func (r *findings) add(at value, token string) {
	if len(r.tokens) == 0 {
		r.at = at
	}
	r.tokens = append(r.tokens, token)
}

// warnings returns a line for each kind of findings, in the order of the file called name.
func (d *builder) warnings(name string) (lines []string) {
	var found problems
	for _, kind := range []struct {
		findings
		format string // of the tokens, or files
		name   func([]string) string
	}{
		{d.exposed, "every user of this machine can read %s; remove other users' read permission (chmod o-r)", nameTokens},
		{d.skipped, "skipped files that are no tokens: %s; move them elsewhere", quoteNames},
		{d.inline, "the configuration itself holds %s; token_file or token_env keep tokens out of copies of this file", nameTokens},
	} {
		if len(kind.tokens) > 0 {
			found = append(found, problem{kind.at.line, kind.at.path, fmt.Sprintf(kind.format, kind.name(kind.tokens))})
		}
	}
	for _, names := range similarAccounts(d.Tokens) {
		found = append(found, problem{text: fmt.Sprintf("the accounts %s differ only in case or white space; each has a budget of its own", names)})
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
	if len(names) == 1 {
		return "the token " + quoteNames(names)
	}
	return fmt.Sprintf("%d tokens (%s)", len(names), quoteNames(names))
}

// quoteNames lists names.
func quoteNames(names []string) string {
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

// similarAccounts returns the names of accounts that differ only in case or white space, quoted.
func similarAccounts(tokens []Token) (similar []string) {
	groups := make(map[string][]string)
	for _, t := range tokens {
		key := strings.ToLower(strings.Join(strings.Fields(t.Account), " "))
		if !slices.Contains(groups[key], strconv.Quote(t.Account)) {
			groups[key] = append(groups[key], strconv.Quote(t.Account))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		if len(groups[key]) > 1 {
			similar = append(similar, strings.Join(groups[key], ", "))
		}
	}
	return similar
}

// secretsTimeout bounds how long a load waits for secrets. What is not read by then is not compared.
const secretsTimeout = 2 * time.Second

// compareSecrets reads the secrets of all tokens and returns warnings about those that two tokens have, which spends a
// quota twice. A secret that is also a name, an account or a label, which metrics publish, is an error.
func (c *Config) compareSecrets() (warnings []string, err error) {
	type read struct {
		token  int
		secret Secret
	}
	results := make(chan read, len(c.Tokens))
	slots := make(chan struct{}, 100)
	go func() {
		for i, t := range c.Tokens {
			slots <- struct{}{}
			go func() {
				secret, err := t.Source.Read()
				<-slots
				if err != nil {
					i = -1
				}
				results <- read{i, secret}
			}()
		}
	}()
	published := make(map[string]string) // by text that metrics have: what it is
	for _, t := range c.Tokens {
		published[t.Account], published[t.Name] = "an account", "a token's name"
		for _, l := range t.Labels {
			published[l.Value] = "a label"
		}
	}
	same := make(map[string][]string) // names of tokens by secret
	timeout := time.After(secretsTimeout)
	secrets := make([]Secret, len(c.Tokens))
	for range c.Tokens {
		select {
		case r := <-results:
			if r.token >= 0 {
				secrets[r.token] = r.secret
			}
			continue
		case <-timeout:
		}
		break
	}
	for i, t := range c.Tokens {
		text := secrets[i].Reveal()
		if text == "" {
			continue
		}
		if kind := published[text]; kind != "" {
			return nil, fmt.Errorf("one of the tokens is also %s, which metrics publish; rename it, and replace the token", kind)
		}
		same[text] = append(same[text], t.Name)
	}
	for i, t := range c.Tokens {
		if names := same[secrets[i].Reveal()]; len(names) > 1 && names[0] == t.Name {
			warnings = append(warnings, nameTokens(names)+" are one and the same token; its account's quota is spent for each of them")
		}
	}
	return warnings, nil
}
