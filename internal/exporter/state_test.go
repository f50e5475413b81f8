package exporter

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

func noEnv(string) string { return "" }

// TestOpenState checks what is kept where, and what the user reads if it is not.
var silent = slog.New(slog.DiscardHandler)

func TestOpenState(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	inDir := func(name string) string { return map[string]string{"STATE_DIRECTORY": dir}[name] }
	for _, test := range []struct {
		name, path string
		getenv     func(string) string
		want       string // beginning of the path
		warning    string // part of it
	}{
		{"off", NoState, inDir, "", ""},
		{"named", path, inDir, path, ""},
		{"default", "", inDir, dir + "/state-", ""},
		{"impossible", "/dev/null/state.json", noEnv, "", "Running without a state file: a restart forgets verdicts and " +
			"the requests of the last 24 hours: opening state file /dev/null/state.json: not a directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := OpenState(t.Context(), test.path, "/config.yml", test.getenv, new(config.Config), silent)
			defer s.Close()
			if !strings.HasPrefix(s.Path, test.want) || (s.Path == "") != (test.want == "") ||
				(s.Store() == nil) != (s.Path == "") {
				t.Errorf("path %q, store %v", s.Path, s.Store())
			}
			if warnings := strings.Join(s.Warnings, "\n"); warnings != test.warning {
				t.Errorf("warnings %q, want %q", warnings, test.warning)
			}
		})
	}
}

// TestSharedState checks that a second process starts from the state of the first and never writes over it, and that a
// file that is given up in time is taken.
func TestSharedState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	first := OpenState(t.Context(), path, "", noEnv, new(config.Config), silent)
	if err := first.Store().Save(state.State{Salt: []byte("first")}); err != nil {
		t.Fatal(err)
	}
	second := openState(t.Context(), path, "", noEnv, 0, silent)
	if !second.Locked || string(second.Content.Salt) != "first" || len(second.Warnings) != 1 || second.Store() != nil {
		t.Errorf("locked %t, salt %q, warnings %q", second.Locked, second.Content.Salt, second.Warnings)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if waited := openState(stopped, path, "", noEnv, time.Hour, silent); !waited.Locked {
		t.Error("a process that is stopped has got the file")
	}
	opened := make(chan State)
	go func() { opened <- openState(t.Context(), path, "", noEnv, time.Minute, silent) }()
	first.Close()
	third := <-opened
	defer third.Close()
	if third.Locked || string(third.Content.Salt) != "first" || third.Store() == nil {
		t.Errorf("locked %t, salt %q", third.Locked, third.Content.Salt)
	}
}
