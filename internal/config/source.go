package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// Source is where a token's secret comes from: a file, an environment variable, or the configuration itself.
// Sources are immutable; two are the same when Equal says so.
//
// A path or a variable's name is held as a [Secret] too: it may be a token that was put under the wrong key.
type Source struct {
	kind   sourceKind
	held   Secret // the file's path, the variable's name, or the token itself
	isPath bool   // for a file: it was written as a path, not as a bare word
	isBare bool   // for a file: the path was written without a leading slash or dot, as a token with a slash could be
}

type sourceKind uint8

const (
	fromFile sourceKind = iota
	fromEnv
	inline
)

// maxTokenBytes bounds what is read of a token file. No token is nearly as long; no HTTP server takes such a header.
const maxTokenBytes = 64 << 10

// whiteSpace is what may follow a token in its file: an editor's newline, or Windows' two bytes for it.
const whiteSpace = " \t\r\n\v\f"

// FileSource is a secret in a file.
func FileSource(path string) Source { return fileSource(path, path) }

// fileSource is a secret in the file at path, which the configuration calls written.
func fileSource(path, written string) Source {
	return Source{
		kind: fromFile, held: NewSecret(path), isPath: strings.ContainsRune(written, filepath.Separator),
		isBare: !filepath.IsAbs(written) && !strings.HasPrefix(written, "."),
	}
}

// EnvSource is a secret in an environment variable.
func EnvSource(variable string) Source { return Source{kind: fromEnv, held: NewSecret(variable)} }

// InlineSource is a secret in the configuration itself.
func InlineSource(secret Secret) Source { return Source{kind: inline, held: secret} }

// Equal reports whether both name the same place (for an inline secret: hold the same one).
func (s Source) Equal(other Source) bool { return s.kind == other.kind && s.held.Equal(other.held) }

// Digest returns a short salted digest that is equal for equal sources. See [Secret.Digest].
func (s Source) Digest(salt []byte) string { return s.String() + ":" + s.held.Digest(salt) }

// Format implements [fmt.Formatter]: for every verb, only the kind of source.
func (s Source) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// String names the kind of source, as the key of the configuration does.
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

// Read returns the secret as it is now, without the white space that follows it. The error says what is wrong with
// the source and what would be right; it never quotes what the source holds, nor a name that may itself be a token.
func (s Source) Read() (Secret, error) {
	text, err := s.readText()
	if err != nil {
		return Secret{}, err
	}
	secret, err := newToken(text)
	if err != nil {
		return Secret{}, fmt.Errorf("the %s %w", s.place(), err)
	}
	return secret, nil
}

func (s Source) readText() (string, error) {
	switch s.kind {
	case fromFile:
		text, err := readTokenFile(s.held.Reveal())
		if err != nil {
			return "", fmt.Errorf("reading the %s: %w", s.place(), err)
		}
		return text, nil
	case fromEnv:
		text, ok := os.LookupEnv(s.held.Reveal())
		if !ok {
			return "", fmt.Errorf("the %s is not set; set it for the exporter's process", s.place())
		}
		return text, nil
	default:
		return s.held.Reveal(), nil
	}
}

// place says where the secret is, as far as that can be said.
func (s Source) place() string {
	switch s.kind {
	case fromFile:
		if path := s.held.Reveal(); s.isPath && isLabelValue(path) && isSurelyPath(path, s.isBare) {
			return "token file " + path
		}
		return "token file"
	case fromEnv:
		if name := s.held.Reveal(); isSurelyVariable(name) {
			return "environment variable " + name
		}
		return "token's environment variable"
	default:
		return "token in the configuration"
	}
}

// isSurelyPath reports whether path is not a token under the wrong key: it lies in a directory that exists, or is written
// as a path of several names.
func isSurelyPath(path string, bare bool) bool {
	if isInDirectory(path) {
		return true
	}
	return !bare && strings.Count(path, string(filepath.Separator)) > 1 && !strings.Contains(path, "pat_")
}

var variableName = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)

// isSurelyVariable reports whether name is not a token under the wrong key: it is written as variables are.
func isSurelyVariable(name string) bool { return variableName.MatchString(name) }

