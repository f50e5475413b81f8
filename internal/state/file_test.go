//go:build unix

package state

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// some is what the tests keep.
var some = Content{Salt: []byte{1}, Tokens: []Token{{
	Name: "<a> “b”", Findings: Findings{
		Verdict: probe.VerdictDenied, Reason: probe.Locked, VerdictTime: time.Date(2026, 7, 1, 12, 0, 0, 1, time.UTC),
		History: []Past{{Unix: 1, Result: probe.Timeout, Unsent: true}},
	},
}}}

func mustOpen(t *testing.T, path string) (*File, Content) {
	t.Helper()
	f, s, err := Open(path)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f, s
}

func mustRead(t *testing.T, path string) Content {
	t.Helper()
	s, err := Read(path)
	must(t, err)
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSaveAndRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	if s := mustRead(t, path); !reflect.DeepEqual(s, Content{}) {
		t.Errorf("without a file: %v", s)
	}
	want := some
	f, s := mustOpen(t, path)
	if !reflect.DeepEqual(s, Content{}) || f.Damaged != "" {
		t.Errorf("without a file: %+v of %+v", s, f)
	}
	must(t, f.Save(Content{Salt: []byte("earlier")}))
	must(t, f.Save(want))
	if got := mustRead(t, path); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, name := range []string{path, path + ".lock"} {
		if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 {
			t.Errorf("%v, %v, want mode 0600", info.Mode(), err)
		}
	}
	if _, _, err := Open(path); !errors.Is(err, ErrLocked) {
		t.Errorf("error %v while it is open, want ErrLocked", err)
	}
	must(t, f.Close())
	if _, got := mustOpen(t, path); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestUnusable checks what happens to a file that is not what was saved, with its lock beside it and without.
func TestUnusable(t *testing.T) {
	const (
		damaged = "damaged, or not a state file"
		other   = "its format is version 2; this exporter reads version 1"
		intact  = `{"program":"appfigures_exporter","version":1,"content":{"salt":null,"tokens":[],"accounts":[],"unanswered":{"probes":1}}}` + "\n"
		// Whether a file without its lock is moved aside, or an error.
		aside, isError = true, false
	)
	for name, test := range map[string]struct {
		content, problem string
		withoutLock      bool
	}{
		"empty":         {"", "empty", aside},
		"zeros":         {strings.Repeat("\x00", len(intact)), "empty", aside},
		"cut short":     {intact[:len(intact)/2], damaged, isError},
		"twice":         {intact + intact, damaged, isError},
		"a wrong type":  {strings.Replace(intact, "null", "1", 1), damaged, isError},
		"text":          {"tokens: []\n", damaged, isError},
		"other JSON":    {`{"version":1,"content":{}}`, damaged, isError},
		"newer":         {strings.Replace(intact, `"version":1`, `"version":2`, 1), other, aside},
		"newer, shaped": {`{"program":"appfigures_exporter","version":2,"content":[]}`, other, aside},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.json")
			must(t, os.WriteFile(path, []byte(test.content), 0o600))
			want := "reading state file " + path + ": " + test.problem
			if s, err := Read(path); err == nil || err.Error() != want || !reflect.DeepEqual(s, Content{}) {
				t.Errorf("read %+v, error %v, want %s", s, err, want)
			}
			if test.withoutLock == isError {
				want := "opening state file " + path + ": not a state file; it was left alone"
				for range 2 { // the first must not make the second take the file for ours
					if _, _, err := Open(path); err == nil || err.Error() != want {
						t.Errorf("error %v, want %s", err, want)
					}
				}
				if got, err := os.ReadFile(path); err != nil || string(got) != test.content {
					t.Errorf("%v, or the file was changed", err)
				}
				must(t, os.WriteFile(path+".lock", nil, 0o600))
			}
			f, s := mustOpen(t, path)
			if got, err := os.ReadFile(f.Damaged); err != nil || string(got) != test.content || f.Damaged != path+".damaged" {
				t.Errorf("%v, or the damaged file was not kept", err)
			}
			if !reflect.DeepEqual(s, Content{}) {
				t.Errorf("state %+v", s)
			}
			must(t, f.Save(some))
			mustRead(t, path)
		})
	}
}

// TestOpenRefuses checks that nothing but a regular file in a directory that exists is opened, or changed.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	must(t, os.WriteFile(target, []byte("precious"), 0o600))
	for name, prepare := range map[string]func(path string) error{
		"link":      func(path string) error { return os.Symlink(target, path) },
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"FIFO":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		path := filepath.Join(dir, name)
		must(t, prepare(path))
		_, _, err := Open(path)
		if want := "opening state file " + path + ": not a regular file"; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		if _, err := Read(path); err == nil {
			t.Errorf("a %s was read", name)
		}
	}
	if content, err := os.ReadFile(target); string(content) != "precious" {
		t.Errorf("target is %q, %v", content, err)
	}
	missing := filepath.Join(dir, "none", "state.json")
	if _, _, err := Open(missing); err == nil || !strings.HasSuffix(err.Error(), ": no such file or directory") {
		t.Errorf("error %v of a directory that does not exist", err)
	}
}

// TestOwner checks that the files belong to the owner of their directory, also if root writes them.
func TestOwner(t *testing.T) {
	dir, want := t.TempDir(), os.Geteuid()
	if want == 0 {
		want = 65532
		must(t, os.Chown(dir, want, want))
	}
	path := filepath.Join(dir, "state.json")
	f, _ := mustOpen(t, path)
	must(t, f.Save(some))
	for _, name := range []string{path, path + ".lock"} {
		info, err := os.Stat(name)
		must(t, err)
		if owner := info.Sys().(*syscall.Stat_t); int(owner.Uid) != want {
			t.Errorf("%s belongs to %d, want %d", name, owner.Uid, want)
		}
	}
}
