package exporter

import (
	"io"
	"slices"
	"sync/atomic"
	"time"
)

const (
	maxLogLines = 1024            // that wait for standard error
	flushTime   = 1 * time.Second // for the lines that wait when the process ends
)

// logWriter writes log lines to a file that may block, without ever blocking those who log: container engines block a
// program whose log driver stalls. Lines that find no room, or that the file does not take, are dropped and counted.
type logWriter struct {
	lines   chan []byte   // nil: the last
	done    chan struct{} // closed when no more is written
	dropped atomic.Uint64
}

// newLogWriter returns a writer to out. Close ends it.
func newLogWriter(out io.Writer) *logWriter {
	w := &logWriter{lines: make(chan []byte, maxLogLines), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for line := <-w.lines; line != nil; line = <-w.lines {
			if _, err := out.Write(line); err != nil {
				w.dropped.Add(1)
			}
		}
	}()
	return w
}

// Write implements [io.Writer] for one whole line. It never fails.
func (w *logWriter) Write(line []byte) (int, error) {
	select {
	case w.lines <- slices.Clone(line):
	default:
		w.dropped.Add(1)
	}
	return len(line), nil
}

// Close writes the lines that wait, for at most a second.
func (w *logWriter) Close() {
	go func() { w.lines <- nil }()
	select {
	case <-w.done:
	case <-time.After(flushTime):
	}
}
