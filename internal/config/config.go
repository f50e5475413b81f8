// Package config turns the configuration file, or the environment, into a [Config] that cannot be invalid, and reads
// the secrets of its tokens. It does not judge whether a token works, and makes no request.
package config

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	promconfig "github.com/prometheus/common/config"
)

// Config is a complete, valid configuration. Nothing changes one that is in use.
type Config struct {
	APIURL         *url.URL      // the API's root; the path ends in a slash
	Timeout        time.Duration // for one probe
	MaxConcurrency int           // probes under way at once
	Pacing         Pacing
	ProxyURL       *url.URL // from proxy_url, else from the environment; nil: no proxy
	TLS            *tls.Config
	Tokens         []Token  // at least one; those of the list in its order, then those of token_dir by name
	Warnings       []string // one line each, for the log: what is valid but unwise
}

// Format implements [fmt.Formatter]: for every verb, only how many tokens there are. ProxyURL may hold a password.
func (c Config) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "configuration of %d tokens", len(c.Tokens))
}

// MarshalText implements [encoding.TextMarshaler], for JSON, YAML and logs.
func (c Config) MarshalText() ([]byte, error) { return fmt.Append(nil, c), nil }

// Pacing bounds how much of an account's quota probes use.
type Pacing struct {
	QuotaShare        float64       `yaml:"quota_share"`         // of the daily limit, for probes: above 0, up to 1
	AssumedDailyLimit int64         `yaml:"assumed_daily_limit"` // requests per UTC day, until the API has reported it
	Reserve           float64       `yaml:"reserve"`             // of the daily limit, for other programs: 0 to below 1
	MinInterval       time.Duration `yaml:"min_interval"`        // between two turns of one token; at most 7 days
}

// settings is the configuration file as it is written. Its values are not checked yet.
type settings struct {
	APIURL            string               `yaml:"api_url"`
	AllowInsecureHTTP bool                 `yaml:"allow_insecure_http"`
	Timeout           time.Duration        `yaml:"timeout"`
	MaxConcurrency    int                  `yaml:"max_concurrency"`
	Pacing            Pacing               `yaml:"pacing"`
	ProxyURL          string               `yaml:"proxy_url"`
	TLS               promconfig.TLSConfig `yaml:"tls_config"`
	Tokens            []tokenSettings      `yaml:"tokens"`
	TokenDir          dirList              `yaml:"token_dir"`
}

// defaultName is the account of tokens without one, and the name of the environment's token.
const defaultName = "default"

// defaults returns the settings of a file without keys; config.yml.example gives the reasons.
func defaults() settings {
	return settings{
		APIURL:         defaultAPIURL,
		Timeout:        10 * time.Second,
		MaxConcurrency: 10,
		Pacing:         Pacing{QuotaShare: 0.25, AssumedDailyLimit: 1000, Reserve: 0.05},
	}
}

// builder makes a configuration from settings, and collects the problems that it finds.
type builder struct {
	Config
	file      string            // for errors
	dir       string            // where relative paths start
	lines     map[string]int    // of the values in the file, by key
	variables map[string]string // which set values instead of the file, by key
	names     map[string]string // keys of the tokens so far, by name
	problems  []error
}

func newBuilder(file string) *builder {
	return &builder{file: file, dir: absolute(filepath.Dir(file)), lines: map[string]int{}, names: map[string]string{}}
}

// parse makes a configuration from the content of a file. Relative paths in it start at the file's directory. The error
// has one line per problem: all that decoding finds; if it finds none, all that the values have.
func parse(file string, data []byte) (*Config, error) {
	b, s := newBuilder(file), defaults()
	if b.decode(data, &s); len(b.problems) == 0 {
		b.build(&s)
	}
	return &b.Config, errors.Join(b.problems...)
}

// build checks the settings and makes the configuration from them.
func (b *builder) build(s *settings) {
	b.Timeout, b.MaxConcurrency, b.Pacing = s.Timeout, s.MaxConcurrency, s.Pacing
	b.require("timeout", s.Timeout > 0 && s.Timeout <= 5*time.Minute,
		"not above 0s and up to 5m; write a duration such as 10s")
	b.require("max_concurrency", s.MaxConcurrency >= 1 && s.MaxConcurrency <= 100_000,
		"not from 1 to 100000; write a whole number such as 10")
	b.require("pacing.quota_share", s.Pacing.QuotaShare > 0 && s.Pacing.QuotaShare <= 1,
		"not above 0 and up to 1; write 0.25 for a quarter of the account's daily limit")
	b.require("pacing.assumed_daily_limit", s.Pacing.AssumedDailyLimit >= 1 && s.Pacing.AssumedDailyLimit <= 1e9,
		"not from 1 to 1000000000; write the account's requests per day, such as 1000")
	b.require("pacing.reserve", s.Pacing.Reserve >= 0 && s.Pacing.Reserve < 1,
		"not from 0 to below 1; write 0.05 to leave a twentieth of the daily limit to your programs")
	b.require("pacing.min_interval", s.Pacing.MinInterval >= 0 && s.Pacing.MinInterval <= 7*24*time.Hour,
		"not from 0s to 168h; write a duration such as 5m, or 0s for no floor")
	b.setNetwork(s)
	for i := range s.Tokens {
		b.addToken(&s.Tokens[i], fmt.Sprintf("tokens[%d]", i))
	}
	for i := range s.TokenDir {
		b.addDir(&s.TokenDir[i], i)
	}
	b.require("", len(b.Tokens) > 0 || len(b.problems) > 0,
		"no tokens; list at least one under tokens, or set token_dir to a directory of token files")
}

// path returns the value of key as a path that does not depend on the working directory. It is empty if the value is,
// or is a problem.
func (b *builder) path(key, text string) string {
	if err := checkPlainText(text); err != nil {
		b.check(key, err)
		return ""
	}
	return promconfig.JoinDir(b.dir, text)
}

// check adds err, if it is not nil, as a problem of the value of key.
func (b *builder) check(key string, err error) {
	if err != nil {
		b.problems = append(b.problems, fmt.Errorf("%s%w", b.place(b.lines[key], key), err))
	}
}

// require adds a problem of the value of key, unless ok.
func (b *builder) require(key string, ok bool, problem string) {
	if !ok {
		b.check(key, errors.New(problem))
	}
}

// place returns the beginning of an error, "config.yml:12: tokens[1].name: ", without a line or key that is not known.
func (b *builder) place(line int, key string) string {
	place := b.file
	if line > 0 {
		place += fmt.Sprintf(":%d", line)
	}
	if key = cmp.Or(b.variables[key], key); key != "" {
		place += ": " + key
	}
	return place + ": "
}
