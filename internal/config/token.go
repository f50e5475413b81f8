package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"
)

// Token is one configured token. Its secret is not here: Source reads it at each scrape.
type Token struct {
	Name      string
	Account   string // tokens of one account share its quota
	Source    Source
	ExpiresAt time.Time // zero when not configured
	Labels    []Label   // for appfigures_token_info, sorted by name
}

// Label is a Prometheus label.
type Label struct{ Name, Value string }

// tokenSettings is an item of tokens.
type tokenSettings struct {
	Name      string            `yaml:"name"`
	TokenFile string            `yaml:"token_file"`
	TokenEnv  string            `yaml:"token_env"`
	Token     string            `yaml:"token"`
	Account   string            `yaml:"account"`
	ExpiresAt string            `yaml:"expires_at"`
	Labels    map[string]string `yaml:"labels"`
}

// addToken adds the token of an item of tokens, which the key names.
func (b *builder) addToken(s *tokenSettings, key string) {
	var sources []Source
	if s.TokenFile != "" {
		sources = append(sources, FileSource(b.path(key+".token_file", s.TokenFile)))
	}
	if s.TokenEnv != "" {
		b.check(key+".token_env", checkPlainText(s.TokenEnv))
		b.require(key+".token_env", variableName.MatchString(s.TokenEnv),
			"not a variable's name; write one such as APPFIGURES_TOKEN, without a $")
		sources = append(sources, EnvSource(s.TokenEnv))
	}
	if s.Token != "" {
		secret, err := parseToken(s.Token)
		b.check(key+".token", err)
		sources = append(sources, InlineSource(secret))
	}
	expires, err := parseDate(s.ExpiresAt)
	b.check(key+".expires_at", err)
	b.check(key+".name", checkPlainText(s.Name))
	b.check(key+".account", checkPlainText(s.Account))
	t := Token{Name: s.Name, Account: cmp.Or(s.Account, defaultName), ExpiresAt: expires}
	t.Labels = b.labels(s.Labels, key+".labels")
	first, taken := b.names[s.Name]
	switch {
	case len(sources) != 1:
		b.check(key, fmt.Errorf("%d sources; give exactly one of token_file, token_env and token", len(sources)))
	case s.Name == "":
		b.check(key, errors.New("no name; give it one, which becomes the label token of its metrics"))
	case taken:
		b.check(key+".name", fmt.Errorf("%s has this name; give each its own", first))
	default:
		t.Source = sources[0]
		b.add(t, key)
	}
}

func (b *builder) add(t Token, key string) {
	b.names[t.Name] = key
	b.Tokens = append(b.Tokens, t)
}

// checkPlainText returns why a text cannot be shown: a name, an account, the value of a label, a path.
func checkPlainText(text string) error {
	switch {
	case !utf8.ValidString(text) || strings.ContainsFunc(text, isInvisible):
		return errors.New("contains a control or invisible character, which a backslash in double quotes can make, " +
			"or is not UTF-8; write plain text")
	case containsToken(text):
		return errors.New("contains pat_, with which tokens start, and would be shown; the key token takes a token itself, " +
			"token_file the path of a file with it, token_env the name of a variable")
	}
	return nil
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// parseDate returns a time in UTC, or zero for no text.
func parseDate(text string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	if text == "" {
		return time.Time{}, nil
	}
	return time.Time{}, errors.New("not a date or time; write 2027-01-31 (00:00 UTC of that day) " +
		"or 2027-01-31T15:04:05Z, or remove the key if the token does not expire")
}

// pasteErrors are what texts that are surely no token contain. The first that matches is reported. The API judges all
// other texts.
var pasteErrors = []struct {
	pattern *regexp.Regexp
	text    string // follows the name of a source; what is wrong; what would be right
}{
	{regexp.MustCompile(`^$`), "is empty; it must contain the token"},
	{regexp.MustCompile(`(?i)^(authorization: *)?bearer\s`), `starts with "Bearer"; put only the token there`},
	{regexp.MustCompile(`^<.*>$|[${]\{|^\$[(A-Z]|^%\w+%$|^` + exampleToken + `$`),
		"is a placeholder or a variable, which is not expanded here; put the token itself there"},
	{regexp.MustCompile(`^(export\s+)?[A-Za-z_]\w*(\s*=\s*[^=\s]|:\s)`),
		"is an assignment, such as KEY=value; put only the value there, without quotes"},
	{regexp.MustCompile("[\"'`“”‘’«»]"), "contains quotes; put only the token there, without them"},
	{regexp.MustCompile(`[^!-~]`), "contains white space, or an invisible or foreign character, such as a byte order " +
		"mark; put one token there and nothing else, as plain text"},
}

const exampleToken = "pat_replace_this_by_your_token" // in config.yml.example

// usualToken matches texts without the characters that pasteErrors look for: most tokens, in a tenth of the time.
var usualToken = regexp.MustCompile(`^[\w.~+/-]+$`)

// parseToken returns text as a token, without the white space behind it. The error follows the name of the source in a
// sentence, and does not quote text.
func parseToken(text string) (Secret, error) {
	token := strings.TrimRight(text, " \t\r\n\v\f")
	if usualToken.MatchString(token) && token != exampleToken {
		return NewSecret(token), nil
	}
	for _, problem := range pasteErrors {
		if problem.pattern.MatchString(token) {
			return Secret{}, errors.New(problem.text)
		}
	}
	return NewSecret(token), nil
}

// reserved are labels of the exporter's metrics, those that Prometheus gives to a target's series or to alerts, and
// cluster, by which the alerts join series of several sites.
var reserved = []string{"token", "account", "reason", "result", "phase", "le", "quantile", "job", "instance", "cluster",
	"alertname", "severity"}

// labels checks labels, and returns them sorted by name.
func (b *builder) labels(settings map[string]string, key string) (labels []Label) {
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		at := key
		if isPlainWord(name) {
			at += "." + name
		}
		valid := model.LegacyValidation.IsValidLabelName(name) && !strings.HasPrefix(name, model.ReservedLabelPrefix)
		b.require(at, valid && !containsToken(name),
			"not a label name of Prometheus; write letters, digits and _, without a digit or __ in front")
		b.require(at, !slices.Contains(reserved, name), "a label of the exporter, its alerts or Prometheus itself, as are "+
			strings.Join(reserved, ", ")+"; choose another name")
		b.check(at, checkPlainText(settings[name]))
		labels = append(labels, Label{name, settings[name]})
	}
	return labels
}
