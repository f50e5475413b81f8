package monitor

import (
	"errors"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

const (
	// readTimeout is how long a source may take to give its secret. A local file takes microseconds.
	readTimeout = time.Second
	// maxReads bounds the reads under way at once: each takes a thread for as long as it hangs.
	maxReads = 1000
)

// errReadTimeout is the error of a source that hangs.
var errReadTimeout = errors.New("cannot be read in time; check the file system that it is on")

// reading is a read of a token's source.
type reading struct {
	deadline time.Time
	done     chan struct{} // closed when the fields below are set
	secret   config.Secret
	err      error
}

func (r *reading) read(source config.Source) {
	r.secret, r.err = source.Read()
	close(r.done)
}

// readSecrets reads the sources of tokens again, all at the same time, so that the scrape that follows notices a
// changed secret. A source that hangs is an error until its read ends; it costs one goroutine, however many scrapes
// meet it.
func (m *Monitor) readSecrets(tokens []*token) {
	now := time.Now()
	readings := make([]*reading, len(tokens))
	fresh := make(map[*reading]config.Source)
	m.mu.Lock()
	for i, t := range tokens {
		if t.reading == nil {
			t.reading = &reading{deadline: now.Add(readTimeout), done: make(chan struct{})}
			if t.Source.IsFile() {
				fresh[t.reading] = t.Source
			} else {
				t.reading.read(t.Source)
			}
		}
		readings[i] = t.reading
	}
	m.mu.Unlock()
	go func() {
		for r, source := range fresh {
			m.reads <- struct{}{}
			go func() {
				r.read(source)
				<-m.reads
			}()
		}
	}()
	for i, t := range tokens {
		r := readings[i]
		timer := time.NewTimer(time.Until(r.deadline))
		select {
		case <-r.done:
		case <-timer.C:
		}
		timer.Stop()
		m.mu.Lock()
		t.finishReadingLocked(r, m.salt)
		m.mu.Unlock()
	}
}

// finishReadingLocked takes over what r has read, if it has ended.
func (t *token) finishReadingLocked(r *reading, salt []byte) {
	select {
	case <-r.done:
	default:
		t.hasSecret, t.secretErr = false, errReadTimeout
		return
	}
	if t.reading != r { // another scrape has taken it over
		return
	}
	t.reading = nil
	if t.hasSecret, t.secretErr = r.err == nil, r.err; !t.hasSecret {
		return
	}
	t.secret = r.secret
	if t.digest != "" && t.digest == t.secret.Digest(salt) { // the secret that an earlier process probed with
		t.probedWith, t.digest = t.secret, ""
	}
}
