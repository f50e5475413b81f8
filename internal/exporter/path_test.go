//go:build unix

package exporter

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDefaultPath checks where state is kept if no file is named, and what users read about it.
func TestDefaultPath(t *testing.T) {
	dir := t.TempDir()
	system, none, file, a, b := dir+"/system", dir+"/none", dir+"/file", dir+"/a", dir+"/b"
	for _, path := range []string{system, a, b} {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil { // in place of a directory that this user cannot write
		t.Fatal(err)
	}
	const (
		name  = "state-f0d71972.json" // of "/etc/config.yml"
		ours  = "/appfigures_exporter"
		local = "/.local/state" + ours
	)
	defer func(dir string) { systemDir = dir }(systemDir)
	for _, test := range []struct {
		name                   string
		system                 string
		stateDir, xdg, homeDir string
		want                   string // a directory; empty: nothing is kept
		warning                string // a part of the only one
	}{
		{"systemd", system, a, "", "", a, ""},
		{"systemd, several", system, b + ":" + a, "", "", b, ""},
		{"systemd, not possible", system, none, "", dir + "/home", "", "opening state file " + none + "/" + name + ": "},
		{"system", system, "", dir + "/xdg", dir + "/home", system, ""},
		{"XDG", none, "", dir + "/xdg", dir + "/home", dir + "/xdg" + ours, ""},
		{"relative XDG", none, "", "xdg", dir + "/home", dir + "/home" + local, ""},
		{"home", none, "", "", dir + "/home", dir + "/home" + local, ""},
		{"the service's", file, "", "", dir + "/home", dir + "/home" + local, "this user cannot write " + file},
		{"no home", none, "", "", "", "", "opening state file " + none + "/" + name + ": "},
		{"no directory", none, "", "", "/dev/null", "", "neither " + none + " nor /dev/null" + local + " can be written: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("STATE_DIRECTORY", test.stateDir)
			t.Setenv("XDG_STATE_HOME", test.xdg)
			t.Setenv("HOME", test.homeDir)
			systemDir = test.system
			s, err := openState("", "/etc/config.yml")
			if err != nil {
				t.Fatal(err)
			}
			s.close()
			want := NoState
			if test.want != "" {
				want = filepath.Join(test.want, name)
			}
			if s.path != want {
				t.Errorf("path %s, want %s", s.path, want)
			}
			warning := strings.Join(s.warnings, "\n")
			if !strings.Contains(warning, test.warning) || len(s.warnings) != min(len(test.warning), 1) {
				t.Errorf("warnings %q, want one with %q", s.warnings, test.warning)
			}
		})
	}
	entries, err := os.ReadDir(system)
	if err != nil || len(entries) != 1 || entries[0].Name() != name+".lock" {
		t.Errorf("left %v, %v", entries, err)
	}
	t.Setenv("STATE_DIRECTORY", a)
	if other, _, err := defaultPath("/etc/other.yml"); err != nil || strings.HasSuffix(other, name) {
		t.Errorf("another configuration has %s, %v", other, err)
	}
}
