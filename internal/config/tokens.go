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

// tokenBuilder is a token that is being read.
type tokenBuilder struct {
	Token
	dir     string  // where relative paths start
	sources []value // the keys that gave a source
}

var tokenFields = []field[tokenBuilder]{
	{"name", func(t *tokenBuilder, v value) { t.Name, _ = v.labelValue() }},
	{"token_file", (*tokenBuilder).readFile},
	{"token_env", (*tokenBuilder).readEnv},
	{"token", (*tokenBuilder).readInline},
	{"account", func(t *tokenBuilder, v value) { t.Account, _ = v.labelValue() }},
	{"expires_at", (*tokenBuilder).readExpiry},
	{"labels", (*tokenBuilder).readLabels},
}

func (d *builder) readTokens(v value) {
	items, ok := v.items()
	if ok && len(items) == 0 {
		v.report("no token in it; list at least one, or remove the key and set token_dir")
	}
	for _, item := range items {
		if v.problems.full() {
			return
		}
		d.readToken(item)
	}
}

func (d *builder) readToken(v value) {
	t := tokenBuilder{Token: Token{Account: defaultAccount}, dir: d.dir}
	if v.node.Kind != yaml.MappingNode {
		v.report("not a mapping; write a token as name: NAME with one of token_file, token_env and token")
		return
	}
	found := readMapping(&t, v, tokenFields)
	at := found.at["name"]
	first, taken := d.names[t.Name]
	switch {
	case found.missing("name"):
		v.report("no name; give it one, which becomes the label token of its metrics")
	case t.Name == "": // what is wrong with it was reported
	case taken:
		at.report(fmt.Sprintf("the token of line %d has this name; give each its own", first))
	default:
		d.names[t.Name] = at.line
	}
	switch {
	case found.missing("token_file", "token_env", "token"):
		v.report("no source; give exactly one of token_file, token_env and token")
	case len(t.sources) == 1:
		d.checkSource(t.Token, t.sources[0])
	case len(t.sources) > 1:
		second := slices.MaxFunc(t.sources, func(a, b value) int { return cmp.Compare(a.line, b.line) })
		second.report("a second source; keep exactly one of token_file, token_env and token")
	}
	d.Tokens = append(d.Tokens, t.Token)
}

// checkSource warns of, or refuses, a source that gives the token away.
func (d *builder) checkSource(t Token, at value) {
	switch t.Source.kind {
	case fromFile:
		if isWorldReadable(t.Source.held.Reveal()) {
			d.exposed.add(at, t.Name)
		}
	case inline:
		isToken := func(text string) bool { return t.Source.held.Equal(NewSecret(text)) }
		if isToken(t.Name) || isToken(t.Account) || slices.ContainsFunc(t.Labels, func(l Label) bool { return isToken(l.Value) }) {
			at.report("the token is also its name, account or label, which metrics publish; name it otherwise")
			return
		}
		d.inline.add(at, t.Name)
	}
}

func (t *tokenBuilder) readFile(v value) {
	t.sources = append(t.sources, v)
	if text, ok := v.text(); ok {
		t.Source = fileSource(inDir(t.dir, text), text)
	}
}

func (t *tokenBuilder) readEnv(v value) {
	t.sources = append(t.sources, v)
	text, ok := v.text()
	switch {
	case !ok:
	case strings.HasPrefix(text, "$"):
		v.report("starts with $; give the variable's name alone, such as APPFIGURES_TOKEN")
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || r == '=' }):
		v.report("no environment variable has such a name; give one such as APPFIGURES_TOKEN")
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
	if strings.HasPrefix(text, "${") {
		v.report("variables are not expanded here; name the environment variable under token_env")
		return
	}
	secret, err := newToken(text)
	if err != nil {
		v.report(err.Error())
		return
	}
	t.Source = InlineSource(secret)
}

func (t *tokenBuilder) readExpiry(v value) {
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
	v.report("neither a date nor a time; write 2027-01-31 (00:00 UTC of that day) or 2027-01-31T15:04:05Z")
}

func (t *tokenBuilder) readLabels(v value) {
	if len(v.node.Content)/2 > maxLabels {
		v.report(fmt.Sprintf("more than %d labels; keep those that queries use", maxLabels))
		return
	}
	pairs, _ := v.pairs()
	seen := make(map[string]bool, len(pairs))
	for _, pair := range pairs {
		switch name := pair.key; {
		case !model.LegacyValidation.IsValidLabelName(name) || strings.HasPrefix(name, model.ReservedLabelPrefix):
			pair.value.report("not a label name of Prometheus; write letters, digits and _, with no digit and no __ in front")
		case name == "token" || name == "account":
			pair.value.report("token and account are labels of the exporter; choose another name")
		case seen[name]:
			pair.value.report("a label given twice; keep one")
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
		v.report("contains a control or invisible character, or is not UTF-8; write plain text")
		return "", false
	}
	return text, ok
}

// isLabelValue reports whether text is valid UTF-8 without characters that are invisible or change how others are shown:
// controls, and format characters such as those that reverse the direction of writing.
func isLabelValue(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
	})
}
