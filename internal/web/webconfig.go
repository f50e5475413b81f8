package web

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"

	toolkit "github.com/prometheus/exporter-toolkit/web"
)

// CheckConfig validates a --web.config.file; an empty name is none.
func CheckConfig(file string) error {
	info, err := os.Stat(file)
	if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("--web.config.file %s is not a regular file", file)
	}
	if err := toolkit.Validate(file); err != nil {
		return fmt.Errorf("--web.config.file %s: %w", file, explainConfig(file, err))
	}
	return nil
}

var yamlLine = regexp.MustCompile(`line \d+`)

// explainConfig returns what yaml and bcrypt found wrong in the file without their words, which quote passwords and
// keys.
func explainConfig(file string, err error) error {
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
	problem := "not valid YAML; check quotes and indentation"
	if _, first, ok := strings.Cut(message, "yaml: unmarshal errors:\n"); ok {
		message = first
		problem = "an unknown key, a key given twice, or a value of the wrong kind; " +
			"see https://prometheus.io/docs/prometheus/latest/configuration/https/"
	}
	if line := yamlLine.FindString(message); line != "" {
		problem = line + ": " + problem
	}
	return errors.New(problem)
}
