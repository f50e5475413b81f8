package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Source is where a token's secret comes from: a file, an environment variable, or the configuration itself.
// Sources are immutable; Equal compares them.
//
// A path or a variable's name is a [Secret] too: it may be a token that was put under the wrong key.
type Source struct {
	kind      sourceKind
	text      Secret          // the file's path, the variable's name, or the token itself
	written   Secret          // the file's path as the configuration has it
	at        position        // of the key that names the source
	published map[string]bool // texts that the source never returns; shared by all tokens
}

type sourceKind uint8

const (
	fromFile sourceKind = iota
	fromEnv
	inline
)

// FileSource is a secret in a file.
func FileSource(path string) Source { return fileSource(path, path) }

// fileSource is a secret in the file at path, for which the configuration has another form.
func fileSource(path, written string) Source {
	return Source{kind: fromFile, text: NewSecret(path), written: NewSecret(written)}
}

// EnvSource is a secret in an environment variable.
func EnvSource(variable string) Source { return Source{kind: fromEnv, text: NewSecret(variable)} }

// InlineSource is a secret in the configuration itself.
func InlineSource(secret Secret) Source { return Source{kind: inline, text: secret} }

// Equal reports whether both name the same file or variable, or are the same inline secret.
func (s Source) Equal(other Source) bool { return s.kind == other.kind && s.text.Equal(other.text) }

// IsFile reports whether the secret is in a file, which may hang when it is read.
func (s Source) IsFile() bool { return s.kind == fromFile }

// Digest returns a short salted digest that is equal for equal sources. See [Secret.Digest].
func (s Source) Digest(salt []byte) string { return s.String() + ":" + s.text.Digest(salt) }

// Format implements [fmt.Formatter]: for every verb, only the kind of source.
func (s Source) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// String returns the kind of source, as the key of the configuration.
func (s Source) String() string {
	switch s.kind {
	case fromFile:
		return "token_file"
	case fromEnv:
		return "token_env"
	default:
		return "token"
	}
}

// MarshalText implements [encoding.TextMarshaler], for JSON, YAML and logs.
func (s Source) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Read returns the secret as it is now, without the white space behind it. The error is what is wrong with the source;
// what would be right. It never quotes the secret, nor a path or variable that may itself be a token.
func (s Source) Read() (Secret, error) {
	if s.kind == inline {
		return s.text, nil
	}
	text, err := s.readText()
	if err != nil {
		return Secret{}, err
	}
	secret, err := parseToken(text)
	if err != nil {
		return Secret{}, fmt.Errorf("the %s %w", s.name(), err)
	}
	if s.published[secret.Reveal()] {
		return Secret{}, fmt.Errorf("the token in the %s %w", s.name(), errPublished)
	}
	return secret, nil
}

func (s Source) readText() (string, error) {
	if s.kind == fromFile {
		text, err := readTokenFile(s.text.Reveal())
		if err != nil {
			return "", fmt.Errorf("reading the %s: %w", s.name(), err)
		}
		return text, nil
	}
	text, ok := os.LookupEnv(s.text.Reveal())
	if !ok {
		return "", fmt.Errorf("the %s is not set; set it for the exporter's process", s.name())
	}
	return text, nil
}

// name returns the file or variable by its name, unless that may be a token.
func (s Source) name() string {
	text := s.text.Reveal()
	switch {
	case s.kind == fromFile && isSurelyPath(text, s.written.Reveal()):
		return "token file " + text
	case s.kind == fromFile:
		return "token file"
	case isSurelyVariable(text):
		return "environment variable " + text
	default:
		return "token's environment variable"
	}
}

// isSurelyPath reports whether a path, which the configuration has in the form written, is not a token under the wrong
// key: its directory exists, or it is written as no token is. A token can have slashes, also as its first character.
func isSurelyPath(path, written string) bool {
	separator := string(filepath.Separator)
	switch {
	case looksLikeToken(filepath.Base(path)), !isPlainText(path):
		return false
	case plainPath.MatchString(written):
		return true
	case !strings.Contains(written, separator):
		return false
	case isInDirectory(path):
		return true
	case strings.Contains(written, "pat_"):
		return false
	}
	return strings.HasPrefix(written, "."+separator) || strings.HasPrefix(written, ".."+separator) ||
		filepath.IsAbs(written) && strings.Count(written, separator) > 1
}

// isInDirectory reports whether path is in a directory that exists, other than the root directory.
func isInDirectory(path string) bool {
	parent := filepath.Dir(path)
	if parent == filepath.Dir(parent) {
		return false
	}
	info, err := os.Stat(parent)
	return err == nil && info.IsDir()
}

// plainPath matches paths that are surely not tokens: of lower-case letters only, or with the suffix of a text file.
var plainPath = regexp.MustCompile(`^([a-z._/-]+|[\w./-]+\.(txt|token|key|secret))$`)

// variableName matches names that are surely not tokens: in upper case, as is usual, or of lower-case letters only.
var variableName = regexp.MustCompile(`^([A-Z_][A-Z0-9_]*|[a-z_]+)$`)

// isSurelyVariable reports whether name is not a token under the wrong key: it is written as variables are.
func isSurelyVariable(name string) bool {
	return variableName.MatchString(name) && !looksLikeToken(name)
}
