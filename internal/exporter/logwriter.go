package exporter

import (
	"bytes"
	"io"
	"sync"
	"time"
)

const (
	maxLogBytes = 256 << 10       // of lines that wait for standard error
	flushTime   = 1 * time.Second // for the lines that wait when the process ends
)

// logWriter writes log lines to a file that may block, without ever blocking those who log. Lines wait in a buffer;
// those that do not fit, or that the file does not take, are dropped and counted.
type logWriter struct {
	out  io.Writer
	wake chan struct{} // holds a value while lines wait
	quit chan struct{}
	done chan struct{} // closed when no more is written

	mu      sync.Mutex // guards the fields below
	waiting []byte
	dropped uint64
}

// newLogWriter returns a writer to out. Close ends it.
func newLogWriter(out io.Writer) *logWriter {
	w := &logWriter{out: out, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	go w.run()
	return w
}

// Write implements [io.Writer] for whole lines. It never fails.
func (w *logWriter) Write(lines []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting)+len(lines) > maxLogBytes {
		w.dropLocked(lines)
		return len(lines), nil
	}
	w.waiting = append(w.waiting, lines...)
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return len(lines), nil
}

func (w *logWriter) dropLocked(lines []byte) { w.dropped += uint64(bytes.Count(lines, []byte{'\n'})) }

// Dropped returns how many lines were dropped.
func (w *logWriter) Dropped() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped
}

// Close writes the lines that wait, for at most a second. No line may be written after it.
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
		case <-w.wake:
			w.flush()
		case <-w.quit:
			w.flush()
			return
		}
	}
}

// flush writes the lines that wait.
func (w *logWriter) flush() {
	w.mu.Lock()
	lines := w.waiting
	w.waiting = nil
	w.mu.Unlock()
	if len(lines) == 0 {
		return
	}
	n, err := w.out.Write(lines)
	if err != nil {
		w.mu.Lock()
		w.dropLocked(lines[min(max(n, 0), len(lines)):])
		w.mu.Unlock()
	}
}
