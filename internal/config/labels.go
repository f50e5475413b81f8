package config

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/common/model"
)

// maxLabels bounds the labels of one token. Prometheus servers commonly take no more than 30 per series.
const maxLabels = 30

// errPublished is the error of a secret that anyone can read in the metrics.
var errPublished = errors.New("is also a name, account or label, which metrics publish; " +
	"rename that, and replace the token")

// publish tells every source which texts metrics publish, so that it never returns one of them as a secret.
func (b *builder) publish(found *problems) {
	published := make(map[string]bool)
	for _, t := range b.Tokens {
		published[t.Name], published[t.Account] = true, true
		for _, l := range t.Labels {
			published[l.Name], published[l.Value] = true, true
		}
	}
	for i := range b.Tokens {
		s := &b.Tokens[i].Source
		s.published = published
		if s.kind == inline && published[s.text.Reveal()] {
			found.add(s.at, "the token "+errPublished.Error())
		}
	}
}

// published returns a text that metrics and pages can show: a name, an account, or the value of a label.
func (v value) published() (string, bool) {
	text, ok := v.text()
	if !ok {
		return "", false
	}
	if problem := checkPublished(text); problem != "" {
		v.errorf("%s", problem)
		return "", false
	}
	return text, true
}

// checkPublished returns the problem with a text that metrics and pages would show, or "". Format characters could
// make one name look like another, or reverse the text around it.
func checkPublished(text string) string {
	switch {
	case !isPlainText(text):
		return "contains a control or invisible character, or is not UTF-8; write plain text"
	case tokenWithin.MatchString(text):
		return "contains pat_, with which tokens start, but metrics publish it; write something else"
	}
	return ""
}

// tokenWithin matches a personal access token of Appfigures at the beginning of a text or of a word in it.
var tokenWithin = regexp.MustCompile(`(?i)(^|[^A-Za-z0-9_.-])pat_[A-Za-z0-9][^\s"',;:]*`)

// Redact replaces what may be a token in a text, such as an error that quotes the command line.
func Redact(text string) string { return tokenWithin.ReplaceAllString(text, "${1}"+redacted) }

func isPlainText(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, isInvisible)
}

func isInvisible(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }

// looksLikeToken reports whether text starts as Appfigures' personal access tokens do.
func looksLikeToken(text string) bool { return strings.HasPrefix(strings.ToLower(text), "pat_") }

// plainLabel matches names of labels that errors may quote. A token has a digit, or a capital, or is longer.
var plainLabel = regexp.MustCompile(`^[a-z_]{1,20}$`)

func (t *tokenBuilder) readLabels(v value) {
	if len(v.node.Content)/2 > maxLabels {
		v.errorf("more than %d labels; keep those that queries use", maxLabels)
		return
	}
	entries, _ := v.entries()
	seen := make(map[string]bool, len(entries))
	for i, entry := range entries {
		name, label := entry.key, entry.value
		if plainLabel.MatchString(name) && !looksLikeToken(name) {
			label.path += "." + name
		} else {
			label.path += fmt.Sprintf("[%d]", i)
		}
		switch {
		case !model.LegacyValidation.IsValidLabelName(name) || strings.HasPrefix(name, model.ReservedLabelPrefix):
			label.errorf("not a label name of Prometheus; write letters, digits and _, without a digit or __ in front")
		case looksLikeToken(name):
			label.errorf("the name %s", checkPublished(name))
		case name == "token" || name == "account":
			label.errorf("token and account are labels of the exporter; choose another name")
		case seen[name]:
			label.errorf("a label given twice; keep one")
		default:
			seen[name] = true
			if text, ok := label.published(); ok {
				t.Labels = append(t.Labels, Label{name, text})
			}
		}
	}
	slices.SortFunc(t.Labels, func(a, b Label) int { return cmp.Compare(a.Name, b.Name) })
}
