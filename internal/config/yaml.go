package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// document is a configuration file, with the problems found in it.
type document struct {
	name     string
	problems []problem
}

// problem is one mistake in a configuration file, or one warning about it.
type problem struct {
	line int    // 0 if it is on no single line
	key  string // such as tokens[1].name; empty for the file as a whole
	text string // what is wrong; what would be right. It quotes no value.
}

func (d *document) errorf(line int, key, format string, args ...any) {
	d.problems = append(d.problems, problem{line, key, fmt.Sprintf(format, args...)})
}

// format returns a problem as "config.yml:12: tokens[1].name: what is wrong; what would be right".
func (d *document) format(p problem) string {
	text := d.name
	if p.line > 0 {
		text += ":" + strconv.Itoa(p.line)
	}
	if p.key != "" {
		text += ": " + p.key
	}
	return text + ": " + p.text
}

// err returns the problems as one error, sorted by line, one line each, or nil if there are none.
func (d *document) err() error {
	slices.SortStableFunc(d.problems, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
	var errs []error
	for _, p := range d.problems {
		errs = append(errs, errors.New(d.format(p)))
	}
	return errors.Join(errs...)
}

// decode decodes the only YAML document of data into a struct, whose fields are structs, lists and nodes.
func (d *document) decode(data []byte, into any) {
	if line := unreadableLine(data); line > 0 {
		d.errorf(line, "", "contains a control or invisible character, such as a no-break space, or is not UTF-8; "+
			"type the line again")
		return
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	err := decoder.Decode(into)
	var second yaml.Node
	if errors.Is(err, io.EOF) {
		d.errorf(0, "", "empty; it must list tokens, as config.yml.example does")
	} else if err != nil {
		d.addError(err)
	} else if !errors.Is(decoder.Decode(&second), io.EOF) {
		d.errorf(second.Line, "", "a second document; remove the --- above it, and all that follows")
	}
}

// addError reports an error of yaml.v3, if there is one.
func (d *document) addError(err error) {
	if types, ok := errors.AsType[*yaml.TypeError](err); ok {
		for _, text := range types.Errors {
			d.addTypeError(text)
		}
	} else if err != nil {
		d.addSyntaxError(err)
	}
}

var byteOrderMark = []byte("\ufeff")

// unreadableLine returns the first line that is not UTF-8, or has a control or invisible character; 0 if there is none.
// Comments may have invisible characters.
func unreadableLine(data []byte) (number int) {
	for line := range bytes.Lines(bytes.TrimPrefix(data, byteOrderMark)) {
		number++
		line = bytes.ReplaceAll(bytes.TrimRight(line, "\r\n"), []byte("\t"), []byte(" "))
		code, _, _ := bytes.Cut(line, []byte("#"))
		if !utf8.Valid(line) || bytes.ContainsFunc(line, unicode.IsControl) || bytes.ContainsFunc(code, isInvisible) {
			return number
		}
	}
	return 0
}

// isInvisible reports whether r is a control or format character, or a space other than that of ASCII. In a name it
// could make one look like another.
func isInvisible(r rune) bool {
	return r != ' ' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Zs)
}

var (
	typeError    = regexp.MustCompile(`(?s)^line (\d+): (.*)$`)
	doubleField  = regexp.MustCompile(`(?s)^mapping key .* already defined at (line \d+)$`)
	unknownField = regexp.MustCompile(`(?s)^field (.*) not found in type `)
	wrongKind    = regexp.MustCompile(`(?s)^cannot unmarshal .* into (\[\])?\S+$`)
	syntaxError  = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)
	anchorName   = regexp.MustCompile(`(?s)anchor '.*' `)
	plainWord    = regexp.MustCompile(`^[a-z_]{1,30}$`)
)

// isPlainWord reports whether errors may quote a key: a token has a digit or a capital, or is longer.
func isPlainWord(key string) bool { return plainWord.MatchString(key) && !containsToken(key) }

// addTypeError reports what yaml.v3 says about a value that does not fit its type, without the key or value.
func (d *document) addTypeError(text string) {
	line := 0
	if found := typeError.FindStringSubmatch(text); found != nil {
		line, _ = strconv.Atoi(found[1])
		text = found[2]
	}
	key, problem := "", "not valid YAML"
	if found := doubleField.FindStringSubmatch(text); found != nil {
		problem = "a key that is given twice, also on " + found[1] + "; keep one"
	} else if found := unknownField.FindStringSubmatch(text); found != nil {
		problem = "unknown key; config.yml.example has those that are known"
		if isPlainWord(found[1]) {
			key = found[1]
		}
		if key == "insecure_skip_verify" {
			problem = "not supported: anyone could receive the tokens; set ca_file to trust a certificate of your own"
		}
	} else if found := wrongKind.FindStringSubmatch(text); found != nil {
		problem = "a mapping belongs here; write KEY: VALUE, each on a line"
		if found[1] != "" {
			problem = "a list belongs here; write each item after a dash"
		}
	}
	d.errorf(line, key, "%s", problem)
}

// addSyntaxError reports why yaml.v3 cannot parse a file, without what its message quotes.
func (d *document) addSyntaxError(err error) {
	line, text := 1, "cannot be parsed"
	if found := syntaxError.FindStringSubmatch(err.Error()); found != nil {
		if found[1] != "" { // yaml.v3 leaves out the first line
			line, _ = strconv.Atoi(found[1])
		}
		text = anchorName.ReplaceAllString(found[2], "anchor ")
	}
	advice := "check the indentation, colons, brackets and quotes from here on"
	switch {
	case strings.Contains(text, "`"): // around a value
		text = "a tag that does not fit"
	case strings.Contains(text, "escape character"), strings.Contains(text, "hexdecimal number"):
		advice = "a backslash in double quotes starts an escape: use single quotes"
	case strings.Contains(text, "tab character"), strings.Contains(text, "cannot start any token"):
		advice = "indent with spaces, not tabs, and quote a value that starts with @, ` or %"
	case strings.Contains(text, "anchor"):
		line, advice = 0, "quote a value that starts with *"
	case strings.Contains(text, "alphabetic or numeric character"):
		advice = "quote a value that starts with * or &"
	}
	d.errorf(line, "", "not valid YAML: %s; %s", text, advice)
}

// resolve returns the node that n is an alias of, or n itself.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// text returns the text of a single value, and whether there is one.
func (d *document) text(n *yaml.Node, key string) (string, bool) {
	n = resolve(n)
	switch {
	case n.IsZero(): // the key is absent
		return "", false
	case n.Kind != yaml.ScalarNode:
		d.errorf(n.Line, key, "a list or mapping where a single value belongs; write KEY: VALUE")
	case n.Style&yaml.TaggedStyle != 0 && n.Tag != "!!str":
		d.errorf(n.Line, key, "YAML tags are not supported; remove the tag, and quote a value that starts with !")
	case n.Tag == "!!null" || n.Value == "":
		d.errorf(n.Line, key, "empty; give it a value, or remove the key")
	default:
		return n.Value, true
	}
	return "", false
}

// read reads a single value into what into points to. The error of parse says what is wrong and what would be right. A
// value that is absent or wrong leaves it as it was.
func read[T any](d *document, n *yaml.Node, key string, into *T, parse func(string) (T, error)) {
	text, ok := d.text(n, key)
	if !ok {
		return
	}
	value, err := parse(text)
	if err != nil {
		d.errorf(n.Line, key, "%v", err)
		return
	}
	*into = value
}
