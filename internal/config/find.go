package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// Location is where the configuration is: the absolute path of a file, or empty for the environment.
type Location string

// Find returns where the configuration is: in the file that was named; else in config.yml in the working directory, or
// in /etc/appfigures_exporter, if that exists; else in the environment.
func Find(named string) Location {
	if named != "" {
		return Location(absolute(named))
	}
	for _, file := range defaultFiles {
		if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
			return Location(absolute(file))
		}
	}
	return ""
}

// absolute returns the absolute form of a path, or the path itself if the working directory is gone.
func absolute(path string) string {
	if long, err := filepath.Abs(path); err == nil {
		return long
	}
	return path
}

// String names the location for logs. It also identifies the configuration, however its path was spelled.
func (l Location) String() string { return cmp.Or(string(l), "environment") }

// Load reads the configuration, and the secrets, for warnings; it waits for them at most [ReadTimeout]. The error has
// one line per problem, which quotes no value of the configuration:
//
//	/etc/appfigures_exporter/config.yml:12: tokens[1].name: what is wrong; what would be right
func (l Location) Load() (*Config, error) {
	_, cfg, err := l.load()
	if err != nil {
		return nil, err
	}
	cfg.Warnings = append(cfg.warnOfSecrets(), cfg.warnOfPace()...)
	return cfg, nil
}

// load returns the content of the file, and the configuration as far as it is valid. Both are nil if the file cannot be
// read.
func (l Location) load() (content []byte, cfg *Config, err error) {
	if l == "" {
		cfg, err = fromEnvironment()
		return nil, cfg, err
	}
	content, err = readRegular(string(l))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the configuration %s: %w", l, err)
	}
	cfg, err = parse(string(l), content)
	return content, cfg, err
}

// Fingerprint returns a text that changes when the configuration file does, or the names in its token directories. It
// does not see the content of other files: a secret needs no reload.
func (l Location) Fingerprint() (string, error) {
	content, cfg, err := l.load()
	if cfg == nil {
		return "", err
	}
	return NewSecret(fmt.Sprintf("%q %v %v", content, err, cfg.Tokens)).Digest(nil), nil
}

// fromEnvironment returns the configuration of the environment: one token. An empty variable counts as not set.
func fromEnvironment() (*Config, error) {
	token := tokenSettings{Name: defaultName, TokenFile: os.Getenv(EnvTokenFile)}
	if os.Getenv(EnvToken) != "" {
		token.TokenEnv = EnvToken
	}
	switch {
	case token.TokenEnv != "" && token.TokenFile != "":
		return nil, fmt.Errorf("both $%s and $%s are set; unset one", EnvToken, EnvTokenFile)
	case token.TokenEnv == "" && token.TokenFile == "":
		return nil, fmt.Errorf("no tokens to watch: name a configuration with --config.file=FILE (or put config.yml "+
			"into the working directory or /etc/appfigures_exporter), or set %s, or %s to a file, to watch one token; "+
			"`appfigures_exporter demo` needs neither", EnvToken, EnvTokenFile)
	}
	s := defaults()
	s.APIURL = cmp.Or(os.Getenv(envAPIURL), s.APIURL)
	s.Tokens = []tokenSettings{token}
	b := newBuilder(Location("").String())
	b.variables = map[string]string{"api_url": "$" + envAPIURL, "tokens[0].token_file": "$" + EnvTokenFile}
	b.build(&s)
	return &b.Config, errors.Join(b.problems...)
}
