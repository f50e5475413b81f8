package state

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDefaultPath(t *testing.T) {
	dir := t.TempDir()
	system := filepath.Join(dir, "system")
	if err := os.Mkdir(system, 0o700); err != nil {
		t.Fatal(err)
	}
	const (
		name  = "state-f0d71972.json" // of "/etc/config.yml"
		ours  = "appfigures_exporter"
		local = ".local/state"
	)
	none := filepath.Join(dir, "none")
	for _, test := range []struct {
		name                   string
		system                 string
		stateDir, xdg, homeDir string
		want                   string // a directory, or the error's text
	}{
		{"systemd", system, "/var/lib/x", "", "", "/var/lib/x"},
		{"systemd, several", system, "/var/lib/x:/var/lib/y", "", "", "/var/lib/x"},
		{"system", system, "", dir + "/xdg", dir + "/home", system},
		{"XDG", none, "", dir + "/xdg", dir + "/home", dir + "/xdg/" + ours},
		{"relative XDG", none, "", "xdg", dir + "/home", dir + "/home/" + local + "/" + ours},
		{"home", none, "", "", dir + "/home", dir + "/home/" + local + "/" + ours},
		{"nothing", none, "", "", "", none + " cannot be written, and neither $XDG_STATE_HOME nor $HOME is set"},
		{"no directory", none, "", "", "/dev/null",
			"neither " + none + " nor /dev/null/" + local + "/" + ours + " can be written: not a directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			env := map[string]string{"STATE_DIRECTORY": test.stateDir, "XDG_STATE_HOME": test.xdg, "HOME": test.homeDir}
			got, warning, err := defaultPath("/etc/config.yml", func(name string) string { return env[name] }, test.system)
			want := filepath.Join(test.want, name)
			if err != nil {
				got, want = err.Error(), test.want
			}
			if got != want || warning != "" {
				t.Errorf("got  %s\nwant %s\nwarning %q", got, want, warning)
			}
		})
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil { // in place of a directory that this user cannot write
		t.Fatal(err)
	}
	home := func(name string) string { return map[string]string{"HOME": dir + "/home"}[name] }
	if _, warning, err := defaultPath("", home, file); err != nil || !strings.Contains(warning, "a second budget") {
		t.Errorf("warning %q, error %v", warning, err)
	}
	for _, made := range []string{system, dir + "/xdg/" + ours} {
		if entries, err := os.ReadDir(made); err != nil || len(entries) > 0 {
			t.Errorf("%s: %v, %v", made, entries, err)
		}
	}
	other, _, err := DefaultPath("/etc/other.yml", func(string) string { return dir })
	if err != nil || strings.HasSuffix(other, name) {
		t.Errorf("another configuration has %s, %v", other, err)
	}
}
