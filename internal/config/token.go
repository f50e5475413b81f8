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
	"gopkg.in/yaml.v3"
)

// Token is one configured token. Its secret is not here: Source reads it again for each probe.
type Token struct {
	Name      string
	Account   string // tokens of one account share its quota
	Source    Source
	ExpiresAt time.Time // zero when not configured
	Labels    []Label   // for appfigures_token_info, sorted by name

	line int // in the configuration file; 0 for the environment's
}

// Label is a Prometheus label.
type Label struct{ Name, Value string }

// tokenSettings is an item of tokens.
type tokenSettings struct {
	Name      yaml.Node            `yaml:"name"`
	TokenFile yaml.Node            `yaml:"token_file"`
	TokenEnv  yaml.Node            `yaml:"token_env"`
	Token     yaml.Node            `yaml:"token"`
	Account   yaml.Node            `yaml:"account"`
	ExpiresAt yaml.Node            `yaml:"expires_at"`
	Labels    map[string]yaml.Node `yaml:"labels"`
}

// addToken adds the token of an item of tokens, which the key names.
func (b *builder) addToken(s *tokenSettings, key string) {
	t := Token{Account: defaultName}
	t.line = cmp.Or(s.Name.Line, s.TokenFile.Line, s.TokenEnv.Line, s.Token.Line, s.Account.Line)
	read(b.document, &s.Name, key+".name", &t.Name, parsePlainText)
	read(b.document, &s.Account, key+".account", &t.Account, parsePlainText)
	read(b.document, &s.ExpiresAt, key+".expires_at", &t.ExpiresAt, parseDate)
	t.Labels = b.labels(s.Labels, key+".labels")
	var sources []Source
	if !s.TokenFile.IsZero() {
		var path string
		read(b.document, &s.TokenFile, key+".token_file", &path, parsePath)
		sources = append(sources, FileSource(b.path(path)))
	}
	if !s.TokenEnv.IsZero() {
		var name string
		read(b.document, &s.TokenEnv, key+".token_env", &name, parseVariable)
		sources = append(sources, EnvSource(name))
	}
	if !s.Token.IsZero() {
		var secret Secret
		read(b.document, &s.Token, key+".token", &secret, parseToken)
		sources = append(sources, InlineSource(secret))
	}
	first, taken := b.lines[t.Name]
	switch {
	case len(sources) != 1:
		b.errorf(t.line, key, "%d sources; give exactly one of token_file, token_env and token", len(sources))
	case s.Name.IsZero():
		b.errorf(t.line, key, "no name; give it one, which becomes the label token of its metrics")
	case taken && t.Name != "":
		b.errorf(t.line, key+".name", "the token of line %d has this name; give each its own", first)
	default:
		t.Source = sources[0]
		b.add(t)
	}
}

// parsePlainText returns a text that metrics and pages may show: a name, an account, the value of a label.
func parsePlainText(text string) (string, error) {
	switch {
	case !utf8.ValidString(text) || strings.ContainsFunc(text, isInvisible):
		return "", errors.New("contains a control or invisible character, or is not UTF-8; write plain text")
	case strings.TrimSpace(text) != text:
		return "", errors.New("has white space around it; remove that")
	case containsToken(text):
		return "", errors.New("contains pat_, with which tokens start, but metrics publish it; write something else")
	}
	return text, nil
}

func parsePath(text string) (string, error) {
	switch {
	case containsToken(text):
		return "", errors.New("contains pat_, with which tokens start; write the path of a file that has another name")
	case strings.HasPrefix(text, "~"), strings.HasPrefix(text, "$"), strings.HasPrefix(text, "file:"):
		return "", errors.New("starts with ~, $ or file:, which are not expanded; write the path in full")
	case strings.ContainsFunc(text, isInvisible):
		return "", errors.New(`contains a control or invisible character; write plain text, and no double quotes: ` +
			`a backslash in them starts an escape`)
	}
	return text, nil
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func parseVariable(text string) (string, error) {
	switch {
	case containsToken(text):
		return "", errors.New("contains pat_, with which tokens start; write the name of the variable that has the token")
	case !variableName.MatchString(text):
		return "", errors.New("not a variable's name; write one such as APPFIGURES_TOKEN, without a $")
	}
	return text, nil
}

// parseDate returns a time in UTC. Dates before 2000 are a slip, or stand for "never".
func parseDate(text string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil && at.UTC().Year() >= 2000 {
			return at.UTC(), nil
		}
	}
	return time.Time{}, errors.New("not a date or time since 2000; write 2027-01-31 (00:00 UTC of that day) " +
		"or 2027-01-31T15:04:05Z, or remove the key if the token does not expire")
}

// pasteErrors are mistakes of pasting; the first that matches is reported. The API judges everything else.
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
	{regexp.MustCompile(`[\s\v]`), "contains white space; put one token there and nothing else"},
	{regexp.MustCompile(`[^!-~]`), "contains an invisible or foreign character, such as a byte order mark; " +
		"copy the token again, as plain text"},
}

const (
	exampleToken    = "pat_replace_this_by_your_token" // in config.yml.example
	usualCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.~+/"
)

// parseToken returns text as a token, without the white space behind it. The error follows the name of the source in a
// sentence, and does not quote text.
func parseToken(text string) (Secret, error) {
	token := strings.TrimRight(text, " \t\r\n\v\f")
	if token != "" && token != exampleToken && strings.Trim(token, usualCharacters) == "" {
		return NewSecret(token), nil // half of the time to read a file would go to the patterns
	}
	for _, mistake := range pasteErrors {
		if mistake.pattern.MatchString(token) {
			return Secret{}, errors.New(mistake.text)
		}
	}
	return NewSecret(token), nil
}

var (
	// ownLabels are labels of the exporter's metrics, those that Prometheus gives to every series of a target, and
	// cluster, by which the alerts join series of several sites.
	ownLabels = []string{"token", "account", "reason", "result", "phase", "le", "quantile", "job", "instance", "cluster"}
	// foreignLabels are labels that alerts, or targets in Kubernetes, usually have.
	foreignLabels = []string{"alertname", "severity", "namespace", "pod", "service", "container", "endpoint"}
)

// labels returns labels, sorted by name.
func (b *builder) labels(settings map[string]yaml.Node, key string) (labels []Label) {
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		n, at := settings[name], key
		if isPlainWord(name) {
			at += "." + name
		}
		if err := checkLabelName(name); err != nil {
			b.errorf(n.Line, at, "%v", err)
		}
		if slices.Contains(foreignLabels, name) {
			b.warnf(n.Line, at, "alerts or targets usually have this label too, and one of the two is lost; choose another name")
		}
		label := Label{Name: name}
		read(b.document, &n, at, &label.Value, parsePlainText)
		labels = append(labels, label)
	}
	return labels
}

func checkLabelName(name string) error {
	switch {
	case containsToken(name):
		return errors.New("the name contains pat_, with which tokens start, but metrics publish it; write something else")
	case !model.LegacyValidation.IsValidLabelName(name) || strings.HasPrefix(name, model.ReservedLabelPrefix):
		return errors.New("not a label name of Prometheus; write letters, digits and _, without a digit or __ in front")
	case slices.Contains(ownLabels, name):
		return fmt.Errorf("a label of the exporter or of Prometheus itself, as are %s; choose another name",
			strings.Join(ownLabels, ", "))
	}
	return nil
}
