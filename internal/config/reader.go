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

// Reader reads the sources of tokens at the same time, and waits for none that hangs. The zero value is ready. A Reader
// is safe for concurrent use, and should live long: it starts no second read of a source while one hangs.
type Reader struct {
	mu      sync.Mutex
	pending map[string]*pendingRead // reads under way, by the source's key
	read    func(Source) Reading    // nil: Source.read; tests set it
}

// Reading is the result of reading one source.
type Reading struct {
	Secret Secret
	Err    error // what is wrong with the source; what would be right. It never quotes the secret.

	worldReadable bool // whether it is a file that every user can read
}

type pendingRead struct {
	done   chan struct{} // closed when the reading is there
	result Reading
}

// Read reads the sources of all tokens. It returns a Reading for each of them, within [ReadTimeout].
func (r *Reader) Read(tokens []Token) []Reading {
	ctx, cancel := context.WithTimeout(context.Background(), ReadTimeout)
	defer cancel()
	reads := make([]*pendingRead, len(tokens))
	for i, t := range tokens {
		reads[i] = r.start(t.Source)
	}
	readings := make([]Reading, len(tokens))
	for i, read := range reads {
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

// start returns the read of a source that is under way, or starts one.
func (r *Reader) start(s Source) *pendingRead {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := s.String() + ":" + s.text.Reveal()
	if read := r.pending[key]; read != nil {
		return read
	}
	if r.pending == nil {
		r.pending = make(map[string]*pendingRead)
	}
	read := &pendingRead{done: make(chan struct{})}
	r.pending[key] = read
	do := r.read
	if do == nil {
		do = Source.read
	}
	go func() {
		read.result = do(s)
		r.mu.Lock()
		delete(r.pending, key)
		r.mu.Unlock()
		close(read.done)
	}()
	return read
}
