package config

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ReadTimeout bounds how long [Reader.Read] waits for the sources of all tokens together.
const ReadTimeout = time.Second

var errHangs = errors.New("cannot be read in time; check the file system that it is on")

var readSource = Source.read // tests replace it

// Reader reads the sources of tokens, and waits for none that hangs. The zero value is ready. A Reader is safe for
// concurrent use, and should live long: it starts no second read of a file while one hangs.
type Reader struct {
	mu      sync.Mutex
	pending map[string]*pendingRead // reads of files that have not ended, by path
}

// Reading is the result of reading one source.
type Reading struct {
	Secret Secret
	Err    error // what is wrong with the source; what would be right. It never quotes the secret.

	worldReadable bool // whether it is a file that every user can read
}

type pendingRead struct {
	done   chan struct{} // closed when the result is there
	result Reading
}

// Read reads the sources of all tokens at the same time. It returns a Reading for each of them, within [ReadTimeout].
func (r *Reader) Read(tokens []Token) []Reading {
	ctx, cancel := context.WithTimeout(context.Background(), ReadTimeout)
	defer cancel()
	readings, reads := make([]Reading, len(tokens)), make([]*pendingRead, len(tokens))
	for i, t := range tokens {
		if t.Source.kind == fromFile {
			reads[i] = r.start(t.Source)
		} else { // which cannot hang
			readings[i] = t.Source.read()
		}
	}
	for i, read := range reads {
		if read == nil {
			continue
		}
		select {
		case <-read.done:
		case <-ctx.Done():
		}
		select {
		case <-read.done:
			readings[i] = read.result
		default:
			readings[i].Err = errHangs
		}
	}
	return readings
}

// start returns the read of a file that is under way, or starts one.
func (r *Reader) start(s Source) *pendingRead {
	r.mu.Lock()
	defer r.mu.Unlock()
	path := s.text.Reveal()
	if read := r.pending[path]; read != nil {
		return read
	}
	if r.pending == nil {
		r.pending = make(map[string]*pendingRead)
	}
	read := &pendingRead{done: make(chan struct{})}
	r.pending[path] = read
	go func() {
		read.result = readSource(s)
		r.mu.Lock()
		delete(r.pending, path)
		r.mu.Unlock()
		close(read.done)
	}()
	return read
}
