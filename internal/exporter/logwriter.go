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
	out     io.Writer
	lines   chan []byte
	quit    chan struct{}
	done    chan struct{} // closed when no more is written
	dropped atomic.Uint64
}

// newLogWriter returns a writer to out. Close ends it.
func newLogWriter(out io.Writer) *logWriter {
	w := &logWriter{out: out, lines: make(chan []byte, maxLogLines), quit: make(chan struct{}), done: make(chan struct{})}
	go w.run()
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
	close(w.quit)
	select {
	case <-w.done:
	case <-time.After(flushTime):
	}
}

func (w *logWriter) run() {
	defer close(w.done)
	for {
		select {
		case line := <-w.lines:
			w.write(line)
		case <-w.quit:
			for len(w.lines) > 0 {
				w.write(<-w.lines)
			}
			return
		}
	}
}

func (w *logWriter) write(line []byte) {
	if _, err := w.out.Write(line); err != nil {
		w.dropped.Add(1)
	}
}
