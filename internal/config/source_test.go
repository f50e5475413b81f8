package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestExplainFileError(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{&fs.PathError{Op: "open", Path: "pat_secret", Err: syscall.EACCES}, "permission denied; make it readable by the exporter's user (uid 65532 in the image)"},
		{&fs.PathError{Op: "read", Path: "pat_secret", Err: syscall.EIO}, "input/output error"},
		{errors.New("pat_secret"), "cannot be read"},
	} {
		if got := explainFileError(test.err).Error(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestSourceFollowsRotation(t *testing.T) {
	dir := t.TempDir()
	source := FileSource(writeFile(t, dir, "token", "pat_old\n"))
	first, err := source.Read()
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, "token", "pat_new\n")
	second, err := source.Read()
	if err != nil || first.Equal(second) || second.Reveal() != "pat_new" {
		t.Errorf("got %q and error %v after %q, want pat_new", second.Reveal(), err, first.Reveal())
	}
}

func TestSourceEqual(t *testing.T) {
	sources := []Source{
		FileSource("a"), FileSource("b"), EnvSource("a"), EnvSource("b"), InlineSource(NewSecret("a")), InlineSource(NewSecret("b")),
	}
	again := []Source{
		FileSource("a"), FileSource("b"), EnvSource("a"), EnvSource("b"), InlineSource(NewSecret("a")), InlineSource(NewSecret("b")),
	}
	for i, source := range sources {
		for j, other := range again {
			if source.Equal(other) != (i == j) {
				t.Errorf("%d.Equal(%d) is %t", i, j, source.Equal(other))
			}
		}
	}
}

func wantError(t *testing.T, source Source, want string) {
	t.Helper()
	secret, err := source.Read()
	if err == nil || err.Error() != want {
		t.Errorf("got error %q, want %q", fmt.Sprint(err), want)
	}
	if secret.Reveal() != "" {
		t.Error("got a secret along with an error")
	}
}

// writeFile writes a file that only its owner can read, and returns its path.
func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
