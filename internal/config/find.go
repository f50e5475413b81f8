package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// defaultFiles are tried in this order if no file is named.
var defaultFiles = []string{"config.yml", "/etc/appfigures_exporter/config.yml"}

// The environment variables that replace a configuration file. EnvToken and envAPIURL are those of the vendor's own
// command-line client. EnvTokenFile names a file that contains the token, as official container images have it.
const (
	EnvToken     = "APPFIGURES_API_KEY"
	EnvTokenFile = "APPFIGURES_API_KEY_FILE"
	envAPIURL    = "APPFIGURES_API_BASE_URL"
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

// Load reads the configuration. It waits at most [ReadTimeout] for the secrets, which it compares. The error has every
// problem of a kind, one line each:
//
//	/etc/appfigures_exporter/config.yml:12: tokens[1].name: what is wrong; what would be right
//
// It quotes no value of the configuration. Warnings quote names of tokens.
func (l Location) Load() (*Config, error) {
	_, cfg, err := l.load()
	if err != nil {
		return nil, err
	}
	if l.Path != "" && !l.named && os.Getenv(EnvToken) != "" && !slices.ContainsFunc(cfg.Tokens, isEnvToken) {
		cfg.Warnings = append(cfg.Warnings, fmt.Sprintf("%s is used and $%s is not, although it is set; unset it, or "+
			"set --config.file=%s", l.Path, EnvToken, l.Path))
	}
	cfg.Warnings = append(cfg.Warnings, cfg.warnOfSecrets()...)
	return cfg, nil
}

func isEnvToken(t Token) bool { return t.Source.Equal(EnvSource(EnvToken)) }

// maxFileBytes bounds a configuration file: enough for 100,000 tokens.
const maxFileBytes = 16 << 20

// load returns the content of the file too. The configuration is nil if it cannot be read.
func (l Location) load() (content []byte, cfg *Config, err error) {
	if l.Path == "" {
		cfg, err = fromEnvironment()
		return nil, cfg, err
	}
	content, _, err = readRegular(l.Path, maxFileBytes)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the configuration %s: %w", l.Path, err)
	}
	cfg, err = parse(l.Path, content)
	return content, cfg, err
}

// Fingerprint returns a text that changes when the configuration file does, or the names in its token directories; it
// is constant for the environment. It does not see the content of other files: a secret needs no reload.
func (l Location) Fingerprint() (string, error) {
	if l.Path == "" {
		return "", nil
	}
	content, cfg, err := l.load()
	if cfg == nil {
		return "", err
	}
	return NewSecret(fmt.Sprintf("%q %v %v", content, err, cfg.Tokens)).Digest(nil), nil
}

// fromEnvironment returns the configuration of the environment: one token. An empty variable counts as not set.
func fromEnvironment() (*Config, error) {
	b, s := newBuilder("environment"), defaults()
	token, file := os.Getenv(EnvToken), os.Getenv(EnvTokenFile)
	watched := tokenSettings{Name: defaultName}
	switch {
	case token != "" && file != "":
		return nil, fmt.Errorf("both $%s and $%s are set; unset one", EnvToken, EnvTokenFile)
	case token != "":
		_, err := parseToken(token)
		b.check("$"+EnvToken, err)
		watched.TokenEnv = EnvToken
	case file != "":
		watched.TokenFile = file
	default:
		return nil, fmt.Errorf("no tokens to watch: name a configuration with --config.file=FILE (or put config.yml "+
			"into the working directory or /etc/appfigures_exporter), or set %s, or %s to a file, to watch one token; "+
			"`appfigures_exporter demo` needs neither", EnvToken, EnvTokenFile)
	}
	b.keys = map[string]string{"api_url": "$" + envAPIURL, "tokens[0].token_file": "$" + EnvTokenFile}
	s.APIURL = cmp.Or(os.Getenv(envAPIURL), defaultAPIURL)
	s.Tokens = []tokenSettings{watched}
	b.build(&s)
	return &b.Config, errors.Join(b.problems...)
}
