package exporter

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// TestOpenState checks where state is kept, and what users read if it is not, or elsewhere than they may think.
func TestOpenState(t *testing.T) {
	dir := t.TempDir()
	foreign, damaged := dir+"/notes.txt", dir+"/damaged.json"
	for path, content := range map[string]string{foreign: "notes", damaged: "", damaged + ".lock": ""} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	system, none := dir+"/system", dir+"/none"
	private := dir + "/private" // as systemd's DynamicUser makes it: a link that others cannot follow
	if err := errors.Join(os.Mkdir(system, 0o700), os.Symlink(none, private)); err != nil {
		t.Fatal(err)
	}
	const (
		name = "/state-f0d71972.json" // of "/etc/config.yml"
		ours = "/appfigures_exporter" + name
		lost = "Running without a state file: a restart forgets all verdicts and histories, and probes every token " +
			"again: "
		opening = lost + "opening state file "
	)
	defer func(dir string) { systemDir = dir }(systemDir)
	for _, test := range []struct {
		name                          string
		flag                          string // the value of --state.file
		service, systemDir, xdg, home string // directories
		want                          string // the path
		warning                       string // beginning of the only one
		err                           string // end of it
	}{
		{name: "off", flag: NoState, want: NoState},
		{name: "named", flag: dir + "/a.json", want: dir + "/a.json"},
		{name: "named, not possible", flag: "/dev/null/a.json", want: NoState, warning: opening + "/dev/null/a.json: "},
		{name: "foreign", flag: foreign, want: foreign, err: foreign + ": not a state file; it was left alone"},
		{name: "damaged", flag: damaged, want: damaged, warning: "The state file was damaged"},

		{name: "systemd", service: dir, systemDir: system, want: dir + name},
		{name: "systemd, several", service: dir + ":" + system, systemDir: system, want: dir + name},
		{name: "systemd, not possible", service: none, systemDir: system, want: NoState, warning: opening + none + name},
		{name: "system", systemDir: system, xdg: dir + "/xdg", home: dir, want: system + name},
		{name: "XDG", systemDir: none, xdg: dir + "/xdg", home: dir, want: dir + "/xdg" + ours},
		{name: "relative XDG", systemDir: none, xdg: "xdg", home: dir, want: dir + "/.local/state" + ours},
		{name: "home", systemDir: none, home: dir, want: dir + "/.local/state" + ours},
		{name: "the service's", systemDir: foreign, home: dir, want: dir + "/.local/state" + ours,
			warning: "this user cannot write " + foreign + ", so the state is in " + dir + "/.local/state" + ours + ": "},
		{name: "a dynamic user's", systemDir: private, home: dir, want: dir + "/.local/state" + ours,
			warning: "this user cannot write " + private + ", so the state is in "},
		{name: "no home", systemDir: none, want: NoState, warning: opening + none + name},
		{name: "no directory", systemDir: none, home: "/dev/null", want: NoState,
			warning: lost + "neither " + none + " nor /dev/null/.local/state/appfigures_exporter can be written: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("STATE_DIRECTORY", test.service)
			t.Setenv("XDG_STATE_HOME", test.xdg)
			t.Setenv("HOME", test.home)
			systemDir = test.systemDir
			s, err := openState(test.flag, "/etc/config.yml")
			defer s.close()
			if (err == nil) != (test.err == "") || err != nil && !strings.HasSuffix(err.Error(), test.err) {
				t.Errorf("error %v", err)
			}
			if s.path != test.want || (s.store == nil) != (s.path == NoState || err != nil) {
				t.Errorf("path %q, store %v, want path %q", s.path, s.store, test.want)
			}
			warning := strings.Join(s.warnings, "\n")
			if !strings.HasPrefix(warning, test.warning) || len(s.warnings) != min(len(test.warning), 1) {
				t.Errorf("warnings %q", s.warnings)
			}
		})
	}
	if left, err := os.ReadDir(system); err != nil || len(left) != 1 || "/"+left[0].Name() != name+".lock" {
		t.Errorf("left in %s: %v, %v", system, left, err)
	}
	systemDir = system
	if other, _, err := defaultPath("/etc/other.yml"); err != nil || strings.HasSuffix(other, name) {
		t.Errorf("another configuration has %s, %v", other, err)
	}
}

// TestSave checks what is noted of writes of the state file: all in the metrics, changes in the log.
func TestSave(t *testing.T) {
	var log strings.Builder
	store := new(fakeStore)
	x := &exporter{store: store, logger: slog.New(slog.NewTextHandler(&log, nil))}
	for i, test := range []struct {
		err     error
		failing bool
		errors  uint64
		lines   int
	}{{nil, false, 0, 0}, {io.ErrShortWrite, true, 1, 1}, {io.ErrShortWrite, true, 2, 1}, {nil, false, 2, 2}} {
		store.err, x.facts.StateSaved = test.err, time.Time{}
		err := x.Save(state.Content{})
		lines := strings.Count(log.String(), "\n")
		if !errors.Is(err, test.err) || x.facts.StateFailing != test.failing || x.facts.StateErrors != test.errors ||
			x.facts.StateSaved.IsZero() == (test.err == nil) || lines != test.lines {
			t.Errorf("write %d: %v, %+v, log:\n%s", i, err, x.facts, &log)
		}
	}
}

// fakeStore is a state file that cannot be written if err is set.
type fakeStore struct{ err error }

func (s *fakeStore) Save(state.Content) error { return s.err }

// TestLockedState checks that serve waits for a file that another process uses, but not forever, and that check, which
// does not wait, learns which file it is.
func TestLockedState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state.json")
		first, err := openState(path, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := first.store.Save(state.Content{Salt: []byte("first")}); err != nil {
			t.Fatal(err)
		}
		second, err := openState(path, "")
		if !errors.Is(err, state.ErrLocked) || !strings.Contains(err.Error(), path) || second.path != path {
			t.Errorf("%+v, %v", second, err)
		}
		var log strings.Builder
		logger, start := slog.New(slog.NewTextHandler(&log, nil)), time.Now()
		_, err = awaitState(t.Context(), path, "", logger)
		if took := time.Since(start); !errors.Is(err, state.ErrLocked) || took.Round(time.Second) != lockTimeout {
			t.Errorf("after %s: %v", took, err)
		}
		if strings.Count(log.String(), "Waiting for another process") != 1 {
			t.Errorf("the log is %s", log.String())
		}
		time.AfterFunc(lockTimeout/2, first.close)
		third, err := awaitState(t.Context(), path, "", logger)
		if err != nil || string(third.content.Salt) != "first" {
			t.Fatalf("%+v, %v", third, err)
		}
		third.close()
	})
}
