package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// tokenDirBuilder is one directory of tokens that is being read.
type tokenDirBuilder struct {
	path    value
	account string
}

var tokenDirFields = []field[tokenDirBuilder]{
	{"path", func(t *tokenDirBuilder, v value) { t.path = v }},
	{"account", func(t *tokenDirBuilder, v value) { t.account, _ = v.labelValue() }},
}

// readTokenDirs reads token_dir: a path, a mapping with a path and an account, or a list of either.
func (d *builder) readTokenDirs(v value) {
	dirs := []value{v}
	if v.node.Kind == yaml.SequenceNode {
		var ok bool
		if dirs, ok = v.items(); !ok {
			return
		}
	}
	before := len(d.Tokens)
	for _, dir := range dirs {
		t := tokenDirBuilder{path: dir, account: defaultAccount}
		if dir.node.Kind == yaml.MappingNode {
			found := readMapping(&t, dir, tokenDirFields)
			if found.missing("path") {
				dir.report("no path; give the directory that holds a file for each token")
			}
			if _, ok := found.at["path"]; !ok {
				continue
			}
		}
		if !d.readTokenDir(t.path, t.account) {
			return
		}
	}
	if len(d.Tokens) == before && before == 0 && len(*v.problems) == 0 {
		v.report("no token file in it; put a file there for each token, named as the token shall be")
	}
}

// readTokenDir adds a token for each file of a directory, named after it, as Kubernetes, Docker and systemd mount
// secrets. It follows symbolic links (Kubernetes makes NAME -> ..data/NAME), and skips directories, and files that
// editors leave behind. A link that leads nowhere is a token whose secret is missing. It returns false when there are too many problems.
func (d *builder) readTokenDir(v value, account string) bool {
	text, ok := v.text()
	if !ok {
		return true
	}
	dir := inDir(d.dir, text)
	names, leftovers, err := tokenFiles(dir)
	if err != nil {
		v.report(err.Error())
		return true
	}
	for _, name := range leftovers {
		if isLabelValue(name) {
			d.skipped.add(v, name)
		}
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		line, taken := d.names[name]
		switch {
		case v.problems.full():
			return false
		case !isLabelValue(name):
			v.report("a file's name contains a control or invisible character, or is not UTF-8; rename the file")
		case taken:
			v.report(fmt.Sprintf("a file has the name of the token of line %d; give each its own", line))
		case isWorldReadable(path):
			d.exposed.add(v, name)
		}
		d.names[name] = v.line
		d.Tokens = append(d.Tokens, Token{Name: name, Account: account, Source: FileSource(path)})
	}
	return true
}

// isLeftover reports whether a file is not a token: a backup, an editor's temporary file, or a note. Hidden files are
// skipped without a word: Kubernetes makes some.
func isLeftover(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".bak", ".swp", ".swo", ".orig", ".old", ".tmp", ".rej":
		return true
	}
	return strings.HasSuffix(name, "~") || strings.HasPrefix(name, "#") || strings.HasPrefix(strings.ToUpper(name), "README")
}

// tokenFiles returns the names of the token files in dir, and those of other files, sorted. The error does not quote dir.
func tokenFiles(dir string) (names, leftovers []string, err error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, errors.New("no such directory; create it, or correct the path")
	}
	if err == nil && !info.IsDir() {
		return nil, nil, errors.New("not a directory; give one that holds a file for each token")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, explainFileError(err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, entry.Name()))
		switch {
		case err == nil && !info.Mode().IsRegular():
		case isLeftover(entry.Name()):
			leftovers = append(leftovers, entry.Name())
		default:
			names = append(names, entry.Name())
		}
	}
	return names, leftovers, nil
}

// isWorldReadable reports whether the file's mode lets every user read it.
func isWorldReadable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0
}
