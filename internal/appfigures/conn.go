package appfigures

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// conn is a connection that knows how it was opened, how much was written to it, and whether its reader waits for bytes
// that have not come yet.
//
// A server, or a proxy before it, may send more than the one answer that it was asked for. Left alone, the transport
// can take what it has already read of that for the answer to the next request on the connection, and so one token's
// rejection for another's. It does notice a surplus that it meets before that request, and closes the connection. So
// [conn.awaitSilence] delays the request until the transport has met everything that came before.
type conn struct {
	net.Conn
	opening   *opening
	connected time.Time    // when the network connection was open
	written   atomic.Int64 // bytes, including those of TLS and those of a Write under way

	mu      sync.Mutex // guards the fields below
	changed *sync.Cond
	waiting bool  // a Read is under way: everything that came has been read
	closed  bool  // by Close: nothing more can be written
	err     error // of the first Read that failed; later ones fail alike, where the system would call a reset an end
}

func newConn(inner net.Conn, o *opening) *conn {
	c := &conn{Conn: inner, opening: o, connected: time.Now()}
	c.changed = sync.NewCond(&c.mu)
	return c
}

// Write implements [net.Conn]. Bytes count from the beginning: the server can answer before Write returns.
func (c *conn) Write(p []byte) (int, error) {
	c.written.Add(int64(len(p)))
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n - len(p)))
	return n, err
}

// Read implements [net.Conn]. One call at a time.
func (c *conn) Read(p []byte) (int, error) {
	if err := c.beginRead(); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting, c.err = false, err
	c.changed.Broadcast()
	return n, err
}

func (c *conn) beginRead() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = c.err == nil
	c.changed.Broadcast()
	return c.err
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.changed.Broadcast()
	return err
}

// awaitSilence returns when the reader waits for bytes that have not come yet, the connection was closed, or ctx ends.
// It reports whether the connection was closed, so that nothing of a request can be written to it. A failed read alone
// does not end the wait: the transport closes an idle connection upon it, and until then could still write.
func (c *conn) awaitSilence(ctx context.Context) (closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting || c.closed {
		return c.closed
	}
	defer context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.changed.Broadcast()
	})()
	for !c.waiting && !c.closed && ctx.Err() == nil {
		c.changed.Wait()
	}
	return c.closed
}

// innermost returns the conn below the layers of TLS.
func innermost(outer net.Conn) *conn {
	for {
		if c, ok := outer.(*conn); ok {
			return c
		}
		outer = outer.(*tls.Conn).NetConn()
	}
}
