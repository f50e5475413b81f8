//go:build unix

package config

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSourceReportsWhatIsWrongWithAFile(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	writeFile(t, dir, "large", strings.Repeat("x", maxTokenBytes+1))
	writeFile(t, dir, "file", "pat_secret")
	for name, target := range map[string]string{"nowhere": "gone", "itself": "itself"} {
		if err := os.Symlink(target, path(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(path("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	const missing = "no such file or directory; create it, or correct the path"
	const irregular = "not a regular file; give the path of one"
	for name, want := range map[string]string{
		path("missing"):    missing,
		path("nowhere"):    missing,
		path("itself"):     "too many levels of symbolic links",
		path("pipe"):       irregular,
		"/dev/zero":        irregular,
		path("large"):      "larger than 64 KiB; give the path of another file",
		path("file/token"): "not a directory",
		dir: "a directory, which Docker makes when the file to mount is missing; create the file on the host, " +
			"then create the container again",
	} {
		wantReadError(t, FileSource(name), "reading the token file "+name+": "+want)
	}
}

// TestConfigurationIsARegularFile checks that neither loading nor looking for changes hangs on a pipe.
func TestConfigurationIsARegularFile(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"gone": "no such file", "pipe": "not a regular file", ".": "a directory, which Docker makes"} {
		path := filepath.Join(dir, name)
		_, loadErr := Find(path).Load()
		_, lookErr := Find(path).Fingerprint()
		for _, err := range []error{loadErr, lookErr} {
			if err == nil || !strings.HasPrefix(err.Error(), "reading the configuration "+path+": "+want) {
				t.Errorf("%s: got %v, want %s", name, err, want)
			}
		}
	}
}
