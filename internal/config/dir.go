package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"

	"gopkg.in/yaml.v3"
)

// addDirs adds the tokens of token_dir: of a directory, or of each in a list.
func (b *builder) addDirs(n *yaml.Node) {
	if n = resolve(n); n.Kind != yaml.SequenceNode {
		b.addDir(n, "token_dir")
		return
	}
	for i, item := range n.Content {
		b.addDir(resolve(item), fmt.Sprintf("token_dir[%d]", i))
	}
}

// dirSettings is a directory in which each file is a token.
type dirSettings struct {
	Path    yaml.Node            `yaml:"path"`
	Account yaml.Node            `yaml:"account"`
	Prefix  yaml.Node            `yaml:"prefix"`
	Labels  map[string]yaml.Node `yaml:"labels"`
}

// addDir adds a token for each file of a directory, as Kubernetes, Docker and systemd mount secrets. It is a path, or a
// mapping with a path.
func (b *builder) addDir(n *yaml.Node, key string) {
	s := dirSettings{Path: *n}
	if n.Kind == yaml.MappingNode {
		s = b.decodeDir(n, key)
	}
	var path, prefix string
	account := defaultName
	read(b.document, &s.Path, key, &path, parsePath)
	read(b.document, &s.Account, key+".account", &account, parsePlainText)
	read(b.document, &s.Prefix, key+".prefix", &prefix, parsePlainText)
	labels, line := b.labels(s.Labels, key+".labels"), n.Line
	if path == "" {
		return
	}
	names, err := tokenFiles(b.path(path))
	switch {
	case err != nil:
		b.errorf(line, key, "%v", err)
	case len(names) == 0:
		b.warnf(line, key, "no token files; put one there for each token, named after the token")
	}
	for _, name := range names {
		t := Token{Name: prefix + name, Account: account, Labels: labels, line: line}
		t.Source = FileSource(filepath.Join(b.path(path), name))
		_, err := parsePlainText(name)
		switch first, taken := b.lines[t.Name]; {
		case err != nil:
			b.errorf(line, key, "the name of a file %v", err)
		case taken:
			b.errorf(line, key, "the file %q has the name of the token of line %d; set prefix for this directory, "+
				"or rename one", name, first)
		default:
			b.add(t)
		}
	}
}

// decodeDir decodes a mapping in token_dir.
func (b *builder) decodeDir(n *yaml.Node, key string) (s dirSettings) {
	b.addError(n.Decode(&s))
	for i := 0; i < len(n.Content); i += 2 { // Decode knows no KnownFields
		if !slices.Contains([]string{"path", "account", "prefix", "labels"}, n.Content[i].Value) {
			b.errorf(n.Content[i].Line, key, "unknown key; known here: path, account, prefix, labels")
		}
	}
	if s.Path.IsZero() {
		b.errorf(n.Line, key, "no path; give the directory that contains a file for each token")
	}
	return s
}

// notToken matches the names of hidden files, which Kubernetes makes too, of leftovers of editors, and of README files.
var notToken = regexp.MustCompile(`(?i)^\.|~$|\.(bak|sw[op]|orig)$|^#.*#$|^README(\.\w+)?$`)

// tokenFiles returns the names of the token files in dir, sorted. A link that leads nowhere, or a directory, is one
// too: a token was meant to be there. The error does not quote dir.
func tokenFiles(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil, errors.New("no such directory; create it, or correct the path")
	case err != nil:
		return nil, explainFileError(err)
	}
	for _, entry := range entries {
		if !notToken.MatchString(entry.Name()) {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}
