package appfigures

import (
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// exchange records one request and its response. Several goroutines of the transport write to it.
//
// The transport may open a connection for this exchange, give it to another that came first, and serve this one with a
// connection that became idle. So the times of opening a connection are the connection's; see [opening].
type exchange struct {
	begin time.Time // of the probe

	mu      sync.Mutex // guards the fields below
	opening *opening   // begun for this exchange, whoever uses the connection; nil: none
	conn    *conn      // nil: none yet
	fresh   bool       // whether conn had no exchange before
	opened  time.Time  // when conn was open, if fresh
	closed  bool       // whether conn was closed before the request began
	written int64      // bytes written to conn before the request

	gotConn, wrote, firstByte time.Time
}

// exchangeKey is the key of the *exchange in the context that a dial gets.
type exchangeKey struct{}

// trace returns the hooks that the transport calls. ctx ends with the probe.
func (x *exchange) trace(ctx context.Context) *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		TLSHandshakeStart: func() { x.ownOpening().tlsStart() },
		TLSHandshakeDone:  func(state tls.ConnectionState, err error) { x.ownOpening().tlsEnd(state, err) },
		GotConn: func(info httptrace.GotConnInfo) {
			c := innermost(info.Conn)
			x.setConn(c, info, c.awaitSilence(ctx))
		},
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			if info.Err == nil {
				x.note(&x.wrote)
			}
		},
		GotFirstResponseByte: func() { x.note(&x.firstByte) },
	}
}

func (x *exchange) note(at *time.Time) {
	now := time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	*at = now
}

// setOpening notes that a connection is being opened for the exchange. It returns false if the exchange has one.
func (x *exchange) setOpening(o *opening) bool {
	now := time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.conn != nil {
		return false
	}
	x.opening, o.start = o, now
	return true
}

func (x *exchange) ownOpening() *opening {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.opening
}

// setConn notes that the exchange has its connection.
func (x *exchange) setConn(c *conn, info httptrace.GotConnInfo, closed bool) {
	now := time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.conn, x.fresh, x.closed, x.written, x.gotConn = c, !info.Reused, closed, c.written.Load(), now
	if x.fresh {
		c.opening.mu.Lock()
		defer c.opening.mu.Unlock()
		if x.opened = c.opening.tlsDone; x.opened.IsZero() {
			x.opened = c.connected
			if !info.WasIdle { // a SOCKS proxy's greeting comes after connecting
				x.opened = now
			}
		}
	}
}

// repeatable reports whether the exchange failed on a reused connection before any byte of the request was written. The
// transport has closed the connection by then, so that no byte can follow.
func (x *exchange) repeatable() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.conn != nil && !x.fresh && !x.sentLocked()
}

// sentLocked reports whether any byte of the request was written. A connection that is closed as the request begins may
// have written the end of TLS instead.
func (x *exchange) sentLocked() bool {
	return x.conn != nil && !x.closed && x.conn.written.Load() > x.written
}

// answered reports whether the server sent a byte in answer to the request.
func (x *exchange) answered() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return !x.firstByte.IsZero()
}

// activity returns what the exchange waits for.
func (x *exchange) activity() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case !x.firstByte.IsZero():
		return "reading the answer"
	case !x.wrote.IsZero():
		return "waiting for the answer"
	case x.conn != nil:
		return "sending the request"
	case x.opening != nil:
		return x.opening.activity()
	default:
		return "waiting for a connection"
	}
}

// outcome returns what was measured by the end. Phases that did not end last until then.
//
// The duration is the time of opening the connection, if the exchange is its first, and the time since it has the
// connection. What lies between, and before, is waiting for other probes and for a CPU. The first exchange on a
// connection reports its opening even if that was begun for another one, so that each opening is reported once.
func (x *exchange) outcome(end time.Time) probe.Outcome {
	x.mu.Lock()
	defer x.mu.Unlock()
	result := probe.Outcome{Start: x.begin, Sent: x.sentLocked()}
	o, got, opened := x.opening, end, end
	switch {
	case x.fresh:
		o, got, opened = x.conn.opening, x.gotConn, x.opened
	case x.conn != nil:
		o, result.Start = nil, x.gotConn
	}
	if o != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		result.Start = got.Add(-opened.Sub(o.start))
		result.Phases, result.CertificateExpiry = o.phasesLocked(opened), o.certificateExpiry
	}
	result.Phases[probe.Processing] = between(x.wrote, x.firstByte, end)
	result.Phases[probe.Transfer] = between(x.firstByte, end)
	result.Duration = end.Sub(result.Start)
	return result
}
