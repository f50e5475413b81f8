package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// defaultFiles are tried in this order if no file is named.
var defaultFiles = []string{"config.yml", "/etc/appfigures_exporter/config.yml"}

// The environment variables that replace a configuration file. EnvToken and EnvAPIURL are those of the vendor's own
// command-line client. EnvTokenFile names a file that contains the token, as official container images have it.
const (
	EnvToken     = "APPFIGURES_API_KEY"
	EnvTokenFile = "APPFIGURES_API_KEY_FILE"
	EnvAPIURL    = "APPFIGURES_API_BASE_URL"
)

// Location is where the configuration is read from: a file, or the environment if Path is empty.
type Location struct {
	Path  string // absolute, so that all spellings of it are one configuration
	named bool   // whether the user named the file
}

// Find returns where the configuration is: in the file that was named; else in config.yml in the working directory, or
// in /etc/appfigures_exporter, if that exists; else in the environment.
func Find(named string) Location {
	if named != "" {
		return Location{absolute(named), true}
	}
	for _, file := range defaultFiles {
		if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
			return Location{Path: absolute(file)}
		}
	}
	return Location{}
}

// absolute returns the absolute form of a path, or the path itself if the working directory is gone.
func absolute(path string) string {
	if long, err := filepath.Abs(path); err == nil {
		return long
	}
	return path
}

// String names the location for logs. It also identifies the configuration.
func (l Location) String() string {
	switch {
	case l.Path != "":
		return l.Path
	case os.Getenv(EnvToken) == "" && os.Getenv(EnvTokenFile) != "":
		return "$" + EnvTokenFile
	}
	return "$" + EnvToken
}

// Load reads the configuration, with warnings about it, one line each. It waits at most [ReadTimeout] for the secrets,
// which it compares. The error has every problem of a kind, each a line of its own:
//
//	/etc/appfigures_exporter/config.yml:12: tokens[1].timeout: what is wrong; what would be right
//
// It quotes no value of the configuration. Warnings quote names of tokens.
func (l Location) Load() (*Config, []string, error) {
	read := fromEnvironment
	if l.Path != "" {
		read = func() (*Config, error) { return loadFile(l.Path) }
	}
	cfg, err := read()
	if err != nil {
		return nil, nil, err
	}
	cfg.Warnings = append(cfg.Warnings, cfg.warnOfSecrets()...)
	if l.Path != "" && !l.named && os.Getenv(EnvToken) != "" && !slices.ContainsFunc(cfg.Tokens, isEnvToken) {
		both := fmt.Sprintf("%s is used and $%s is not, although it is set; unset it, or set --config.file=%s",
			l.Path, EnvToken, l.Path)
		cfg.Warnings = slices.Insert(cfg.Warnings, 0, both)
	}
	return cfg, cfg.Warnings, nil
}

func isEnvToken(t Token) bool { return t.Source.Equal(EnvSource(EnvToken)) }

// Fingerprint returns a text that changes when the configuration file does, the listing of its token directories, or
// its ca_file; it is constant for the environment. What it does not see: that a secret in another file was replaced,
// which needs no reload.
func (l Location) Fingerprint() (string, error) {
	if l.Path == "" {
		return "", nil
	}
	data, _, err := readRegular(l.Path, maxFileBytes)
	if err != nil {
		return "", fmt.Errorf("reading the configuration %s: %w", l.Path, err)
	}
	b, found := newBuilder(l.Path, filepath.Dir(l.Path)), settings{}
	b.decode(data, &found)
	b.addDirs(&found.TokenDir) // problems are Load's to report
	files := []string{b.path(found.TLS.CAFile.Value)}
	for _, t := range b.Tokens {
		files = append(files, t.Source.text.Reveal())
	}
	hash := sha256.New()
	_, _ = hash.Write(data)
	for _, file := range files {
		info, err := os.Stat(file)
		fmt.Fprintf(hash, "%q %t", file, err == nil)
		if err == nil && info.Mode().IsRegular() {
			fmt.Fprint(hash, info.Size(), info.ModTime().UnixNano())
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// fromEnvironment returns the configuration of the environment: one token. An empty variable counts as not set, as it
// does for the vendor's client.
func fromEnvironment() (*Config, error) {
	b := newBuilder("environment", "")
	t := Token{Name: defaultName, Account: defaultName, Source: EnvSource(EnvToken)}
	token, file := os.Getenv(EnvToken), os.Getenv(EnvTokenFile)
	switch {
	case token != "" && file != "":
		b.errorf(0, "$"+EnvToken, "set, and so is $%s; unset one", EnvTokenFile)
	case token != "":
		if _, err := parseToken(token); err != nil {
			b.errorf(0, "$"+EnvToken, "%v", err)
		}
	case file != "":
		path, err := parsePath(file)
		if err != nil {
			b.errorf(0, "$"+EnvTokenFile, "%v", err)
		}
		t.Source = FileSource(absolute(path))
	default:
		return nil, fmt.Errorf("no tokens to watch: name a configuration with --config.file=FILE (or put config.yml into "+
			"the working directory or /etc/appfigures_exporter), or set %s, or %s to a file, to watch one token; "+
			"`appfigures_exporter demo` needs neither", EnvToken, EnvTokenFile)
	}
	if text := os.Getenv(EnvAPIURL); text != "" {
		api, err := parseAPIURL(text)
		if err != nil {
			b.errorf(0, "$"+EnvAPIURL, "%v", err)
			return nil, b.err()
		}
		b.APIURL = api
	}
	b.readNetwork(&settings{})
	b.add(t)
	if err := b.err(); err != nil {
		return nil, err
	}
	return &b.Config, nil
}
