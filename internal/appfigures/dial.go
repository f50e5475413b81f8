package appfigures

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptrace"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// dialer opens the connections of a session.
type dialer struct {
	net   net.Dialer
	tls   bool // whether a handshake follows
	slots chan struct{}
}

const (
	// dialsPerCPU bounds the connections being opened at once: handshakes that compete for CPU slow each other.
	dialsPerCPU = 2
	// slotTime is how long a connection being opened counts. Longer than that it waits for the network rather than for
	// a CPU, and must not delay others: with a server that hangs, 400 connections per second and CPU are still begun.
	slotTime = 5 * time.Millisecond
)

// newDialer returns a dialer whose connections must be open after the timeout. A host's addresses share that time, so
// that one which does not answer leaves time for the others.
func newDialer(timeout time.Duration, tls bool) dialer {
	return dialer{net.Dialer{Timeout: timeout}, tls, make(chan struct{}, dialsPerCPU*runtime.GOMAXPROCS(0))}
}

// errNotNeeded is the error of a dial whose exchange got another connection before the dial began.
var errNotNeeded = errors.New("the exchange has a connection")

// dial implements [http.Transport.DialContext].
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	select {
	case d.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	o := &opening{slots: d.slots}
	if x := ctx.Value(exchangeKey{}).(*exchange); !x.setOpening(o) {
		<-d.slots
		return nil, errNotNeeded
	}
	o.slot = time.AfterFunc(slotTime, func() { <-d.slots })
	inner, err := d.net.DialContext(httptrace.WithClientTrace(ctx, o.trace()), network, address)
	if err != nil || !d.tls {
		o.releaseSlot()
	}
	if err != nil {
		return nil, err
	}
	return newConn(inner, o), nil
}

// opening records how a connection was opened.
type opening struct {
	slots chan struct{}
	slot  *time.Timer // releases the slot

	mu                                              sync.Mutex // guards the fields below
	start, dnsStart, dnsDone, connect, tls, tlsDone time.Time
	certificateExpiry                               time.Time
}

// releaseSlot releases the slot if the opening still has it.
func (o *opening) releaseSlot() {
	if o.slot.Stop() {
		<-o.slots
	}
}

// trace returns the hooks of the dialer.
func (o *opening) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		DNSStart:     func(httptrace.DNSStartInfo) { o.note(&o.dnsStart) },
		DNSDone:      func(httptrace.DNSDoneInfo) { o.note(&o.dnsDone) },
		ConnectStart: func(string, string) { o.note(&o.connect) },
	}
}

// note sets *at to now the first time: several addresses can be tried at once.
func (o *opening) note(at *time.Time) {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if at.IsZero() {
		*at = now
	}
}

// tlsStart notes the start of a handshake. An https proxy has its own handshake, which belongs to connecting.
func (o *opening) tlsStart() {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tls, o.tlsDone = now, time.Time{}
}

// tlsEnd notes the end of a handshake.
func (o *opening) tlsEnd(state tls.ConnectionState, err error) {
	now := time.Now()
	o.releaseSlot()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tlsDone = now
	if expiry := earliestExpiry(state, err); !expiry.IsZero() {
		o.certificateExpiry = expiry
	}
}

// phasesLocked returns the time of each phase. A phase that did not end lasts until end.
func (o *opening) phasesLocked(end time.Time) (phases probe.Phases) {
	phases[probe.DNS] = between(o.dnsStart, o.dnsDone, end)
	phases[probe.Connect] = between(o.connect, o.tls, end)
	phases[probe.TLS] = between(o.tls, o.tlsDone, end)
	return phases
}

// activity returns what the opening waits for.
func (o *opening) activity() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case !o.tls.IsZero() && o.tlsDone.IsZero():
		return "in the TLS handshake"
	case o.connect.IsZero() && !o.dnsStart.IsZero():
		return "resolving the host's name"
	default:
		return "connecting"
	}
}

// earliestExpiry returns the first NotAfter in the chain, or zero for an empty one.
func earliestExpiry(state tls.ConnectionState, err error) time.Time {
	chain := state.PeerCertificates
	if failed, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		chain = failed.UnverifiedCertificates
	}
	if len(chain) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) }).NotAfter
}

// between returns the time from start to the first of ends that is set; 0 without a start.
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
