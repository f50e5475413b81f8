package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Source is where a token's secret comes from: a file, an environment variable, or the configuration itself.
// Sources are immutable; Equal compares them.
type Source struct {
	kind sourceKind
	text Secret // the file's path, the variable's name, or the token itself
}

// sourceKind is the key of the configuration that sets such a source.
type sourceKind string

const (
	fromFile sourceKind = "token_file"
	fromEnv  sourceKind = "token_env"
	inline   sourceKind = "token"
)

// FileSource is a secret in a file.
func FileSource(path string) Source { return Source{fromFile, NewSecret(path)} }

// EnvSource is a secret in an environment variable.
func EnvSource(variable string) Source { return Source{fromEnv, NewSecret(variable)} }

// InlineSource is a secret in the configuration itself.
func InlineSource(secret Secret) Source { return Source{inline, secret} }

// Equal reports whether both name the same file or variable, or are the same inline secret.
func (s Source) Equal(other Source) bool { return s.kind == other.kind && s.text.Equal(other.text) }

// Digest returns a short salted digest that is equal for equal sources. See [Secret.Digest].
func (s Source) Digest(salt []byte) string { return s.String() + ":" + s.text.Digest(salt) }

// String returns the kind of source, as the key of the configuration. What it names may be a token that slipped.
func (s Source) String() string { return string(s.kind) }

// Read returns the secret as it is now, without the white space behind it. A file system that hangs blocks it; see
// [Reader]. The error is what is wrong with the source; what would be right. It never quotes the secret.
func (s Source) Read() (Secret, error) {
	r := s.read()
	return r.Secret, r.Err
}

func (s Source) read() (r Reading) {
	name := s.text.Reveal()
	var what, text string
	switch s.kind {
	case inline:
		return Reading{Secret: s.text}
	case fromEnv:
		value, ok := os.LookupEnv(name)
		if !ok {
			return Reading{Err: fmt.Errorf("the environment variable %s is not set; set it for the exporter's process",
				name)}
		}
		what, text = "the environment variable", value
	default:
		content, mode, err := readRegular(name, maxTokenBytes)
		if err != nil {
			return Reading{Err: fmt.Errorf("reading the token file %s: %w", name, err)}
		}
		what, text, r.worldReadable = "the token file", string(content), mode.Perm()&0o004 != 0
	}
	if r.Secret, r.Err = parseToken(text); r.Err != nil {
		r.Err = fmt.Errorf("%s %s %w", what, name, r.Err)
	}
	return r
}

// maxTokenBytes bounds what is read of a token file. No HTTP server takes a header of that length.
const maxTokenBytes = 64 << 10

// readRegular returns the content and mode of a regular file of at most limit bytes, after following symbolic links.
// Pipes and devices, which could block for ever, are an error. The error does not name the file.
func readRegular(path string, limit int64) ([]byte, fs.FileMode, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, explainFileError(err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, 0, explainFileError(err)
	case info.IsDir():
		return nil, 0, errors.New("a directory; give the path of a file (if Docker made the directory, because the file to " +
			"mount was missing, create the file on the host, then create the container again)")
	case !info.Mode().IsRegular():
		return nil, 0, errors.New("not a regular file; give the path of one")
	}
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	switch {
	case err != nil:
		return nil, 0, explainFileError(err)
	case int64(len(content)) > limit:
		return nil, 0, fmt.Errorf("larger than %d KiB; give the path of another file", limit>>10)
	}
	return content, info.Mode(), nil
}

// explainFileError returns what is wrong with a file and what to do, without the file's name.
func explainFileError(err error) error {
	cause, ok := errors.AsType[syscall.Errno](err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("no such file or directory; create it, or correct the path")
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("permission denied; make it readable by the exporter's user (uid %d)", os.Geteuid())
	case ok:
		return cause
	}
	return errors.New("cannot be read")
}
