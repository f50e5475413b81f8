package check

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

// progressOf runs a check of n tokens that takes a while, and returns what it wrote to standard error.
func progressOf(t *testing.T, n int, takes time.Duration, o Options) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		o.Config = &config.Config{MaxConcurrency: 1, Tokens: make([]config.Token, n)}
		o.Scraper = found{at(noon, valid("t")), takes}
		o.Stdout.Writer, o.Stderr.Writer = &stdout, &stderr
		if o.Getenv == nil {
			o.Getenv = noEnv
		}
		if code := Run(t.Context(), o); code != OK {
			t.Errorf("exit code %d, want %d", code, OK)
		}
	})
	if strings.Contains(stdout.String(), "Asking") {
		t.Errorf("standard output has progress in it: %q", stdout.String())
	}
	return stderr.String()
}

func TestProgress(t *testing.T) {
	onTerminal := Options{Format: Table, Stdout: Screen{Terminal: true}, Stderr: Screen{Terminal: true, Width: 80}}
	for _, test := range []struct {
		tokens int
		takes  time.Duration
		frames int
		last   string // without the spinner
	}{
		{12, 0, 0, ""},
		{12, 299 * time.Millisecond, 0, ""},
		{12, 350 * time.Millisecond, 1, "Asking the API about 12 tokens …"},
		{1, 950 * time.Millisecond, 7, "Asking the API about 1 token …"},
		{12, 4050 * time.Millisecond, 38, "Asking the API about 12 tokens … 4 s"},
	} {
		got := progressOf(t, test.tokens, test.takes, onTerminal)
		if test.frames == 0 {
			if got != "" {
				t.Errorf("after %v: %q, want nothing", test.takes, got)
			}
			continue
		}
		frames := strings.Split(got, eraseLine)
		if frames[0] != "" || frames[len(frames)-1] != "" {
			t.Fatalf("after %v: %q, want each frame on an erased line, and the line erased at the end", test.takes, got)
		}
		frames = frames[1 : len(frames)-1]
		if len(frames) != test.frames {
			t.Errorf("after %v: %d frames, want %d", test.takes, len(frames), test.frames)
		}
		if _, last, _ := strings.Cut(frames[len(frames)-1], " "); last != test.last {
			t.Errorf("after %v: the last frame says %q, want %q", test.takes, last, test.last)
		}
	}
}

func TestProgressNeverWraps(t *testing.T) {
	for _, test := range []struct{ width, longest int }{{0, 79}, {20, 19}, {1, 1}} {
		o := Options{Format: Table, Stderr: Screen{Terminal: true, Width: test.width}}
		got := progressOf(t, 1_000_000, 1500*time.Millisecond, o)
		if got == "" {
			t.Errorf("no progress on a terminal of %d columns", test.width)
		}
		for frame := range strings.SplitSeq(got, eraseLine) {
			if n := displayWidth(frame); n > test.longest {
				t.Errorf("a frame takes %d of %d columns: %q", n, test.width, frame)
			}
		}
	}
}

func TestProgressOnlyWhereSomeoneLooks(t *testing.T) {
	terminal, pipe := Screen{Terminal: true}, Screen{}
	for _, test := range []struct {
		name    string
		options Options
		want    bool
	}{
		{"a table on a terminal", Options{Format: Table, Stdout: terminal, Stderr: terminal}, true},
		{"a table into a pipe", Options{Format: Table, Stdout: pipe, Stderr: terminal}, true},
		{"JSON on a terminal", Options{Format: JSON, Stdout: terminal, Stderr: terminal}, true},
		{"JSON into a pipe", Options{Format: JSON, Stdout: pipe, Stderr: terminal}, false},
		{"errors into a file", Options{Format: Table, Stdout: terminal, Stderr: pipe}, false},
		{"a terminal that cannot erase", Options{Format: Table, Stdout: terminal, Stderr: terminal,
			Getenv: func(string) string { return "dumb" }}, false},
	} {
		if got := progressOf(t, 1, time.Second, test.options) != ""; got != test.want {
			t.Errorf("%s: progress %v, want %v", test.name, got, test.want)
		}
	}
}
