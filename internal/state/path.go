package state

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// systemDir is where the packages and the image keep state; tests replace it.
var systemDir = "/var/lib/appfigures_exporter"

// DefaultPath returns where the state of a configuration is kept: in the first directory of $STATE_DIRECTORY, which
// systemd sets; else in /var/lib/appfigures_exporter if that can be written; else in appfigures_exporter under
// $XDG_STATE_HOME or ~/.local/state, which it creates. The file's name depends on identity, the path of the
// configuration file, so that two configurations share no file, while check and serve of one configuration do. The
// warning, if any, says that another user's process may keep the state of the same configuration elsewhere.
func DefaultPath(identity string, getenv func(string) string) (path, warning string, err error) {
	digest := sha256.Sum256([]byte(identity))
	name := fmt.Sprintf("state-%x.json", digest[:4])
	if dir, _, _ := strings.Cut(getenv("STATE_DIRECTORY"), ":"); dir != "" {
		return filepath.Join(dir, name), "", nil // Open reports whether it can be written
	}
	if writable(systemDir) == nil {
		return filepath.Join(systemDir, name), "", nil
	}
	base := getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(base) { // as its specification demands
		base = filepath.Join(cmp.Or(getenv("HOME"), getenv("USERPROFILE")), ".local", "state") // the latter on Windows
	}
	if !filepath.IsAbs(base) {
		return "", "", fmt.Errorf("%s cannot be written, and neither $XDG_STATE_HOME nor $HOME is set", systemDir)
	}
	dir := filepath.Join(base, "appfigures_exporter")
	if err := cmp.Or(os.MkdirAll(dir, 0o700), writable(dir)); err != nil {
		return "", "", fmt.Errorf("neither %s nor %s can be written: %w", systemDir, dir, err)
	}
	path = filepath.Join(dir, name)
	if _, err := os.Stat(systemDir); err == nil {
		warning = fmt.Sprintf("this user cannot write %s, so the state is in %s: an exporter of another user has its "+
			"own state and a second budget; run as that user, or use check --exporter=URL", systemDir, path)
	}
	return path, warning, nil
}

// writable returns an error unless files can be created in dir.
func writable(dir string) error {
	file, err := os.CreateTemp(dir, ".test*")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}
