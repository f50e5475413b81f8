package config

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ReadTimeout bounds how long [Reader.Read] waits for the sources of all tokens together.
const ReadTimeout = time.Second

var errHangs = errors.New("cannot be read in time; check the file system that it is on")

// slowRead is how long a worker may be busy before others take over what waits behind it.
const slowRead = 10 * time.Millisecond

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
	source Source
	done   chan struct{} // closed when the result is there
	result Reading
}

// Read reads the sources of all tokens. It returns a Reading for each of them, within [ReadTimeout].
func (r *Reader) Read(tokens []Token) []Reading {
	ctx, cancel := context.WithTimeout(context.Background(), ReadTimeout)
	defer cancel()
	reads, queue := r.enqueue(tokens)
	go r.dispatch(queue)
	readings := make([]Reading, len(tokens))
	for i, t := range slices.Backward(tokens) { // a worker starts at the front: one wait is usually enough
		if t.Source.kind != fromFile { // which cannot hang
			readings[i] = t.Source.read()
			continue
		}
		select {
		case <-reads[i].done:
		case <-ctx.Done():
		}
		select {
		case <-reads[i].done:
			readings[i] = reads[i].result
		default:
			readings[i].Err = errHangs
		}
	}
	return readings
}

// enqueue returns the read of each token that is in a file, and those that are to be started.
func (r *Reader) enqueue(tokens []Token) (reads []*pendingRead, queue chan *pendingRead) {
	reads, queue = make([]*pendingRead, len(tokens)), make(chan *pendingRead, len(tokens))
	defer close(queue)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending == nil {
		r.pending = make(map[string]*pendingRead)
	}
	for i, t := range tokens {
		if t.Source.kind != fromFile {
			continue
		}
		path := t.Source.text.Reveal()
		if r.pending[path] == nil {
			r.pending[path] = &pendingRead{source: t.Source, done: make(chan struct{})}
			queue <- r.pending[path]
		}
		reads[i] = r.pending[path]
	}
	return reads, queue
}

// dispatch starts workers until the queue is empty: one, which suffices for a local disk, and then as many again each
// time that the queue outlasts [slowRead], so that files that hang hold no others.
func (r *Reader) dispatch(queue chan *pendingRead) {
	for workers := 1; len(queue) > 0; workers *= 2 {
		for range min(workers, len(queue)) {
			go r.work(queue)
		}
		time.Sleep(slowRead)
	}
}

func (r *Reader) work(queue chan *pendingRead) {
	for read := range queue {
		read.result = readSource(read.source)
		r.mu.Lock()
		delete(r.pending, read.source.text.Reveal())
		r.mu.Unlock()
		close(read.done)
	}
}
