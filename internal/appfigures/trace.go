package appfigures

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptrace"
	"slices"
	"sync"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// trace records when the parts of one probe happened. Several goroutines of the transport write to it, also after the
// probe has ended.
type trace struct {
	start time.Time // of name resolution or, for an address, of dialing

	mu                              sync.Mutex // guards the fields below
	dnsStart, dnsDone, connectStart time.Time
	tlsStart, tlsDone               time.Time // of the last handshake: one with an https proxy precedes the API's
	connected                       time.Time // when the request could be written, which takes one write
	wrote                           bool      // whether any byte was written after that
	firstByte                       time.Time // of the response
	certificateExpiry               time.Time
}

// traceKey is the key of the *trace in the context of a probe.
type traceKey struct{}

// startTrace returns a new trace, and a context whose requests it records.
func startTrace(ctx context.Context) (*trace, context.Context) {
	t := &trace{start: time.Now()}
	return t, httptrace.WithClientTrace(context.WithValue(ctx, traceKey{}, t), &httptrace.ClientTrace{
		DNSStart:             func(httptrace.DNSStartInfo) { t.first(&t.dnsStart) },
		DNSDone:              func(httptrace.DNSDoneInfo) { t.first(&t.dnsDone) },
		ConnectStart:         func(string, string) { t.first(&t.connectStart) },
		TLSHandshakeStart:    t.handshakeStarted,
		TLSHandshakeDone:     t.handshakeDone,
		GotConn:              func(httptrace.GotConnInfo) { t.first(&t.connected) },
		GotFirstResponseByte: func() { t.first(&t.firstByte) },
	})
}

// first sets *at to now the first time: a host can have several addresses.
func (t *trace) first(at *time.Time) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if at.IsZero() {
		*at = now
	}
}

func (t *trace) handshakeStarted() {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tlsStart, t.tlsDone = now, time.Time{}
}

// handshakeDone notes the end of a handshake and the earliest expiry in the chain, also in one that was not verified.
func (t *trace) handshakeDone(state tls.ConnectionState, err error) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.tlsDone = now
	}
	chain := state.PeerCertificates
	if failed, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		chain = failed.UnverifiedCertificates
	}
	if len(chain) > 0 {
		earlier := func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) }
		t.certificateExpiry = slices.MinFunc(chain, earlier).NotAfter
	}
}

// tracedConn is a connection whose trace knows whether any byte of the request was written to it. The hooks of
// httptrace cannot tell: WroteRequest comes before the transport's buffer is flushed.
type tracedConn struct {
	net.Conn
	trace *trace
}

// Write implements [net.Conn]. What is written before the transport has the connection belongs to TLS or to a proxy.
// If TLS is closed before the request, that counts as the request: one too many rather than one too few.
func (c tracedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.trace.mu.Lock()
	defer c.trace.mu.Unlock()
	c.trace.wrote = c.trace.wrote || n > 0 && !c.trace.connected.IsZero()
	return n, err
}

const readingAnswer = "reading the answer"

// activity returns what the probe is doing; readingAnswer once the server has sent anything in answer to the request.
func (t *trace) activity() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case !t.firstByte.IsZero():
		return readingAnswer
	case !t.connected.IsZero():
		return "waiting for the answer"
	case !t.tlsStart.IsZero() && t.tlsDone.IsZero():
		return "in the TLS handshake"
	case !t.dnsStart.IsZero() && t.connectStart.IsZero():
		return "resolving the host's name"
	default:
		return "connecting"
	}
}

// fill sets what was measured by the end of the probe. A phase that did not end lasts until then.
func (t *trace) fill(o *probe.Outcome, end time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	o.Start, o.Duration = t.start, end.Sub(t.start)
	o.Phases = probe.Phases{
		probe.DNS:        between(t.dnsStart, cmp.Or(t.dnsDone, end)),
		probe.Connect:    between(t.connectStart, cmp.Or(t.tlsStart, t.connected, end)),
		probe.TLS:        between(t.tlsStart, cmp.Or(t.tlsDone, end)),
		probe.Processing: between(t.connected, cmp.Or(t.firstByte, end)),
		probe.Transfer:   between(t.firstByte, end),
	}
	o.Sent = t.wrote || !t.firstByte.IsZero() // the answer can come before Write returns
	o.CertificateExpiry = t.certificateExpiry
}

// between returns the time from start to end; 0 without a start.
func between(start, end time.Time) time.Duration {
	if start.IsZero() {
		return 0
	}
	return max(0, end.Sub(start))
}
