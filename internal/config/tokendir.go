package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
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
	{"account", func(t *tokenDirBuilder, v value) { t.account, _ = v.published() }},
}

// readTokenDirs reads token_dir: a path, a mapping with a path and an account, or a list of either.
func (b *builder) readTokenDirs(v value) {
	dirs := []value{v}
	if v.node.Kind == yaml.SequenceNode {
		dirs, _ = v.items()
	}
	for _, dir := range dirs {
		t := tokenDirBuilder{path: dir, account: defaultAccount}
		if dir.node.Kind == yaml.MappingNode {
			found := readMapping(&t, dir, tokenDirFields)
			if found.missing("path") {
				dir.errorf("no path; give the directory that contains a file for each token")
			}
			if _, ok := found.known["path"]; !ok {
				continue
			}
		}
		b.readTokenDir(t.path, t.account)
	}
	if len(b.Tokens) == 0 && len(*v.problems) == 0 {
		v.errorf("no token files; put one there for each token, named after the token")
	}
}

// readTokenDir adds a token for each file of a directory, named after it, as Kubernetes, Docker and systemd mount
// secrets.
func (b *builder) readTokenDir(v value, account string) {
	text, ok := v.text()
	if !ok {
		return
	}
	dir := inDir(b.dir, text)
	names, skipped, err := tokenFiles(dir)
	if err != nil {
		v.errorf("%v", err)
		return
	}
	for _, name := range skipped {
		if checkPublished(name) == "" {
			b.skipped.add(v.position, name)
		}
	}
	for _, name := range names {
		if v.problems.full() {
			return
		}
		first, taken := b.names[name]
		if problem := checkPublished(name); problem != "" {
			v.errorf("the name of a file %s", problem)
		} else if taken {
			v.errorf("the file %q has the name of the token of line %d; give each its own", name, first.line)
		}
		b.names[name] = v.position
		source := FileSource(filepath.Join(dir, name))
		source.at = v.position
		b.addToken(Token{Name: name, Account: account, Source: source}, v.position)
	}
}

// tokenFiles returns the names of the token files in dir, and of files that are surely not tokens, sorted. It follows
// symbolic links, as Kubernetes mounts NAME -> ..data/NAME; one that leads nowhere is a token whose secret is missing.
// Directories and hidden files, which Kubernetes makes too, are in neither list. The error does not quote dir.
func tokenFiles(dir string) (names, skipped []string, err error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, errors.New("no such directory; create it, or correct the path")
	}
	if err == nil && !info.IsDir() {
		return nil, nil, errors.New("not a directory; give one that contains a file for each token")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, explainFileError(err)
	}
	for _, entry := range entries {
		name, mode := entry.Name(), entry.Type()
		if mode&fs.ModeSymlink != 0 {
			if info, err := os.Stat(filepath.Join(dir, name)); err == nil {
				mode = info.Mode()
			}
		}
		switch {
		case strings.HasPrefix(name, "."), mode&^fs.ModeSymlink&fs.ModeType != 0:
		case leftover.MatchString(name):
			skipped = append(skipped, name)
		default:
			names = append(names, name)
		}
	}
	return names, skipped, nil
}

// leftover matches the names of backups, of temporary files of editors, package managers and desktops, and of notes.
var leftover = regexp.MustCompile(`(?i)\.(bak|backup|old|orig|rej|save|sw[op]|te?mp|part|lock|gpg|asc|` +
	`dpkg-\w+|rpm(new|save|orig)|ucf-\w+)$|~$|,v$| \(copy\)|^copy of |^~\$|^#|^README(\.\w+)?$|^4913$|^(thumbs\.db|desktop\.ini)$`)
