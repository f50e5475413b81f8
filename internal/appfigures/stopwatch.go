package appfigures

import (
	"crypto/tls"
	"net/http/httptrace"
	"sync"
	"time"
)

// stopwatch notes when each step of one probe happened.
//
// The transport may open a connection for this probe, give it to another probe that came first, and serve this one
// with a connection that became idle meanwhile. So steps can be noted from several goroutines, and those of opening a
// connection count only until one was chosen.
type stopwatch struct {
	start time.Time

	mu                                       sync.Mutex // guards the fields below
	chosen, writing, wrote, firstByte        time.Time
	dnsStart, dnsDone, connect, tls, tlsDone time.Time
	reused, lost                             bool
	certificateExpiry                        time.Time
}

// note sets *at to now, unless a connection was chosen already.
func (w *stopwatch) note(at *time.Time) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.chosen.IsZero() {
		*at = now
	}
}

// choose notes that the probe has its connection, and whether an earlier one had opened it.
func (w *stopwatch) choose(reused bool) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.chosen, w.reused = now, reused
}

// lose notes that the chosen connection was closed before the request was begun. The transport may not know that yet
// and begin to write all the same; nothing of it is sent.
func (w *stopwatch) lose() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost = true
}

// forgetUnused reports whether the chosen connection was an earlier probe's and had ended before this probe's request
// was begun; and if so, makes room for another choice. The transport has closed such a connection by the time it gives
// up on it, so that nothing can be sent on it any more.
func (w *stopwatch) forgetUnused() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.reused || !w.lost && !w.writing.IsZero() {
		return false
	}
	w.chosen, w.writing, w.wrote = time.Time{}, time.Time{}, time.Time{}
	w.reused, w.lost = false, false
	return true
}

// trace returns the hooks that the transport calls. GotConn is not among them: see [stopwatch.choose].
func (w *stopwatch) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { w.note(&w.dnsStart) },
		DNSDone:  func(httptrace.DNSDoneInfo) { w.note(&w.dnsDone) },
		ConnectStart: func(string, string) {
			now := time.Now()
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.chosen.IsZero() && w.connect.IsZero() { // the first of several addresses
				w.connect = now
			}
		},
		TLSHandshakeStart: func() { w.note(&w.tls) },
		TLSHandshakeDone: func(state tls.ConnectionState, err error) {
			w.note(&w.tlsDone)
			expiry := earliestExpiry(state, err)
			w.mu.Lock()
			defer w.mu.Unlock()
			if !expiry.IsZero() && w.chosen.IsZero() {
				w.certificateExpiry = expiry
			}
		},
		WroteHeaders: func() { // into a buffer, just before that is sent
			now := time.Now()
			w.mu.Lock()
			defer w.mu.Unlock()
			w.writing = now
		},
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			now := time.Now()
			w.mu.Lock()
			defer w.mu.Unlock()
			if info.Err == nil {
				w.wrote = now
			}
		},
		GotFirstResponseByte: func() {
			now := time.Now()
			w.mu.Lock()
			defer w.mu.Unlock()
			w.firstByte = now
		},
	}
}

// answered reports whether the server has sent a byte in answer to the request.
func (w *stopwatch) answered() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.firstByte.IsZero()
}

// activity says in words what the probe was at when it ended.
func (w *stopwatch) activity() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.firstByte.IsZero():
		return "reading the answer"
	case !w.wrote.IsZero():
		return "waiting for the answer"
	case !w.tls.IsZero() && w.tlsDone.IsZero():
		return "in the TLS handshake"
	case !w.connect.IsZero():
		return "connecting"
	case !w.dnsStart.IsZero():
		return "resolving the host's name"
	default:
		return "waiting for a connection"
	}
}

// stop ends the probe and writes its times into outcome. A phase that the probe ended in lasts until now.
func (w *stopwatch) stop(outcome *probe.Outcome) {
	end := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	outcome.Duration = end.Sub(w.start)
	outcome.CertificateExpiry = w.certificateExpiry
	outcome.Sent = !w.wrote.IsZero() && !w.lost
	if !w.reused {
		outcome.Phases[DNS] = between(w.dnsStart, w.dnsDone, w.chosen, end)
		outcome.Phases[Connect] = between(w.connect, w.tls, w.chosen, end)
		outcome.Phases[TLS] = between(w.tls, w.tlsDone, w.chosen, end)
	}
	outcome.Phases[Processing] = between(w.wrote, w.firstByte, end)
	outcome.Phases[Transfer] = between(w.firstByte, end)
	w.chosen = end // what the transport still does in the background is not this probe's
}

// between returns the time from start to the first of ends that is set; 0 when there was no start.
func between(start time.Time, ends ...time.Time) time.Duration {
	if start.IsZero() {
		return 0
	}
	for _, end := range ends {
		if !end.IsZero() {
			return max(0, end.Sub(start))
		}
	}
	return 0
}
