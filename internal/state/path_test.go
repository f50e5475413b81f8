//go:build unix

package state

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDefaultPath(t *testing.T) {
	dir := t.TempDir()
	system, none, file := dir+"/system", dir+"/none", dir+"/file"
	must(t, os.WriteFile(file, nil, 0o600)) // in place of a directory that this user cannot write
	must(t, os.Mkdir(system, 0o700))
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
		want                   string // a directory, or the beginning of the error
		warning                string
	}{
		{"systemd", system, "/var/lib/x", "", "", "/var/lib/x", ""},
		{"systemd, several", system, "/var/lib/x:/var/lib/y", "", "", "/var/lib/x", ""},
		{"system", system, "", dir + "/xdg", dir + "/home", system, ""},
		{"XDG", none, "", dir + "/xdg", dir + "/home", dir + "/xdg" + ours, ""},
		{"relative XDG", none, "", "xdg", dir + "/home", dir + "/home" + local, ""},
		{"home", none, "", "", dir + "/home", dir + "/home" + local, ""},
		{"the service's", file, "", "", dir + "/home", dir + "/home" + local, "this user cannot write " + file},
		{"nothing", none, "", "", "", none + " cannot be written, and neither $XDG_STATE_HOME nor $HOME is set", ""},
		{"no directory", none, "", "", "/dev/null", "neither " + none + " nor /dev/null" + local + " can be written: ", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			env := map[string]string{"STATE_DIRECTORY": test.stateDir, "XDG_STATE_HOME": test.xdg, "HOME": test.homeDir}
			systemDir = test.system
			got, warning, err := DefaultPath("/etc/config.yml", func(name string) string { return env[name] })
			want := filepath.Join(test.want, name)
			if err != nil {
				got, want = err.Error(), test.want
			}
			if !strings.HasPrefix(got, want) || !strings.HasPrefix(warning, test.warning) ||
				(warning == "") != (test.warning == "") {
				t.Errorf("got  %s\nwant %s\nwarning %q", got, want, warning)
			}
		})
	}
	for _, made := range []string{system, dir + "/xdg" + ours} {
		if entries, err := os.ReadDir(made); err != nil || len(entries) > 0 {
			t.Errorf("%s: %v, %v", made, entries, err)
		}
	}
	other, _, err := DefaultPath("/etc/other.yml", func(string) string { return dir })
	if err != nil || strings.HasSuffix(other, name) {
		t.Errorf("another configuration has %s, %v", other, err)
	}
}
