package exporter

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestLogWriter checks that lines are written in order while out takes them, that a blocked out costs only the lines
// that do not fit, and that writing goes on afterwards.
func TestLogWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		blocked := make(chan struct{})
		release := blocked
		close(release)
		w := newLogWriter(writerFunc(func(p []byte) (int, error) {
			<-release
			return out.Write(p)
		}))
		for _, line := range []string{"a\n", "b\n"} {
			_, _ = io.WriteString(w, line)
			synctest.Wait()
		}
		if out.String() != "a\nb\n" {
			t.Errorf("wrote %q", out.String())
		}

		release = make(chan struct{})
		line := strings.Repeat("x", 1023) + "\n"
		const fits = maxLogBytes / 1024
		for range 1 + fits + 5 { // the first is being written
			_, _ = io.WriteString(w, line)
			synctest.Wait()
		}
		if n := w.Dropped(); n != 5 {
			t.Errorf("%d lines were dropped, want 5", n)
		}
		close(release)
		w.Close()
		if want := "a\nb\n" + strings.Repeat(line, 1+fits); out.String() != want {
			t.Errorf("wrote %d bytes, want %d", out.Len(), len(want))
		}
	})
}

// TestLogWriterClose checks that the end waits for a blocked out, but not for long.
func TestLogWriterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		w := newLogWriter(writerFunc(func(p []byte) (int, error) {
			<-release
			return len(p), nil
		}))
		_, _ = io.WriteString(w, "a\n")
		start := time.Now()
		w.Close()
		if took := time.Since(start); took != flushTime {
			t.Errorf("closing took %s", took)
		}
		close(release)
	})
}

// TestLogWriterFailure checks that lines which the file refuses are counted.
func TestLogWriterFailure(t *testing.T) {
	for name, test := range map[string]struct {
		write   writerFunc
		dropped uint64
	}{
		"broken":   {func([]byte) (int, error) { return 0, os.ErrClosed }, 3},
		"in parts": {func([]byte) (int, error) { return 4, errors.New("full") }, 2},
	} {
		w := newLogWriter(test.write)
		_, _ = io.WriteString(w, "one\ntwo\nthree\n")
		w.Close()
		if n := w.Dropped(); n != test.dropped {
			t.Errorf("%s: %d lines were dropped, want %d", name, n, test.dropped)
		}
	}
}
