package config

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// maxFileBytes bounds a configuration file: enough for 100,000 tokens.
const maxFileBytes = 16 << 20

// readDocument returns the one document that data holds, or nil and the problem that keeps it from being YAML.
func readDocument(data []byte) (*yaml.Node, *problem) {
	if len(data) > maxFileBytes {
		return nil, &problem{text: "larger than 16 MiB; give the path of a configuration file"}
	}
	if line := unreadableLine(data); line > 0 {
		return nil, &problem{line: line, text: "a byte that is not text; save the file as plain UTF-8"}
	}
	documents, err := parseYAML(bytes.NewReader(data))
	switch {
	case err != nil:
		return nil, &problem{line: syntaxErrorLine(data), text: explainSyntaxError(err)}
	case len(documents) == 0 || len(documents) == 1 && isNull(documents[0].Content[0]):
		return nil, &problem{text: "empty; it must list tokens, as config.yml.example does"}
	case len(documents) > 1:
		return nil, &problem{line: documents[1].Line, text: "a second document; remove the --- above it, and all that follows"}
	}
	return documents[0].Content[0], nil
}

// unreadableLine returns the first line that holds something else than text in UTF-8: a control character, or half a
// letter. It returns 0 when there is none.
func unreadableLine(data []byte) int {
	for line := 1; len(data) > 0; {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && size == 1, unicode.IsControl(r) && r != '\t' && r != '\r' && r != '\n':
			return line
		case r == '\n':
			line++
		}
		data = data[size:]
	}
	return 0
}

// parseYAML returns all documents of r. Its error may quote what r holds.
func parseYAML(r io.Reader) ([]*yaml.Node, error) {
	var documents []*yaml.Node
	for decoder := yaml.NewDecoder(r); ; {
		document := new(yaml.Node)
		switch err := decoder.Decode(document); {
		case errors.Is(err, io.EOF):
			return documents, nil
		case err != nil:
			return nil, err
		}
		documents = append(documents, document)
	}
}

// syntaxAdvice says in our own words what yaml.v3 means by its messages. None of those is passed on, since some quote
// the file and with it perhaps a secret; a message that is not listed here becomes "not valid YAML".
var syntaxAdvice = map[string]string{
	"block sequence entries are not allowed in this context":       "a list where none can begin; put each item on a line of its own, below the key",
	"could not find expected ':'":                                  `a line that is no "key: value"; check its colon, and the indentation`,
	"did not find expected '-' indicator":                          "the indentation fits nothing above; align keys with keys and dashes with dashes",
	"did not find expected ',' or ']'":                             "a list in [ ] has no end or lacks a comma; complete it",
	"did not find expected ',' or '}'":                             "a mapping in { } has no end or lacks a comma; complete it",
	"did not find expected alphabetic or numeric character":        `a value starts with "*" or "&"; quote it`,
	"did not find expected key":                                    "the indentation fits nothing above; align keys with keys and dashes with dashes",
	"did not find expected node content":                           "a value is missing or a bracket has no end; complete it",
	"found a tab character where an indentation space is expected": "a tab in the indentation; indent with spaces",
	"found a tab character that violates indentation":              "a tab in the indentation; indent with spaces",
	"found character that cannot start any token":                  "a tab in the indentation, or a value that starts with @, ` or %; indent with spaces, and quote such a value",
	"found undefined tag handle":                                   `a value starts with "!"; quote it`,
	"found unexpected end of stream":                               "a quote has no end; close it",
	"found unknown escape character":                               "a backslash in double quotes has a meaning in YAML; use single quotes",
	"mapping values are not allowed in this context":               `a ":" where no key can be; check the indentation, and quote a value that holds ": "`,
	"unknown anchor":                                               `a value starts with "*"; quote it`,
}

var syntaxErrorPrefix = regexp.MustCompile(`^yaml: (?:line \d+: )?`)

func explainSyntaxError(err error) string {
	message := syntaxErrorPrefix.ReplaceAllString(err.Error(), "")
	if strings.HasPrefix(message, "unknown anchor ") {
		message = "unknown anchor"
	}
	if advice, ok := syntaxAdvice[message]; ok {
		return "not valid YAML: " + advice
	}
	return "not valid YAML"
}

// maxReparse bounds, in bytes, the search for the line of a syntax error that is surely right.
const maxReparse = 4 << 20

// syntaxErrorLine returns the line at which data, which is not YAML, stops to be YAML. The line that yaml.v3 gives is
// often that of the enclosing block, or one less, or missing. This one follows the longest beginning of data that is
// YAML; so an unclosed quote is reported where it opens. When that is far from where the parser gave up, the line is
// found by bisection, which may take a line break within an earlier quote or bracket for it.
func syntaxErrorLine(data []byte) int {
	reader := &lineReader{rest: data}
	_, _ = parseYAML(reader)
	line, ends := reader.lines, lineEnds(data)
	isYAML := func(lines int) bool {
		_, err := parseYAML(bytes.NewReader(data[:ends[lines-1]]))
		return err == nil
	}
	for work := 0; line > 1 && work < maxReparse; line-- {
		if isYAML(line - 1) {
			return line
		}
		work += ends[line-2]
	}
	return 1 + sort.Search(line-1, func(n int) bool { return !isYAML(n + 1) })
}

// lineEnds returns where each line ends, behind its line feed.
func lineEnds(data []byte) (ends []int) {
	end := 0
	for line := range bytes.Lines(data) {
		end += len(line)
		ends = append(ends, end)
	}
	return ends
}

// lineReader gives one line at a time, so that it knows how far its reader came.
type lineReader struct {
	rest  []byte
	lines int // begun so far
	mid   bool
}

func (r *lineReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	if !r.mid {
		r.lines++
	}
	n := len(r.rest)
	if i := bytes.IndexByte(r.rest, '\n'); i >= 0 {
		n = i + 1
	}
	n = copy(p, r.rest[:n])
	r.mid = n > 0 && r.rest[n-1] != '\n'
	r.rest = r.rest[n:]
	return n, nil
}
