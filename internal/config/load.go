package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// The environment variables that give a start without a configuration file. They are those of the vendor's own
// command-line client, whose default base URL is https://api.appfigures.com/v2, without a slash at its end.
const (
	EnvToken  = "APPFIGURES_API_KEY"
	EnvAPIURL = "APPFIGURES_API_BASE_URL"
)

// ErrNoToken is what [FromEnv] returns when the environment names no token.
var ErrNoToken = errors.New(EnvToken + " is not set")

// Load reads the configuration file at path. Relative paths in the file start at the file's own directory. For the
// form of the error see [Parse].
func Load(path string) (*Config, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	defer func() { _ = file.Close() }()
	return Parse(path, file, filepath.Dir(path))
}

// FromEnv returns the configuration that the environment gives: one token named "default". An empty variable counts as
// not set, as it does for the vendor's client.
func FromEnv(lookup func(string) (string, bool)) (*Config, error) {
	token, _ := lookup(EnvToken)
	if token == "" {
		return nil, ErrNoToken
	}
	if _, err := newToken(token); err != nil {
		return nil, fmt.Errorf("%s %w", EnvToken, err)
	}
	d := newBuilder("")
	if text, _ := lookup(EnvAPIURL); text != "" {
		apiURL, err := parseAPIURL(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", EnvAPIURL, err)
		}
		if apiURL.Scheme == "http" && !isLoopback(apiURL) {
			return nil, fmt.Errorf("%s: http would send the token in the clear; use https", EnvAPIURL)
		}
		d.APIURL = apiURL
	}
	d.Tokens = []Token{{Name: defaultAccount, Account: defaultAccount, Source: EnvSource(EnvToken)}}
	return &d.Config, nil
}

// Fingerprint returns a short text that changes when [Load] of path would read something else: when the file's
// content changes, that of a file of its tls_config does, or a token file comes to, or goes from, its token_dir. What
// token files hold is not part of it: that is read again for each probe.
func Fingerprint(path string) (string, error) {
	data, err := readRegular(path)
	if err != nil {
		return "", fmt.Errorf("reading the configuration %s: %w", path, err)
	}
	hash := sha256.New()
	fmt.Fprintf(hash, "%d\n%s", len(data), data)
	reads := findPaths(data)
	for _, dir := range reads.tokenDirs {
		names, _, err := tokenFiles(inDir(filepath.Dir(path), dir))
		fmt.Fprintf(hash, "%q %v", names, err)
	}
	for _, name := range reads.tlsFiles {
		content, err := readRegular(inDir(filepath.Dir(path), name))
		fmt.Fprintf(hash, "%d\n%s %v", len(content), content, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// readRegular reads a regular file, up to a little more than a configuration may have.
func readRegular(path string) ([]byte, error) {
	file, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(io.LimitReader(file, maxFileBytes+1))
}

// paths is what a configuration makes [Load] read besides itself.
type paths struct {
	tokenDirs []string
	tlsFiles  []string
}

// findPaths returns the paths in a configuration. Most have none, and are not parsed.
func findPaths(data []byte) (found paths) {
	if !bytes.Contains(data, []byte("token_dir")) && !bytes.Contains(data, []byte("tls_config")) {
		return paths{}
	}
	root, wrong := readDocument(data)
	if wrong != nil {
		return paths{}
	}
	pairs, _ := value{node: root, problems: new(problems)}.pairs()
	for _, pair := range pairs {
		switch pair.key {
		case "token_dir":
			found.tokenDirs = findTokenDirs(pair.value)
		case "tls_config":
			settings, _ := pair.value.pairs()
			for _, setting := range settings {
				if name, ok := setting.value.text(); ok && strings.HasSuffix(setting.key, "_file") {
					found.tlsFiles = append(found.tlsFiles, name)
				}
			}
		}
	}
	return found
}

// findTokenDirs returns the paths that a token_dir has.
func findTokenDirs(v value) (dirs []string) {
	switch v.node.Kind {
	case yaml.SequenceNode:
		items, _ := v.items()
		for _, item := range items {
			dirs = append(dirs, findTokenDirs(item)...)
		}
	case yaml.MappingNode:
		pairs, _ := v.pairs()
		for _, pair := range pairs {
			if pair.key == "path" {
				dirs = append(dirs, findTokenDirs(pair.value)...)
			}
		}
	default:
		if dir, ok := v.text(); ok {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}
