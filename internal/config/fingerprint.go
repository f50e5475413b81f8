package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// fingerprint returns a short text that changes when the configuration file at path changes, a file of its tls_config
// does, or a token file is added to its token_dir or removed. The content of token files is not part of it: that is
// read again for each probe.
func fingerprint(path string) (string, error) {
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

// readRegular reads a regular file, but not much more than a configuration may have.
func readRegular(path string) ([]byte, error) {
	file, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(io.LimitReader(file, maxFileBytes+1))
}

// paths are the files that a load reads beside the configuration.
type paths struct {
	tokenDirs []string
	tlsFiles  []string
}

// findPaths returns the paths in a configuration. One without any is not parsed.
func findPaths(data []byte) (found paths) {
	if !bytes.Contains(data, []byte("token_dir")) && !bytes.Contains(data, []byte("tls_config")) {
		return paths{}
	}
	root, wrong := readDocument("", data)
	if wrong != nil {
		return paths{}
	}
	entries, _ := value{node: root, problems: new(problems)}.entries()
	for _, entry := range entries {
		switch entry.key {
		case "token_dir":
			found.tokenDirs = findTokenDirs(entry.value)
		case "tls_config":
			settings, _ := entry.value.entries()
			for _, setting := range settings {
				if name, ok := setting.value.text(); ok && strings.HasSuffix(setting.key, "_file") {
					found.tlsFiles = append(found.tlsFiles, name)
				}
			}
		}
	}
	return found
}

// findTokenDirs returns the paths of a token_dir.
func findTokenDirs(v value) (dirs []string) {
	switch v.node.Kind {
	case yaml.SequenceNode:
		items, _ := v.items()
		for _, item := range items {
			dirs = append(dirs, findTokenDirs(item)...)
		}
	case yaml.MappingNode:
		entries, _ := v.entries()
		for _, entry := range entries {
			if entry.key == "path" {
				dirs = append(dirs, findTokenDirs(entry.value)...)
			}
		}
	default:
		if dir, ok := v.text(); ok {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}
