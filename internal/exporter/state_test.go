package exporter

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// TestOpenState checks where state is kept, and what users read if it is not.
func TestOpenState(t *testing.T) {
	dir := t.TempDir()
	foreign, damaged := filepath.Join(dir, "notes.txt"), filepath.Join(dir, "damaged.json")
	for path, content := range map[string]string{foreign: "notes", damaged: "", damaged + ".lock": ""} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("STATE_DIRECTORY", dir)
	for _, test := range []struct {
		name, path string
		want       string // beginning of the path
		warning    string // beginning of the only one
		err        string // end of it
	}{
		{"off", NoState, NoState, "", ""},
		{"named", filepath.Join(dir, "a.json"), filepath.Join(dir, "a.json"), "", ""},
		{"default", "", filepath.Join(dir, "state-"), "", ""},
		{"not possible", "/dev/null/state.json", NoState, "Running without a state file: a restart forgets ", ""},
		{"foreign", foreign, foreign, "", foreign + ": not a state file; it was left alone"},
		{"damaged", damaged, damaged, "The state file was damaged", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := openState(test.path, "/config.yml")
			defer s.close()
			if (err == nil) != (test.err == "") || err != nil && !strings.HasSuffix(err.Error(), test.err) {
				t.Errorf("error %v", err)
			}
			if !strings.HasPrefix(s.path, test.want) || (s.store == nil) != (s.path == NoState || err != nil) {
				t.Errorf("path %q, store %v", s.path, s.store)
			}
			warning := strings.Join(s.warnings, "\n")
			if !strings.HasPrefix(warning, test.warning) || len(s.warnings) != min(len(test.warning), 1) {
				t.Errorf("warnings %q", s.warnings)
			}
		})
	}
}

// TestLockedState checks that serve waits for a file that another process uses, but not forever, and that check, which
// does not wait, learns which file it is.
func TestLockedState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state.json")
		first, err := openState(path, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := first.store.Save(monitor.State{Salt: []byte("first")}); err != nil {
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
