// Package logbuffer keeps those who log from waiting for a log that blocks. It neither makes nor filters lines, and
// tries to write each only once.
package logbuffer

import (
	"io"
	"slices"
	"sync/atomic"
	"time"
)

const (
	maxLines  = 1024            // that wait to be written
	flushTime = 1 * time.Second // for the lines that wait when the process ends
)

// Writer writes log lines to a file that may block, without ever blocking those who log: container engines block a
// program whose log driver stalls. Lines that find no room, or that the file does not take, are dropped and counted.
type Writer struct {
	lines   chan []byte   // nil: the last
	done    chan struct{} // closed when no more is written
	dropped atomic.Uint64
}

// New returns a writer to out. Close ends it.
func New(out io.Writer) *Writer {
	w := &Writer{lines: make(chan []byte, maxLines), done: make(chan struct{})}
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
func (w *Writer) Write(line []byte) (int, error) {
	select {
	case w.lines <- slices.Clone(line):
	default:
		w.dropped.Add(1)
	}
	return len(line), nil
}

// Dropped returns how many lines were dropped.
func (w *Writer) Dropped() uint64 { return w.dropped.Load() }

// Close writes the lines that wait, for at most a second.
func (w *Writer) Close() {
	go func() { w.lines <- nil }()
	select {
	case <-w.done:
	case <-time.After(flushTime):
	}
}