// isInDirectory reports whether path lies in a directory that exists. The root directory does not count: a token may
// start with a slash.
func isInDirectory(path string) bool {
	parent := filepath.Dir(path)
	if parent == filepath.Dir(parent) {
		return false
	}
	info, err := os.Stat(parent)
	return err == nil && info.IsDir()
}

// readTokenFile returns the text of the file at path. Its errors do not name the file.
func readTokenFile(path string) (string, error) {
	file, err := openRegular(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()

	text, err := io.ReadAll(io.LimitReader(file, maxTokenBytes+1))
	switch {
	case err != nil:
		return "", explainFileError(err)
	case len(text) > maxTokenBytes:
		return "", errors.New("larger than 64 KiB; the file must hold one token and nothing else")
	}
	return string(text), nil
}

// openRegular opens the file at path, after following symbolic links. Opening or reading a pipe or a device could block
// for ever, so it opens only regular files. Its errors do not name the file.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, explainFileError(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file; give the path of one")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, explainFileError(err)
	}
	return file, nil
}

// explainFileError returns what went wrong with a file and what to do, without the file's name.
func explainFileError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("no such file; create it, or correct the path")
	case errors.Is(err, fs.ErrPermission):
		return errors.New("permission denied; make it readable by the exporter's user (uid 65532 in the image)")
	}
	if cause, ok := errors.AsType[syscall.Errno](err); ok {
		return cause
	}
	return errors.New("cannot be read")
}

// newToken returns text as a token, without the white space at its end. The error, which follows the name of a place
// in a sentence, says why text cannot go into an Authorization header. It takes all printable characters of ASCII,
// more than RFC 6750 section 2.1 allows: what a token looks like is the API's to decide.
func newToken(text string) (Secret, error) {
	token := strings.TrimRight(text, whiteSpace)
	switch {
	case token == "":
		return Secret{}, errors.New("is empty; it must hold the token")
	case strings.HasPrefix(token, "\ufeff"):
		return Secret{}, errors.New("starts with a byte order mark; save it without one")
	case strings.ContainsRune(whiteSpace, rune(token[0])):
		return Secret{}, errors.New("starts with white space; it must start with the token")
	case hasPrefixFold(token, "bearer "):
		return Secret{}, errors.New(`starts with "Bearer"; put only the token there`)
	}
	if problem := pasteError(token); problem != "" {
		return Secret{}, errors.New(problem)
	}
	for _, c := range []byte(token) {
		if c < '!' || c > '~' {
			return Secret{}, errors.New("holds a character that no token has; copy the token again, as plain text")
		}
	}
	return NewSecret(token), nil
}

func hasPrefixFold(text, prefix string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}

var assignment = regexp.MustCompile(`^(export\s+)?[A-Za-z_][A-Za-z0-9_]*=[^=]`)

// pasteError returns what is wrong with a text that is surely not a token but what surrounds one; empty if it may be one.
// A token may end in equals signs (base64), and may have dots, dashes, underscores, tildes, pluses and slashes.
func pasteError(token string) string {
	first, last := token[0], token[len(token)-1]
	switch {
	case strings.ContainsAny(token[:1], "\"'`") || strings.ContainsAny(token[len(token)-1:], "\"'`"):
		return "has quotes around it; remove them"
	case strings.HasPrefix(token, "$"):
		return "is the name of a variable, not its value; put the token itself there, or use token_env"
	case first == '{' || first == '[':
		return "is JSON; put only the token there"
	case first == '<' || last == '>':
		return "is a placeholder in angle brackets; replace it with the token"
	case strings.Contains(token, "://"):
		return "is a URL; put only the token there"
	case assignment.MatchString(token):
		return "is an assignment, KEY=value; put only the value there"
	case strings.HasSuffix(token, "...") || strings.HasSuffix(token, "…"):
		return "ends in an ellipsis, so it is shortened; copy the whole token"
	case last == ',' || last == ';':
		return "ends in a comma or semicolon; remove it"
	case strings.ContainsAny(token, whiteSpace):
		return "contains white space; put one token there and nothing else"
	}
	return ""
}
