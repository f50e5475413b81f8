package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"strconv"
	"time"

	"gopkg.in/yaml.v3"
)

// The defaults of the optional keys; config.yml.example gives the reasons.
const (
	defaultAPIURL         = "https://api.appfigures.com/v2/"
	defaultTimeout        = 10 * time.Second
	defaultMaxConcurrency = 50
	defaultAccount        = "default"
)

// concurrencyLimit bounds max_concurrency: each probe under way takes a file descriptor.
const concurrencyLimit = 100_000

// Parse reads a configuration from r. Errors and warnings call it name; relative paths in it start at dir. Token files
// are not read.
//
// The error has every problem found (up to 20), sorted by line, each a line of its own:
//
//	config.yml:12: tokens[1].timeout: what is wrong; what would be right
//
// Neither it nor a warning quotes anything of r but known keys, plain names of labels and, in warnings, names and
// accounts of tokens.
func Parse(name string, r io.Reader, dir string) (*Config, error) {
	b, err := parse(name, r, dir)
	if err != nil {
		return nil, err
	}
	return b.build(), nil
}

func parse(name string, r io.Reader, dir string) (*builder, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFileBytes+1))
	if inFile, ok := errors.AsType[*fs.PathError](err); ok {
		err = inFile.Err // name says which file
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	var found problems
	root, wrong := readDocument(name, data)
	if wrong != nil {
		found = append(found, *wrong)
		return nil, found.err()
	}
	b := newBuilder(dir)
	b.read(value{position{file: name}, root, &found})
	if len(found) > 0 {
		return nil, found.err()
	}
	return b, nil
}

// builder is a configuration that is being read.
type builder struct {
	Config
	dir       string // where relative paths start
	allowHTTP bool
	tokenDir  *value              // nil if not given
	names     map[string]position // of the tokens so far
	accounts  map[string]position // of the tokens so far: where each is first used
	inline    group               // tokens in the configuration itself
	exposed   group               // tokens in files that every user can read
	skipped   group               // files of token_dir that are not tokens
	same      []group             // tokens with the same secret
}

// newBuilder returns a builder with the defaults.
func newBuilder(dir string) *builder {
	apiURL, _ := url.Parse(defaultAPIURL)
	return &builder{
		Config: Config{
			APIURL:         apiURL,
			Timeout:        defaultTimeout,
			MaxConcurrency: defaultMaxConcurrency,
			Pacing:         defaultPacing,
		},
		dir:      dir,
		names:    make(map[string]position),
		accounts: make(map[string]position),
	}
}

var rootFields = []field[builder]{
	{"api_url", (*builder).readAPIURL},
	{"allow_insecure_http", func(b *builder, v value) { b.allowHTTP = v.bool() }},
	{"timeout", (*builder).readTimeout},
	{"max_concurrency", (*builder).readMaxConcurrency},
	{"pacing", func(b *builder, v value) { readMapping(&b.Pacing, v, pacingFields) }},
	{"proxy_url", (*builder).readProxyURL},
	{"tls_config", (*builder).readTLS},
	{"tokens", (*builder).readTokens},
	{"token_dir", func(b *builder, v value) { b.tokenDir = &v }},
}

// read reads the whole document: each key, then what needs several of them.
func (b *builder) read(v value) {
	if v.node.Kind != yaml.MappingNode {
		v.line = v.node.Line
	}
	found := readMapping(b, v, rootFields)
	insecure := b.APIURL.Scheme == "http" && !isLoopback(b.APIURL) && !b.allowHTTP
	if at := found.known["api_url"]; insecure && !found.unknown {
		at.errorf("http would send tokens in the clear; use https, or set allow_insecure_http: true")
	}
	if b.tokenDir != nil {
		b.readTokenDirs(*b.tokenDir)
	}
	if found.missing("tokens", "token_dir") {
		v.errorf("no tokens; list at least one under tokens, or set token_dir to a directory of token files")
	}
	b.publish(v.problems)
}

func (b *builder) readTimeout(v value) {
	timeout, ok := v.duration()
	switch {
	case ok && timeout <= 0:
		v.errorf("not above 0; write a duration such as 10s")
	case ok:
		b.Timeout = timeout
	}
}

func (b *builder) readMaxConcurrency(v value) {
	text, ok := v.text()
	if !ok {
		return
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > concurrencyLimit {
		v.errorf("not a whole number from 1 to %d; write one such as %d", concurrencyLimit, defaultMaxConcurrency)
		return
	}
	b.MaxConcurrency = n
}
