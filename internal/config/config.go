// Package config turns the configuration file, or the environment, into a [Config] that cannot be invalid.
package config

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/url"
	"time"
)

// Config is a complete, valid configuration. It is never changed after it was made.
type Config struct {
	APIURL         *url.URL      // the API's root; the path ends in a slash
	Timeout        time.Duration // for one probe
	MaxConcurrency int           // probes under way at once
	Pacing         Pacing
	ProxyURL       *url.URL    // nil: from the environment (HTTPS_PROXY and friends)
	TLS            *tls.Config // nil: the system's defaults
	Tokens         []Token     // at least one; those of the list in its order, then those of token_dir by name
	Warnings       []string    // one line each, for the log: what is allowed but unwise
}

// Format implements [fmt.Formatter]: for every verb, only how many tokens there are. ProxyURL may hold a password.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// String returns how many tokens there are.
func (c Config) String() string { return fmt.Sprintf("configuration of %d tokens", len(c.Tokens)) }

// MarshalText implements [encoding.TextMarshaler], for JSON, YAML and logs.
func (c Config) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Pacing bounds how much of an account's quota probes use.
type Pacing struct {
	QuotaShare        float64       // 0 < share <= 1: part of an account's daily limit that its probes may use
	AssumedDailyLimit int64         // requests per UTC day, until the API has reported an account's limit
	Reserve           float64       // 0 <= reserve < 1: part of the daily limit that probes leave to other programs
	MinInterval       time.Duration // between two routine probes of one token
}

// Token is one configured token. Its secret is not here: Source reads it again for each probe.
type Token struct {
	Name      string
	Account   string // tokens of one account share its quota
	Source    Source
	ExpiresAt time.Time // zero when not configured
	Labels    []Label   // for appfigures_token_info, sorted by name

	expiryAt position // of expires_at
}

// Label is a Prometheus label.
type Label struct{ Name, Value string }
