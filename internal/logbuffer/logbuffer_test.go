package logbuffer

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestWriter checks that nobody waits for a blocked out, and the end not for long; that lines which find no room are
// counted, and the others written.
func TestWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		release := make(chan struct{})
		w := New(writerFunc(func(p []byte) (int, error) {
			<-release
			return out.Write(p)
		}))
		for range 1 + maxLines + 5 { // the first is being written
			_, _ = io.WriteString(w, "x\n")
			synctest.Wait()
		}
		if n := w.Dropped(); n != 5 {
			t.Errorf("%d lines were dropped, want 5", n)
		}
		start := time.Now()
		w.Close()
		if took := time.Since(start); took != flushTime {
			t.Errorf("closing took %s", took)
		}
		close(release)
		<-w.done
		if want := strings.Repeat("x\n", 1+maxLines); out.String() != want {
			t.Errorf("wrote %d bytes, want %d", out.Len(), len(want))
		}
	})
}

// TestWriterFailure checks that lines which out refuses are counted, and that the end waits for the last.
func TestWriterFailure(t *testing.T) {
	w := New(writerFunc(func([]byte) (int, error) { return 0, errors.New("full") }))
	_, _ = io.WriteString(w, "one\n")
	_, _ = io.WriteString(w, "two\n")
	w.Close()
	if n := w.Dropped(); n != 2 {
		t.Errorf("%d lines were dropped, want 2", n)
	}
}
