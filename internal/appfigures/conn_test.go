package appfigures

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
)

// TestAwaitSilence checks that a request waits until the connection's reader has met all that came before it, and is
// told whether it can still be written.
func TestAwaitSilence(t *testing.T) {
	for name, test := range map[string]struct {
		before func(*conn)                     // the request wants to begin
		until  func(*conn, context.CancelFunc) // lets it begin
		closed bool
	}{
		"the reader waits already":  {before: func(c *conn) { go c.Read(make([]byte, 1)) }},
		"the connection was closed": {before: func(c *conn) { _ = c.Close() }, closed: true},
		"the reader begins to wait": {
			until: func(c *conn, _ context.CancelFunc) { go c.Read(make([]byte, 1)) },
		},
		"the reader meets a surplus": {
			until: func(c *conn, _ context.CancelFunc) { _ = c.Close() }, closed: true,
		},
		"the reader met the end": {
			before: readEnd, until: func(c *conn, _ context.CancelFunc) { _ = c.Close() }, closed: true,
		},
		"the reader meets the end": {
			until: func(c *conn, _ context.CancelFunc) { readEnd(c); _ = c.Close() }, closed: true,
		},
		"the probe's time is over": {until: func(_ *conn, timeIsOver context.CancelFunc) { timeIsOver() }},
		"the time is over before closing": {
			before: readEnd, until: func(_ *conn, timeIsOver context.CancelFunc) { timeIsOver() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				near, far := net.Pipe()
				defer far.Close()
				c := newConn(near, nil)
				defer c.Close()
				if test.before != nil {
					test.before(c)
				}
				synctest.Wait()
				returned, closed := false, false
				go func() { closed = c.awaitSilence(ctx); returned = true }()
				synctest.Wait()
				if want := test.until == nil; returned != want {
					t.Fatalf("at once: the request may begin: %t, want %t", returned, want)
				}
				if test.until != nil {
					test.until(c, cancel)
				}
				synctest.Wait()
				if !returned || closed != test.closed {
					t.Errorf("the request may begin: %t; the connection is closed: %t, want %t", returned, closed, test.closed)
				}
			})
		})
	}
}

// TestWrittenFromTheBeginning checks that bytes count while they are written, when the server may already have them, and
// that those of a failed Write do not.
func TestWrittenFromTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		c := newConn(near, nil)
		go c.Write([]byte("GET"))
		synctest.Wait()
		if n := c.written.Load(); n != 3 {
			t.Errorf("%d bytes during the Write, want 3", n)
		}
		_ = c.Close()
		synctest.Wait()
		if n := c.written.Load(); n != 0 {
			t.Errorf("%d bytes after the Write failed, want 0", n)
		}
	})
}

// readEnd lets c's reader find that the server has sent all that it will.
func readEnd(c *conn) {
	c.Conn.Close()
	c.Read(make([]byte, 1))
}

// TestNothingIsWrittenOnceClosed checks that a request which learns that its connection is closed cannot be written.
func TestNothingIsWrittenOnceClosed(t *testing.T) {
	inner := &closing{}
	c := newConn(inner, nil)
	inner.whenClosing = func() {
		if c.closed {
			t.Error("called closed while it could still be written to")
		}
	}
	c.Close()
	if !c.awaitSilence(t.Context()) {
		t.Error("not called closed afterwards")
	}
}

// closing is a connection that tells when it is being closed.
type closing struct {
	net.Conn
	whenClosing func()
}

func (c *closing) Close() error {
	c.whenClosing()
	return nil
}

// TestFailedReadStaysFailed checks that a reset is not taken for an end by those who read on.
func TestFailedReadStaysFailed(t *testing.T) {
	broken := errors.New("reset")
	c := newConn(&failing{errs: []error{broken, io.EOF}}, nil)
	for range 2 {
		if _, err := c.Read(nil); err != broken {
			t.Errorf("got %v, want %v", err, broken)
		}
	}
}

// failing is a connection whose reads fail one way, then another.
type failing struct {
	net.Conn
	errs []error
}

func (f *failing) Read([]byte) (int, error) {
	err := f.errs[0]
	f.errs = f.errs[1:]
	return 0, err
}

func TestInnermost(t *testing.T) {
	c := newConn(nil, nil)
	for name, test := range map[string]struct {
		outer net.Conn
		want  *conn
	}{
		"plain":          {c, c},
		"TLS":            {tls.Client(c, nil), c},
		"TLS within TLS": {tls.Client(tls.Client(c, nil), nil), c},
	} {
		if got := innermost(test.outer); got != test.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
