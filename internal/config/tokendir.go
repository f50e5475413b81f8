package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// readTokenDir adds a token for each file of a directory, named after it, as Kubernetes, Docker and systemd mount
// secrets. It follows symbolic links (Kubernetes makes NAME -> ..data/NAME), and passes over names that start with a
// dot and over directories. A link that leads nowhere is a token whose secret is missing.
func (d *draft) readTokenDir(v value) {
	text, ok := v.text()
	if !ok {
		return
	}
	dir := inDir(d.dir, text)
	names, err := tokenFiles(dir)
	switch {
	case err != nil:
		v.refuse(err.Error())
	case len(names) == 0 && len(d.Tokens) == 0:
		v.refuse("no token file in it; put a file there for each token, named as the token shall be")
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		line, taken := d.names[name]
		switch {
		case v.mistakes.full():
			return
		case !isLabelValue(name):
			v.refuse("a file's name holds a control character, or is not UTF-8; rename the file")
		case taken:
			v.refuse(fmt.Sprintf("a file has the name of the token of line %d; give each its own", line))
		case isWorldReadable(path):
			d.exposed.add(v, name)
		}
		d.Tokens = append(d.Tokens, Token{Name: name, Account: defaultAccount, Source: FileSource(path)})
	}
}

// tokenFiles returns the names of the token files in dir, sorted. The error does not quote dir.
func tokenFiles(dir string) ([]string, error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("no such directory; create it, or correct the path")
	}
	if err == nil && !info.IsDir() {
		return nil, errors.New("not a directory; give one that holds a file for each token")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, explainFileError(err)
	}
	var names []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, entry.Name()))
		if err != nil || info.Mode().IsRegular() {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// isWorldReadable reports whether the file's mode lets every user read it.
func isWorldReadable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0
}
