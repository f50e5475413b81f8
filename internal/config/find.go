package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// defaultFile is read if it exists and no other is named.
const defaultFile = "config.yml"

// The environment variables that replace a configuration file. They are those of the vendor's own command-line client,
// whose default base URL is https://api.appfigures.com/v2, without a slash at its end.
const (
	EnvToken  = "APPFIGURES_API_KEY"
	EnvAPIURL = "APPFIGURES_API_BASE_URL"
)

// Location is where the configuration is read from: a file, or the environment if Path is empty.
type Location struct {
	Path   string
	chosen bool // whether the user named the file
}

// Find returns where the configuration is: in the file that was named; else in config.yml in the working directory, if
// that exists; else in the environment.
func Find(named string) Location {
	if named != "" {
		return Location{named, true}
	}
	if _, err := os.Lstat(defaultFile); !errors.Is(err, fs.ErrNotExist) {
		return Location{Path: defaultFile}
	}
	return Location{}
}

// String names the location for logs. It also identifies the configuration: it is the absolute path of the file.
func (l Location) String() string {
	if l.Path == "" {
		return "$" + EnvToken
	}
	if absolute, err := filepath.Abs(l.Path); err == nil {
		return absolute
	}
	return l.Path
}

// Load reads the configuration, with warnings about it, one line each. It waits at most two seconds for the secrets,
// which it compares with each other and with the names in the configuration. For the form of errors see [Parse].
func (l Location) Load() (*Config, []string, error) {
	if l.Path == "" {
		cfg, err := fromEnvironment(os.LookupEnv)
		return cfg, nil, err
	}
	cfg, err := loadFile(l.Path)
	if err != nil {
		return nil, nil, err
	}
	warnings := cfg.Warnings
	isEnvToken := func(t Token) bool { return t.Source.Equal(EnvSource(EnvToken)) }
	if !l.chosen && os.Getenv(EnvToken) != "" && !slices.ContainsFunc(cfg.Tokens, isEnvToken) {
		both := fmt.Sprintf("%s is used and $%s is not, although it is set; unset it, or set --config.file=%s",
			l.Path, EnvToken, l.Path)
		warnings = slices.Concat([]string{both}, warnings)
	}
	return cfg, warnings, nil
}

// Fingerprint returns a text that changes when Load would return something else; it is constant for the environment.
func (l Location) Fingerprint() (string, error) {
	if l.Path == "" {
		return "", nil
	}
	return fingerprint(l.Path)
}

// loadFile reads the configuration file at path. Relative paths in it start at its own directory.
func loadFile(path string) (*Config, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	defer func() { _ = file.Close() }()
	b, err := parse(path, file, filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	if err := b.checkSecrets(); err != nil {
		return nil, err
	}
	return b.build(), nil
}

// fromEnvironment returns the configuration of the environment: one token named "default". An empty variable counts as
// not set, as it does for the vendor's client.
func fromEnvironment(lookup func(string) (string, bool)) (*Config, error) {
	token, set := lookup(EnvToken)
	if token == "" {
		state := "is not set"
		if set {
			state = "is set, but empty"
		}
		return nil, fmt.Errorf("no tokens to watch: name a configuration with --config.file=FILE (or put %s into the "+
			"working directory), or set %s to watch one token (it %s); `appfigures_exporter demo` needs neither",
			defaultFile, EnvToken, state)
	}
	if _, err := parseToken(token); err != nil {
		return nil, fmt.Errorf("%s %w", EnvToken, err)
	}
	b := newBuilder("")
	if text, _ := lookup(EnvAPIURL); text != "" {
		apiURL, err := parseAPIURL(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", EnvAPIURL, err)
		}
		if apiURL.Scheme == "http" && !isLoopback(apiURL) {
			return nil, fmt.Errorf("%s: http would send the token in the clear; use https", EnvAPIURL)
		}
		b.APIURL = apiURL
	}
	source := EnvSource(EnvToken)
	source.at = position{file: "$" + EnvToken}
	b.Tokens = []Token{{Name: defaultAccount, Account: defaultAccount, Source: source}}
	return &b.Config, nil
}
