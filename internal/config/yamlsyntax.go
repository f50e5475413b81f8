package config

import (
	"bytes"
	"io"
	"regexp"
	"sort"
	"strings"
)

// syntaxAdvice explains the messages of yaml.v3. These are never passed on: some quote the file, and with it perhaps a
// secret. A message that is not listed here becomes "not valid YAML".
var syntaxAdvice = map[string]string{
	"block sequence entries are not allowed in this context": "a list in the line of its key; " +
		"put each item on a line of its own, below the key",
	"could not find expected ':'": `a line that is no "key: value"; ` +
		`check its colon, and the indentation`,
	"did not find expected '-' indicator": "the indentation matches no line above; " +
		"align keys with keys and dashes with dashes",
	"did not find expected ',' or ']'": "a list in [ ] is not closed or lacks a comma; " +
		"complete it",
	"did not find expected ',' or '}'": "a mapping in { } is not closed or lacks a comma; " +
		"complete it",
	"did not find expected alphabetic or numeric character": `a value starts with "*" or "&"; ` +
		`quote it`,
	"did not find expected key": "the indentation matches no line above; " +
		"align keys with keys and dashes with dashes",
	"did not find expected node content": "a value is missing, or a bracket is not closed; " +
		"complete it",
	"found a tab character where an indentation space is expected": "a tab in the indentation; " +
		"indent with spaces",
	"found a tab character that violates indentation": "a tab in the indentation; " +
		"indent with spaces",
	"found character that cannot start any token": "a tab in the indentation, or a value that starts with @, ` or %; " +
		"indent with spaces, and quote such a value",
	"found undefined tag handle":     `a value starts with "!"; quote it`,
	"found unexpected end of stream": "a quote is not closed; close it",
	"found unknown escape character": "a backslash starts an escape in double quotes; " +
		"use single quotes",
	"mapping values are not allowed in this context": `a ":" where no key can be; ` +
		`check the indentation, and quote a value that contains ": "`,
	"unknown anchor": `a value starts with "*"; quote it`,
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

// maxReparse bounds the exact search for the line of a syntax error, in bytes that are parsed again.
const maxReparse = 4 << 20

// syntaxErrorLine returns the line at which data, which is not YAML, stops being YAML: the one after the longest
// beginning of data that is. An unclosed quote is so reported where it opens; the line that yaml.v3 gives is often that
// of the enclosing block, or one less, or missing. If the line is far from where the parser gave up, it is found by
// bisection, which may mistake a line break in an earlier quote or bracket for it.
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

// lineEnds returns the offset behind each line feed.
func lineEnds(data []byte) (ends []int) {
	end := 0
	for line := range bytes.Lines(data) {
		end += len(line)
		ends = append(ends, end)
	}
	return ends
}

// lineReader returns at most one line per Read, and counts the lines, so that they show how far a parser came.
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
