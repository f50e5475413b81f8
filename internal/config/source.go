package config

import "errors"

// Source is where a token's secret comes from: a file, an environment variable, or the configuration itself.
// Sources are immutable; two are the same when Equal says so.
type Source struct {
	kind   sourceKind
	name   string // the file's path or the variable's name
	inline Secret
}

type sourceKind uint8

const (
	fromFile sourceKind = iota
	fromEnv
	inline
)

// FileSource is a secret in a file.
func FileSource(path string) Source { return Source{kind: fromFile, name: path} }

// EnvSource is a secret in an environment variable.
func EnvSource(variable string) Source { return Source{kind: fromEnv, name: variable} }

// InlineSource is a secret in the configuration itself.
func InlineSource(secret Secret) Source { return Source{kind: inline, inline: secret} }

// Equal reports whether both name the same place (for an inline secret: hold the same one).
func (s Source) Equal(other Source) bool {
	return s.kind == other.kind && s.name == other.name && s.inline.Equal(other.inline)
}

// Read returns the secret as it is now. The error says what is wrong with the source and never quotes what it holds.
func (s Source) Read() (Secret, error) {
	return Secret{}, errors.New("not there yet")
}
