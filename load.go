package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	toolkit "github.com/prometheus/exporter-toolkit/web"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// defaultConfigFile is read when it exists and no other is named.
const defaultConfigFile = "config.yml"

// errNoConfig is the error of a start without anything to watch.
var errNoConfig = errors.New("nothing to watch: name a configuration with --config.file=FILE (or put " + defaultConfigFile +
	" into the working directory), or set " + config.EnvToken + " to watch one token; " +
	"`appfigures_exporter demo` shows everything without either")

// configPath returns the configuration file to read, or "" when the environment is to be read instead.
func (p *program) configPath() string {
	if *p.configFile != "" {
		return *p.configFile
	}
	if _, err := os.Stat(defaultConfigFile); err == nil {
		return defaultConfigFile
	}
	return ""
}

// origin says where the configuration is read from.
func (p *program) origin() string {
	path := p.configPath()
	if path == "" {
		return "$" + config.EnvToken
	}
	if absolute, err := filepath.Abs(path); err == nil {
		return absolute
	}
	return path
}

// read reads the configuration, and returns with it what is unwise in it, a line each.
func (p *program) read() (cfg *config.Config, warnings []string, err error) {
	path := p.configPath()
	if path != "" {
		cfg, err = config.Load(path)
	} else {
		cfg, err = config.FromEnv(os.LookupEnv)
	}
	switch {
	case errors.Is(err, config.ErrNoToken):
		return nil, nil, errNoConfig
	case err != nil:
		return nil, nil, err
	}
	warnings = cfg.Warnings
	if path != "" && *p.configFile == "" && os.Getenv(config.EnvToken) != "" && !readsEnvToken(cfg) {
		both := path + " is used and $" + config.EnvToken + " is not, though it is set; unset it, or say --config.file=" + path
		warnings = slices.Concat([]string{both}, warnings)
	}
	return cfg, warnings, nil
}

// readsEnvToken reports whether one of the tokens is that of the environment.
func readsEnvToken(cfg *config.Config) bool {
	return slices.ContainsFunc(cfg.Tokens, func(t config.Token) bool { return t.Source.Equal(config.EnvSource(config.EnvToken)) })
}

// load reads the configuration to serve it, and logs what is unwise in it.
func (p *program) load() (*config.Config, error) {
	cfg, warnings, err := p.read()
	if err != nil {
		return nil, err
	}
	p.warn(slices.Concat(warnings, monitor.Warnings(cfg)))
	return cfg, nil
}

// warn logs the warnings, unless they are those of the last time: a reload would only repeat them.
func (p *program) warn(warnings []string) {
	if slices.Equal(warnings, p.warned) {
		return
	}
	p.warned = warnings
	for _, warning := range warnings {
		p.logger.Warn(warning)
	}
}

// checkConfig says whether the configuration and that of the web server are valid, and what is doubtful in them. It
// returns failure when they are not valid; doubts do not count, as secrets may be elsewhere, and come later.
func (p *program) checkConfig(failure int) int {
	cfg, warnings, err := p.read()
	if err := errors.Join(err, p.checkWebConfig()); err != nil {
		return p.fail(err, failure)
	}
	p.warn(slices.Concat(warnings, monitor.Warnings(cfg), cfg.Inspect(time.Now())))
	fmt.Fprintf(p.stdout, "The configuration %s is valid; tokens: %d.\n", p.origin(), len(cfg.Tokens))
	return exitOK
}

// checkWebConfig holds that --web.config.file is one that exporter-toolkit will serve with.
func (p *program) checkWebConfig() error {
	file := *p.web.WebConfigFile
	if err := toolkit.Validate(file); err != nil {
		return fmt.Errorf("--web.config.file %s: %w", file, explainWebConfig(file, err))
	}
	return nil
}

var yamlLine = regexp.MustCompile(`line \d+`)

// explainWebConfig says in our own words what yaml and bcrypt found wrong in the file: theirs quote passwords and keys.
func explainWebConfig(file string, err error) error {
	message := err.Error()
	if inFile, ok := errors.AsType[*fs.PathError](err); ok && inFile.Path == file {
		return inFile.Err
	}
	if _, cost := errors.AsType[*strconv.NumError](err); cost || strings.HasPrefix(message, "crypto/bcrypt: ") {
		return errors.New("basic_auth_users: passwords must be bcrypt hashes; make one with `htpasswd -nBC 10 USER`")
	}
	if !strings.HasPrefix(message, "yaml: ") {
		return err
	}
	what := "not valid YAML; check quotes and indentation"
	if _, first, ok := strings.Cut(message, "yaml: unmarshal errors:\n"); ok {
		message = first
		what = "an unknown key, a key given twice, or a value of the wrong kind; see https://prometheus.io/docs/prometheus/latest/configuration/https/"
	}
	if line := yamlLine.FindString(message); line != "" {
		what = line + ": " + what
	}
	return errors.New(what)
}
