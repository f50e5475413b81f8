package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"gopkg.in/yaml.v3"
)

// maxLabels bounds the labels of one token; Prometheus servers commonly take no more than 30 of a series.
const maxLabels = 30

// tokenDraft is a token that is being read.
type tokenDraft struct {
	Token
	dir     string  // where relative paths start
	sources []value // the keys that gave a source
}

var tokenFields = []field[tokenDraft]{
	{"name", func(t *tokenDraft, v value) { t.Name, _ = v.labelValue() }},
	{"token_file", (*tokenDraft).readFile},
	{"token_env", (*tokenDraft).readEnv},
	{"token", (*tokenDraft).readInline},
	{"account", func(t *tokenDraft, v value) { t.Account, _ = v.labelValue() }},
	{"expires_at", (*tokenDraft).readExpiry},
	{"labels", (*tokenDraft).readLabels},
}

func (d *draft) readTokens(v value) {
	items, ok := v.items()
	if ok && len(items) == 0 {
		v.refuse("no token in it; list at least one, or remove the key and set token_dir")
	}
	for _, item := range items {
		if v.mistakes.full() {
			return
		}
		d.readToken(item)
	}
}

func (d *draft) readToken(v value) {
	t := tokenDraft{Token: Token{Account: defaultAccount}, dir: d.dir}
	if v.node.Kind != yaml.MappingNode {
		v.refuse("not a mapping; write a token as name: NAME with one of token_file, token_env and token")
		return
	}
	found := readMapping(&t, v, tokenFields)
	at := found.at["name"]
	first, taken := d.names[t.Name]
	switch {
	case found.lack("name"):
		v.refuse("no name; give it one, which becomes the label token of its metrics")
	case t.Name == "": // what is wrong with it was reported
	case taken:
		at.refuse(fmt.Sprintf("the token of line %d has this name; give each its own", first))
	default:
		d.names[t.Name] = at.line
	}
	switch {
	case found.lack("token_file", "token_env", "token"):
		v.refuse("no source; give exactly one of token_file, token_env and token")
	case len(t.sources) == 1:
		d.checkSource(t.Token, t.sources[0])
	case len(t.sources) > 1:
		second := slices.MaxFunc(t.sources, func(a, b value) int { return cmp.Compare(a.line, b.line) })
		second.refuse("a second source; keep exactly one of token_file, token_env and token")
	}
	d.Tokens = append(d.Tokens, t.Token)
}

// checkSource warns of, or refuses, a source that gives the token away.
func (d *draft) checkSource(t Token, at value) {
	switch t.Source.kind {
	case fromFile:
		if isWorldReadable(t.Source.held.Reveal()) {
			d.exposed.add(at, t.Name)
		}
	case inline:
		isToken := func(text string) bool { return t.Source.held.Equal(NewSecret(text)) }
		if isToken(t.Name) || isToken(t.Account) || slices.ContainsFunc(t.Labels, func(l Label) bool { return isToken(l.Value) }) {
			at.refuse("the token is also its name, account or label, which metrics publish; name it otherwise")
			return
		}
		d.inline.add(at, t.Name)
	}
}

func (t *tokenDraft) readFile(v value) {
	t.sources = append(t.sources, v)
	if text, ok := v.text(); ok {
		t.Source = fileSource(inDir(t.dir, text), text)
	}
}

func (t *tokenDraft) readEnv(v value) {
	t.sources = append(t.sources, v)
	text, ok := v.text()
	switch {
	case !ok:
	case strings.HasPrefix(text, "$"):
		v.refuse("starts with $; give the variable's name alone, such as APPFIGURES_TOKEN")
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || r == '=' }):
		v.refuse("no environment variable has such a name; give one such as APPFIGURES_TOKEN")
	default:
		t.Source = EnvSource(text)
	}
}

func (t *tokenDraft) readInline(v value) {
	t.sources = append(t.sources, v)
	text, ok := v.text()
	if !ok {
		return
	}
	if strings.HasPrefix(text, "${") {
		v.refuse("variables are not expanded here; name the environment variable under token_env")
		return
	}
	secret, err := newToken(text)
	if err != nil {
		v.refuse(err.Error())
		return
	}
	t.Source = InlineSource(secret)
}

func (t *tokenDraft) readExpiry(v value) {
	text, ok := v.text()
	if !ok {
		return
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			t.ExpiresAt = at.UTC()
			return
		}
	}
	v.refuse("neither a date nor a time; write 2027-01-31 (00:00 UTC of that day) or 2027-01-31T15:04:05Z")
}

func (t *tokenDraft) readLabels(v value) {
	if len(v.node.Content)/2 > maxLabels {
		v.refuse(fmt.Sprintf("more than %d labels; keep those that queries use", maxLabels))
		return
	}
	pairs, _ := v.pairs()
	seen := make(map[string]bool, len(pairs))
	for _, pair := range pairs {
		switch name := pair.key; {
		case !model.LegacyValidation.IsValidLabelName(name) || strings.HasPrefix(name, model.ReservedLabelPrefix):
			pair.value.refuse("not a label name of Prometheus; write letters, digits and _, with no digit and no __ in front")
		case name == "token" || name == "account":
			pair.value.refuse("token and account are labels of the exporter; choose another name")
		case seen[name]:
			pair.value.refuse("a label given twice; keep one")
		default:
			seen[name] = true
			if text, ok := pair.value.labelValue(); ok {
				t.Labels = append(t.Labels, Label{name, text})
			}
		}
	}
	slices.SortFunc(t.Labels, func(a, b Label) int { return cmp.Compare(a.Name, b.Name) })
}

// labelValue returns a text that can be a label's value in every exposition format and on a page.
func (v value) labelValue() (string, bool) {
	text, ok := v.text()
	if ok && !isLabelValue(text) {
		v.refuse("holds a control character, or is not UTF-8; write plain text")
		return "", false
	}
	return text, ok
}

func isLabelValue(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}
