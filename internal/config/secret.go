package config

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
)

// redacted is what a [Secret] shows to everyone but internal/appfigures.
const redacted = "<secret>"

// Secret is a token's text. It is behind a pointer, so that no verb of fmt, encoder or logger that walks structs
// by reflection reaches it. Only internal/appfigures, and this package itself, call Reveal; a test checks that.
type Secret struct{ text *string }

// NewSecret returns a Secret that holds text.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String implements [fmt.Stringer].
func (s Secret) String() string { return redacted }

// Digest returns a short salted digest: enough to notice that a secret has changed, too little to identify it.
func (s Secret) Digest(salt []byte) string {
	const size = 4 // bytes
	sum := sha256.Sum256(slices.Concat(salt, []byte(s.Reveal())))
	return hex.EncodeToString(sum[:size])
}

// tokenWithin matches a personal access token of Appfigures at the beginning of a text or of a word in it.
var tokenWithin = regexp.MustCompile(`(?i)(^|[^A-Za-z0-9_.])pat_[A-Za-z0-9][^\s"',;:]*`)

// Redact replaces what may be a token in a text, such as an error that quotes the command line.
func Redact(text string) string { return tokenWithin.ReplaceAllString(text, "${1}"+redacted) }

// containsToken reports whether text contains what may be a token.
func containsToken(text string) bool { return tokenWithin.MatchString(text) }
