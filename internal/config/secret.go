package config

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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

// Equal reports whether both hold the same text.
func (s Secret) Equal(other Secret) bool { return s.Reveal() == other.Reveal() }

// Format implements [fmt.Formatter] for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// String implements [fmt.Stringer].
func (s Secret) String() string { return redacted }

// MarshalText implements [encoding.TextMarshaler], for JSON, YAML and slog.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Digest returns a short salted digest: enough to notice that a secret has changed, too little to identify it.
func (s Secret) Digest(salt []byte) string {
	const size = 4 // bytes
	mac := hmac.New(sha256.New, salt)
	mac.Write([]byte(s.Reveal()))
	return hex.EncodeToString(mac.Sum(nil)[:size])
}
