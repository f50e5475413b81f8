package config

import (
	"cmp"
	"errors"
	"fmt"
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
	Name      yaml.Node `yaml:"name"`
	TokenFile yaml.Node `yaml:"token_file"`
	TokenEnv  yaml.Node `yaml:"token_env"`
	Token     yaml.Node `yaml:"token"`
	Account   yaml.Node `yaml:"account"`
	ExpiresAt yaml.Node `yaml:"expires_at"`
	Labels    yaml.Node `yaml:"labels"`
}

// addToken adds the token of an item of tokens, which the key names.
func (b *builder) addToken(s *tokenSettings, key string) {
	var sources []Source
	line := 0 // of the first key of the token
	for _, n := range []*yaml.Node{&s.Name, &s.TokenFile, &s.TokenEnv, &s.Token, &s.Account} {
		if n.Line > 0 && (line == 0 || n.Line < line) {
			line = n.Line
		}
	}
	from := func(n *yaml.Node, name string, parse func(string) (Source, error)) {
		if !n.IsZero() {
			sources = append(sources, Source{})
			read(b.document, n, key+"."+name, &sources[len(sources)-1], parse)
		}
	}
	from(&s.TokenFile, "token_file", func(text string) (Source, error) {
		path, err := parsePath(text)
		return FileSource(b.path(path)), err
	})
	from(&s.TokenEnv, "token_env", func(text string) (Source, error) {
		name, err := parseVariable(text)
		return EnvSource(name), err
	})
	from(&s.Token, "token", func(text string) (Source, error) {
		secret, err := parseToken(text)
		return InlineSource(secret), err
	})
	t := Token{Account: defaultName, line: line}
	read(b.document, &s.Name, key+".name", &t.Name, parsePlainText)
	read(b.document, &s.Account, key+".account", &t.Account, parsePlainText)
	read(b.document, &s.ExpiresAt, key+".expires_at", &t.ExpiresAt, parseDate)
	t.Labels = b.labels(&s.Labels, key+".labels")
	first, taken := b.lines[t.Name]
	switch {
	case len(sources) != 1:
		b.errorf(line, key, "%d sources; give exactly one of token_file, token_env and token", len(sources))
	case s.Name.IsZero():
		b.errorf(line, key, "no name; give it one, which becomes the label token of its metrics")
	case taken && t.Name != "":
		b.errorf(s.Name.Line, key+".name", "the token of line %d has this name; give each its own", first)
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
	{regexp.MustCompile(`^<.*>$|[${]\{|^\$[(A-Z]|^%\w+%$|^pat_replace_this_by_your_token$`),
		"is a placeholder or a variable, which is not expanded here; put the token itself there"},
	{regexp.MustCompile(`^(export\s+)?[A-Za-z_]\w*(\s*=\s*[^=\s]|:\s)`),
		"is an assignment, such as KEY=value; put only the value there, without quotes"},
	{regexp.MustCompile("[\"'`“”‘’«»]"), "contains quotes; put only the token there, without them"},
	{regexp.MustCompile(`[\s\v]`), "contains white space; put one token there and nothing else"},
	{regexp.MustCompile(`[^!-~]`), "contains an invisible or foreign character, such as a byte order mark; " +
		"copy the token again, as plain text"},
}

// parseToken returns text as a token, without the white space behind it. The error follows the name of the source in a
// sentence, and does not quote text.
func parseToken(text string) (Secret, error) {
	token := strings.TrimRight(text, " \t\r\n\v\f")
	for _, mistake := range pasteErrors {
		if mistake.pattern.MatchString(token) {
			return Secret{}, errors.New(mistake.text)
		}
	}
	return NewSecret(token), nil
}

var (
	// ownLabels are labels of the exporter's metrics, and those that Prometheus gives to every series of a target.
	ownLabels = []string{"token", "account", "reason", "result", "phase", "le", "quantile", "job", "instance"}
	// foreignLabels are labels that alerts, or targets in Kubernetes, usually have.
	foreignLabels = []string{"alertname", "severity", "namespace", "pod", "service", "container", "endpoint"}
)

// labels returns the labels in a mapping, sorted by name.
func (b *builder) labels(n *yaml.Node, key string) (labels []Label) {
	n = resolve(n)
	if n == nil || n.IsZero() || n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		b.errorf(n.Line, key, "a mapping belongs here; write KEY: VALUE, each on a line")
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, at := n.Content[i].Value, key
		if isPlainWord(name) {
			at += "." + name
		}
		twice := slices.ContainsFunc(labels, func(l Label) bool { return l.Name == name })
		if err := checkLabelName(name, twice); err != nil {
			b.errorf(n.Content[i].Line, at, "%v", err)
			continue
		}
		if slices.Contains(foreignLabels, name) {
			b.warnf(n.Content[i].Line, at, "alerts or targets usually have this label too, and one of the two is lost; "+
				"choose another name")
		}
		label := Label{Name: name}
		read(b.document, n.Content[i+1], at, &label.Value, parsePlainText)
		labels = append(labels, label)
	}
	slices.SortFunc(labels, func(a, b Label) int { return cmp.Compare(a.Name, b.Name) })
	return labels
}

func checkLabelName(name string, twice bool) error {
	switch {
	case twice:
		return errors.New("a label given twice; keep one")
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
