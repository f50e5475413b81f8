package appfigures

import (
	"crypto/tls"
	"net"
	"net/http/httptrace"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// TestRepeatable checks when a probe may take another connection: only if no byte of its request was written.
func TestRepeatable(t *testing.T) {
	for name, test := range map[string]struct {
		reused, closed, written bool
		repeatable, sent        bool
	}{
		"new, ended":                              {},
		"new, ended before the request":           {closed: true},
		"new, ended during the request":           {written: true, sent: true},
		"reused, ended before the request":        {reused: true, closed: true, repeatable: true},
		"reused, ended, then end of TLS written":  {reused: true, closed: true, written: true, repeatable: true},
		"reused, ended as the request began":      {reused: true, repeatable: true},
		"reused, ended with the request underway": {reused: true, written: true, sent: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newConn(discard{}, &opening{})
			_, _ = c.Write([]byte("an earlier request"))
			var x exchange
			x.setConn(c, httptrace.GotConnInfo{Reused: test.reused}, test.closed)
			if test.written {
				_, _ = c.Write([]byte("GET"))
			}
			if got := x.repeatable(); got != test.repeatable {
				t.Errorf("repeatable %t, want %t", got, test.repeatable)
			}
			if got := x.outcome(time.Now()).Sent; got != test.sent {
				t.Errorf("sent %t, want %t", got, test.sent)
			}
		})
	}
}

// discard is a connection that takes everything.
type discard struct{ net.Conn }

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// TestTimes checks what counts as the duration of a probe. Each step takes another number of seconds.
func TestTimes(t *testing.T) {
	const s = time.Second
	open := func(x *exchange) *conn { // 1 s for DNS, 2 s to connect, 4 s for TLS
		o := &opening{slot: time.NewTimer(time.Hour), slots: make(chan struct{}, 1)}
		o.slots <- struct{}{}
		if !x.setOpening(o) {
			return nil
		}
		o.note(&o.dnsStart)
		time.Sleep(1 * s)
		o.note(&o.dnsDone)
		o.note(&o.connect)
		time.Sleep(2 * s)
		c := newConn(discard{}, o)
		o.tlsStart()
		time.Sleep(4 * s)
		o.tlsEnd(tls.ConnectionState{}, nil)
		return c
	}
	use := func(x *exchange, c *conn, info httptrace.GotConnInfo) { // 8 s of processing, 16 s of transfer
		x.setConn(c, info, false)
		x.note(&x.wrote)
		time.Sleep(8 * s)
		x.note(&x.firstByte)
		time.Sleep(16 * s)
	}
	wait := func() { time.Sleep(100 * s) }
	opened := probe.Phases{probe.DNS: 1 * s, probe.Connect: 2 * s, probe.TLS: 4 * s}
	whole := probe.Phases{1 * s, 2 * s, 4 * s, 8 * s, 16 * s}
	for name, test := range map[string]struct {
		run      func(x *exchange)
		want     time.Duration
		phases   probe.Phases
		activity string
	}{
		"its own connection": {func(x *exchange) {
			wait()
			c := open(x)
			wait()
			use(x, c, httptrace.GotConnInfo{})
		}, 31 * s, whole, "reading the answer"},
		"first on another's connection": {func(x *exchange) {
			c := open(new(exchange))
			wait()
			use(x, c, httptrace.GotConnInfo{WasIdle: true})
		}, 31 * s, whole, "reading the answer"},
		"a reused connection, while its own opens": {func(x *exchange) {
			c := open(new(exchange))
			open(x)
			wait()
			use(x, c, httptrace.GotConnInfo{Reused: true, WasIdle: true})
		}, 24 * s, probe.Phases{probe.Processing: 8 * s, probe.Transfer: 16 * s}, "reading the answer"},
		"no connection in time": {func(x *exchange) {
			wait()
			open(x)
		}, 7 * s, opened, "connecting"},
		"nothing begun": {func(*exchange) { wait() }, 100 * s, probe.Phases{}, "waiting for a connection"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := &exchange{begin: time.Now()}
				test.run(x)
				got := x.outcome(time.Now())
				if got.Duration != test.want || !got.Start.Add(got.Duration).Equal(time.Now()) {
					t.Errorf("duration %s from %s, want %s until now", got.Duration, got.Start, test.want)
				}
				if got.Phases != test.phases {
					t.Errorf("phases %v, want %v", got.Phases, test.phases)
				}
				if got := x.activity(); got != test.activity {
					t.Errorf("activity %q, want %q", got, test.activity)
				}
			})
		})
	}
}

// TestOpeningNotNeeded checks that no connection is opened for an exchange that has one.
func TestOpeningNotNeeded(t *testing.T) {
	x := &exchange{conn: newConn(discard{}, &opening{})}
	if x.setOpening(&opening{}) {
		t.Error("the exchange takes another connection")
	}
}
