package exporter

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// systemDir is where the packages and the image keep state; tests replace it.
var systemDir = "/var/lib/appfigures_exporter"

// defaultPath returns where the state of a configuration is kept: in the first directory of $STATE_DIRECTORY, which
// systemd sets; else in /var/lib/appfigures_exporter if that can be written; else in appfigures_exporter under
// $XDG_STATE_HOME or ~/.local/state, which it creates. Whether that can be written shows when the file is opened. The
// file's name depends on identity, the path of the configuration file, so that two of them share no file, while
// check and serve of one configuration do. The warning is that another user's process may keep this state elsewhere.
func defaultPath(identity string) (path string, warnings []string, err error) {
	digest := sha256.Sum256([]byte(identity))
	name := fmt.Sprintf("state-%x.json", digest[:4])
	if dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); dir != "" {
		return filepath.Join(dir, name), nil, nil
	}
	base := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(base) { // as its specification demands
		home, _ := os.UserHomeDir()
		base = filepath.Join(home, ".local", "state")
	}
	if writable(systemDir) || !filepath.IsAbs(base) { // without a home there is no other place
		return filepath.Join(systemDir, name), nil, nil
	}
	dir := filepath.Join(base, "appfigures_exporter")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, fmt.Errorf("neither %s nor %s can be written: %w", systemDir, dir, err)
	}
	path = filepath.Join(dir, name)
	if _, err := os.Lstat(systemDir); err == nil { // under systemd a link that other users cannot follow
		warnings = []string{fmt.Sprintf("this user cannot write %s, so the state is in %s: an exporter of another user "+
			"has its own state and a second budget; run as that user, or use check --exporter=URL", systemDir, path)}
	}
	return path, warnings, nil
}

// writable reports whether files can be created in dir.
func writable(dir string) bool {
	test, err := os.MkdirTemp(dir, ".test*")
	return err == nil && os.Remove(test) == nil
}
