package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// decode decodes the only YAML document of data into s. It adds problems; no problem quotes a value.
func (b *builder) decode(data []byte, s *settings) {
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // a byte order mark
	if i := bytes.IndexFunc(data, func(r rune) bool {
		return r == utf8.RuneError || isInvisible(r) && !strings.ContainsRune("\t\r\n", r)
	}); i >= 0 {
		line := 1 + bytes.Count(data[:i], []byte("\n"))
		b.errorAt(line, "contains a control or invisible character, such as a no-break space, or is not UTF-8; "+
			"type the line again")
		return
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	err := decoder.Decode(s)
	var root, second yaml.Node
	if errors.Is(err, io.EOF) {
		b.errorAt(0, "empty; it must list tokens, as config.yml.example does")
	} else if types, ok := errors.AsType[*yaml.TypeError](err); ok {
		for _, text := range types.Errors {
			b.addTypeError(text)
		}
	} else if err != nil {
		b.addSyntaxError(err)
	} else if !errors.Is(decoder.Decode(&second), io.EOF) {
		b.errorAt(second.Line, "a second document; remove the --- above it, and all that follows")
	} else if yaml.Unmarshal(data, &root) == nil {
		b.addLines(root.Content[0], "")
	}
}

// errorAt adds a problem of a line.
func (b *builder) errorAt(line int, problem string) {
	b.problems = append(b.problems, errors.New(b.place(line, "")+problem))
}

// addLines notes the lines of n, whose key is given, and of all values in it. Values behind an alias have none.
func (b *builder) addLines(n *yaml.Node, key string) {
	b.lines[key] = n.Line
	switch n.Kind {
	case yaml.SequenceNode:
		for i, item := range n.Content {
			b.addLines(item, fmt.Sprintf("%s[%d]", key, i))
		}
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			b.addLines(n.Content[i+1], strings.TrimPrefix(key+"."+n.Content[i].Value, "."))
		}
	}
}

// isInvisible reports whether r is a control or format character, or a space other than that of ASCII. In a name it
// could make one look like another.
func isInvisible(r rune) bool {
	return r != ' ' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Zs)
}

var (
	typeError = regexp.MustCompile(`(?s)^line (\d+): (?:` +
		`mapping key .* already defined at (line \d+)|field (.*) not found in type .*|cannot unmarshal .* into (\S+))$`)
	syntaxError = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)
	quoted      = regexp.MustCompile("(?s) '\\w[^']*'|`.*`") // an anchor or a value, but not '-' and the like
	plainWord   = regexp.MustCompile(`^[a-z_]{1,30}$`)
)

// isPlainWord reports whether errors may quote a key: a token has a digit or a capital, or is longer.
func isPlainWord(key string) bool { return plainWord.MatchString(key) && !containsToken(key) }

// kinds are what belongs where yaml.v3 decodes into a Go type. Everything else is a mapping.
var kinds = map[string]string{
	"string": "a single value", "bool": "true or false", "float64": "a number such as 0.25",
	"int": "a whole number such as 10", "int64": "a whole number such as 1000",
	"time.Duration":          "a duration such as 10s or 1h30m",
	"[]config.tokenSettings": "a list, with a dash before each item,",
}

// addTypeError adds what yaml.v3 reports about a key or value that does not fit the settings.
func (b *builder) addTypeError(text string) {
	found := typeError.FindStringSubmatch(text)
	if found == nil {
		b.errorAt(0, "not valid YAML")
		return
	}
	line, _ := strconv.Atoi(found[1])
	first, field, kind := found[2], found[3], found[4]
	switch {
	case first != "":
		b.errorAt(line, "a key that is given twice, also on "+first+"; keep one")
	case kind != "":
		b.errorAt(line, cmp.Or(kinds[kind], "a mapping, with KEY: VALUE on each line,")+" belongs here")
	case isPlainWord(field):
		b.errorAt(line, field+": unknown key; config.yml.example has those that are known")
	default:
		b.errorAt(line, "unknown key; config.yml.example has those that are known")
	}
}

// addSyntaxError adds why a file cannot be decoded, without what the error quotes.
func (b *builder) addSyntaxError(err error) {
	found := syntaxError.FindStringSubmatch(err.Error())
	if found == nil { // not yaml.v3's, but prometheus/common's
		b.errorAt(0, "tls_config: give both or none of cert_file and key_file, and TLS12 or TLS13 as min_version")
		return
	}
	line, _ := strconv.Atoi(cmp.Or(found[1], "1")) // yaml.v3 leaves out the first line
	text := quoted.ReplaceAllString(found[2], "")
	if text != found[2] { // and any line of an anchor or a tag
		line = 0
	}
	b.errorAt(line, "not valid YAML: "+text+"; from here on, indent with spaces, close brackets and quotes, and put a "+
		"value with special characters, such as a backslash, a colon or @, into single quotes")
}
