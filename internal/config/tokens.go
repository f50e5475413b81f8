package config

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// tokenBuilder is a token that is being read.
type tokenBuilder struct {
	Token
	dir     string  // where relative paths start
	sources []value // of the keys that give a source
}

var tokenFields = []field[tokenBuilder]{
	{"name", func(t *tokenBuilder, v value) { t.Name, _ = v.published() }},
	{"token_file", (*tokenBuilder).readFile},
	{"token_env", (*tokenBuilder).readEnv},
	{"token", (*tokenBuilder).readInline},
	{"account", func(t *tokenBuilder, v value) { t.Account, _ = v.published() }},
	{"expires_at", (*tokenBuilder).readExpiry},
	{"labels", (*tokenBuilder).readLabels},
}

func (b *builder) readTokens(v value) {
	items, ok := v.items()
	if ok && len(items) == 0 {
		v.errorf("no tokens; list at least one, or remove the key and set token_dir")
	}
	for _, item := range items {
		if v.problems.full() {
			return
		}
		b.readToken(item)
	}
}

func (b *builder) readToken(v value) {
	t := tokenBuilder{Token: Token{Account: defaultAccount}, dir: b.dir}
	if v.node.Kind != yaml.MappingNode {
		v.errorf("not a mapping; write a token as name: NAME with one of token_file, token_env and token")
		return
	}
	found := readMapping(&t, v, tokenFields)
	name := found.known["name"]
	first, taken := b.names[t.Name]
	switch {
	case found.missing("name"):
		v.errorf("no name; give it one, which becomes the label token of its metrics")
	case t.Name == "": // its problem is reported
	case taken:
		name.errorf("the token of line %d has this name; give each its own", first.line)
	default:
		b.names[t.Name] = name.position
	}
	switch {
	case found.missing("token_file", "token_env", "token"):
		v.errorf("no source; give exactly one of token_file, token_env and token")
	case len(t.sources) == 1:
		t.Source.at = t.sources[0].position
		if t.Source.kind == inline {
			b.inline.add(t.Source.at, t.Name)
		}
	case len(t.sources) > 1:
		second := slices.MaxFunc(t.sources, func(a, b value) int { return cmp.Compare(a.line, b.line) })
		second.errorf("a second source; keep exactly one of token_file, token_env and token")
	}
	account, ok := found.known["account"]
	if !ok {
		account = v
	}
	b.addToken(t.Token, account.position)
}

// addToken adds a token whose account is named at account.
func (b *builder) addToken(t Token, account position) {
	if _, known := b.accounts[t.Account]; !known {
		b.accounts[t.Account] = account
	}
	b.Tokens = append(b.Tokens, t)
}

func (t *tokenBuilder) readFile(v value) {
	t.sources = append(t.sources, v)
	text, ok := v.text()
	switch {
	case !ok:
	case looksLikeToken(text):
		v.errorf("starts with pat_, as tokens do; write the path of the file that contains the token " +
			"(./pat_... for a file of that name)")
	case strings.HasPrefix(text, "~"), strings.HasPrefix(text, "$"), strings.HasPrefix(text, "file:"):
		v.errorf("starts with ~, $ or file:, which are not expanded; write the path in full")
	default:
		t.Source = fileSource(inDir(t.dir, text), text)
	}
}

func (t *tokenBuilder) readEnv(v value) {
	t.sources = append(t.sources, v)
	text, ok := v.text()
	switch {
	case !ok:
	case looksLikeToken(text):
		v.errorf("starts with pat_, as tokens do; write the name of the variable that contains the token")
	case strings.HasPrefix(text, "$"):
		v.errorf("starts with $; write only the variable's name, such as APPFIGURES_TOKEN")
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || r == '=' }):
		v.errorf("not a variable's name; write one such as APPFIGURES_TOKEN")
	default:
		t.Source = EnvSource(text)
	}
}

func (t *tokenBuilder) readInline(v value) {
	t.sources = append(t.sources, v)
	text, ok := v.text()
	if !ok {
		return
	}
	secret, err := parseToken(text)
	if err != nil {
		v.errorf("%v", err)
		return
	}
	t.Source = InlineSource(secret)
}

func (t *tokenBuilder) readExpiry(v value) {
	text, ok := v.text()
	if !ok {
		return
	}
	t.expiryAt = v.position
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			t.ExpiresAt = at.UTC()
			return
		}
	}
	v.errorf("neither a date nor a time; write 2027-01-31 (00:00 UTC of that day) or 2027-01-31T15:04:05Z")
}
