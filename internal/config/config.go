// Package config turns the configuration file, or the environment, into a [Config] that cannot be invalid, and reads
// the secrets of its tokens. It does not judge whether a token works, and makes no request.
package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"gopkg.in/yaml.v3"
)

// Config is a complete, valid configuration. It is never changed after it was made.
type Config struct {
	APIURL         *url.URL      // the API's root; the path ends in a slash
	Timeout        time.Duration // for one probe
	MaxConcurrency int           // probes under way at once
	Pacing         Pacing
	ProxyURL       *url.URL    // from proxy_url, else from the environment; nil: no proxy
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
	MinInterval       time.Duration // between two turns of one token; at most 7 days
}

// settings is the configuration file. Nodes know their line; builder reads them.
type settings struct {
	APIURL            yaml.Node       `yaml:"api_url"`
	AllowInsecureHTTP yaml.Node       `yaml:"allow_insecure_http"`
	Timeout           yaml.Node       `yaml:"timeout"`
	MaxConcurrency    yaml.Node       `yaml:"max_concurrency"`
	Pacing            pacingSettings  `yaml:"pacing"`
	ProxyURL          yaml.Node       `yaml:"proxy_url"`
	TLS               tlsSettings     `yaml:"tls_config"`
	Tokens            []tokenSettings `yaml:"tokens"`
	TokenDir          yaml.Node       `yaml:"token_dir"`
}

type pacingSettings struct {
	QuotaShare        yaml.Node `yaml:"quota_share"`
	AssumedDailyLimit yaml.Node `yaml:"assumed_daily_limit"`
	Reserve           yaml.Node `yaml:"reserve"`
	MinInterval       yaml.Node `yaml:"min_interval"`
}

// defaultName is the account of tokens without one, and the name of the environment's token.
const defaultName = "default"

// defaults returns the values of the optional keys; config.yml.example gives the reasons.
func defaults() Config {
	root, _ := url.Parse(defaultAPIURL)
	return Config{
		APIURL:         root,
		Timeout:        10 * time.Second,
		MaxConcurrency: 10,
		Pacing:         Pacing{QuotaShare: 0.25, AssumedDailyLimit: 1000, Reserve: 0.05},
	}
}

// builder is a configuration that is being made of a document.
type builder struct {
	*document
	Config
	dir   string         // where relative paths start
	lines map[string]int // of the tokens so far, by name
}

func newBuilder(name, dir string) *builder {
	return &builder{document: &document{name: name}, Config: defaults(), dir: dir, lines: make(map[string]int)}
}

// path returns a path, from the builder's directory if it is relative.
func (b *builder) path(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(b.dir, path)
}

func (b *builder) add(t Token) {
	b.lines[t.Name] = t.line
	b.Tokens = append(b.Tokens, t)
}

// maxFileBytes bounds a configuration file: enough for 100,000 tokens.
const maxFileBytes = 16 << 20

// loadFile reads the configuration file at an absolute path, but no token file. Relative paths in it start at its own
// directory.
func loadFile(file string) (*Config, error) {
	data, _, err := readRegular(file, maxFileBytes)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration %s: %w", file, err)
	}
	return parse(file, data)
}

func parse(file string, data []byte) (*Config, error) {
	b := newBuilder(file, filepath.Dir(file))
	var s settings
	b.decode(data, &s)
	if err := b.err(); err != nil {
		return nil, err
	}
	b.readValues(&s)
	b.readNetwork(&s)
	for i := range s.Tokens {
		b.addToken(&s.Tokens[i], fmt.Sprintf("tokens[%d]", i))
	}
	b.addDirs(&s.TokenDir)
	if len(b.Tokens) == 0 && len(b.problems) == 0 {
		b.errorf(0, "", "no tokens; list at least one under tokens, or set token_dir to a directory of token files")
	}
	if err := b.err(); err != nil {
		return nil, err
	}
	return &b.Config, nil
}

// readValues reads the single values that have bounds.
func (b *builder) readValues(s *settings) {
	read(b.document, &s.Timeout, "timeout", &b.Timeout, bounded(parseDuration,
		func(d time.Duration) bool { return d > 0 && d <= 5*time.Minute },
		"not a duration above 0 and up to 5m; write a number with its unit, such as 10s"))
	read(b.document, &s.MaxConcurrency, "max_concurrency", &b.MaxConcurrency, bounded(strconv.Atoi,
		func(n int) bool { return n >= 1 && n <= 100_000 },
		"not a whole number from 1 to 100000; write one such as 10"))
	read(b.document, &s.Pacing.QuotaShare, "pacing.quota_share", &b.Pacing.QuotaShare, bounded(parseFloat,
		func(share float64) bool { return share > 0 && share <= 1 },
		"not a number above 0 and up to 1; write 0.25 for a quarter of the account's daily limit"))
	read(b.document, &s.Pacing.AssumedDailyLimit, "pacing.assumed_daily_limit", &b.Pacing.AssumedDailyLimit,
		bounded(parseInt, func(n int64) bool { return n >= 1 && n <= 1_000_000_000 },
			"not a whole number from 1 to 1000000000; write the account's requests per day, such as 1000"))
	read(b.document, &s.Pacing.Reserve, "pacing.reserve", &b.Pacing.Reserve, bounded(parseFloat,
		func(part float64) bool { return part >= 0 && part < 1 },
		"not a number from 0 to below 1; write 0.05 to leave a twentieth of the daily limit to your programs"))
	read(b.document, &s.Pacing.MinInterval, "pacing.min_interval", &b.Pacing.MinInterval, bounded(parseDuration,
		func(d time.Duration) bool { return d >= 0 && d <= 7*24*time.Hour },
		"not a duration from 0s to 7d; write a number with its unit, such as 5m, or 0s for no floor"))
}

// bounded returns a parse function whose values are all valid, and whose only error is the problem.
func bounded[T any](parse func(string) (T, error), valid func(T) bool, problem string) func(string) (T, error) {
	return func(text string) (T, error) {
		value, err := parse(text)
		if err != nil || !valid(value) {
			return value, errors.New(problem)
		}
		return value, nil
	}
}

func parseFloat(text string) (float64, error) { return strconv.ParseFloat(text, 64) }

func parseInt(text string) (int64, error) { return strconv.ParseInt(text, 10, 64) }

// parseDuration returns a duration as Prometheus writes it (1m30s, 1d) or as Go does (1.5s, -1s).
func parseDuration(text string) (time.Duration, error) {
	if d, err := model.ParseDuration(text); err == nil {
		return time.Duration(d), nil
	}
	return time.ParseDuration(text)
}

func parseBool(text string) (bool, error) {
	if text != "true" && text != "false" {
		return false, errors.New("neither true nor false; write one of them")
	}
	return text == "true", nil
}
