package config

import (
	"bytes"
	"errors"
	"io"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// maxFileBytes bounds a configuration file: enough for 100,000 tokens.
const maxFileBytes = 16 << 20

// readDocument returns the only document of data, or nil and the problem with it. Problems call it name.
func readDocument(name string, data []byte) (*yaml.Node, *problem) {
	wrong := func(line int, text string) *problem { return &problem{position{file: name, line: line}, text} }
	if len(data) > maxFileBytes {
		return nil, wrong(0, "larger than 16 MiB; give the path of a configuration file")
	}
	if line := unreadableLine(data); line > 0 {
		return nil, wrong(line, "not plain text; save the file as UTF-8, without control characters")
	}
	documents, err := parseYAML(bytes.NewReader(data))
	switch {
	case err != nil:
		return nil, wrong(syntaxErrorLine(data), explainSyntaxError(err))
	case len(documents) == 0 || len(documents) == 1 && isNull(documents[0].Content[0]):
		return nil, wrong(0, "empty; it must list tokens, as config.yml.example does")
	case len(documents) > 1:
		return nil, wrong(documents[1].Line, "a second document; remove the --- above it, and all that follows")
	}
	return documents[0].Content[0], nil
}

// unreadableLine returns the first line with a control character, or with bytes that are not UTF-8; 0 if there is none.
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

// parseYAML returns all documents of r. Its error may quote them.
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
