package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// defaultFile is read when it exists and no other is named.
const defaultFile = "config.yml"

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
	if _, err := os.Stat(defaultFile); err == nil {
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

// Load reads the configuration, with warnings about it, one line each.
func (l Location) Load() (*Config, []string, error) {
	if l.Path == "" {
		cfg, err := FromEnv(os.LookupEnv)
		if errors.Is(err, ErrNoToken) {
			state := "is not set"
			if _, set := os.LookupEnv(EnvToken); set {
				state = "is set, but empty"
			}
			return nil, nil, fmt.Errorf("no tokens to watch: name a configuration with --config.file=FILE (or put %s into the "+
				"working directory), or set %s to watch one token (it %s); `appfigures_exporter demo` needs neither",
				defaultFile, EnvToken, state)
		}
		if err != nil {
			return nil, nil, err
		}
		return cfg, cfg.Warnings, nil
	}
	cfg, err := Load(l.Path)
	if err != nil {
		return nil, nil, err
	}
	same, err := cfg.compareSecrets()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", l.Path, err)
	}
	warnings := slices.Concat(cfg.Warnings, same)
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
	return Fingerprint(l.Path)
}
