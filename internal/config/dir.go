package config

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// dirList is the value of token_dir: a directory, or a list of them.
type dirList []dirSettings

// UnmarshalYAML implements the interface of yaml.v3 that keeps the decoder's known fields.
func (l *dirList) UnmarshalYAML(unmarshal func(any) error) error {
	var value any
	_ = unmarshal(&value)
	if _, ok := value.([]any); ok {
		return unmarshal((*[]dirSettings)(l))
	}
	*l = make(dirList, 1)
	return unmarshal(&(*l)[0])
}

// dirSettings is a directory in which each file is a token: its path, or a mapping.
type dirSettings struct {
	Path    string            `yaml:"path"`
	Account string            `yaml:"account"`
	Prefix  string            `yaml:"prefix"`
	Labels  map[string]string `yaml:"labels"`
}

// UnmarshalYAML implements the interface of yaml.v3 that keeps the decoder's known fields.
func (s *dirSettings) UnmarshalYAML(unmarshal func(any) error) error {
	if unmarshal(&s.Path) == nil {
		return nil
	}
	type mapping dirSettings
	return unmarshal((*mapping)(s))
}

// addDir adds a token for each file of the directory at an index, as Kubernetes, Docker and systemd mount secrets.
func (b *builder) addDir(s *dirSettings, index int) {
	key := fmt.Sprintf("token_dir[%d]", index)
	if b.lines[key] == 0 { // not in a list
		key = "token_dir"
	}
	b.check(key+".account", checkPlainText(s.Account))
	b.check(key+".prefix", checkPlainText(s.Prefix))
	labels := b.labels(s.Labels, key+".labels")
	b.require(key, s.Path != "", "no path; give the directory that contains a file for each token")
	dir := b.path(key, s.Path)
	if dir == "" {
		return
	}
	entries, err := os.ReadDir(dir)
	b.check(key, explainFileError(err))
	// A link that leads nowhere, or a directory, is a token that cannot be read: a token file was meant to be there.
	for _, entry := range entries {
		name := entry.Name()
		first, taken := b.names[s.Prefix+name]
		switch err := checkPlainText(name); {
		case notToken.MatchString(name):
		case err != nil:
			b.check(key, fmt.Errorf("the name of a file %w", err))
		case taken:
			b.check(key, fmt.Errorf("the file %q has the name of a token of %s; set prefix for this directory, or "+
				"rename one", name, first))
		default:
			t := Token{Name: s.Prefix + name, Account: cmp.Or(s.Account, defaultName), Labels: labels}
			t.Source = FileSource(filepath.Join(dir, name))
			b.add(t, key)
		}
	}
}

// notToken matches the names of hidden files, which Kubernetes makes too, of leftovers of editors, and of README files.
var notToken = regexp.MustCompile(`(?i)^\.|~$|\.(bak|sw[op]|orig)$|^#.*#$|^README(\.\w+)?$`)
