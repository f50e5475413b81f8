package appfigures

import (
	"context"
	"net"
	"sync"
)

// conn is a connection that knows whether its reader waits for bytes that have not come yet.
//
// A server, or a proxy before it, may send more than the one answer that it was asked for. Left alone, the transport
// can take what it has already read of that for the answer to the next request on the connection, and so one token's
// rejection for another's. It does notice when it meets the surplus before that request, and closes the connection. So
// [conn.awaitSilence] holds the request back until the transport has met everything that came before.
type conn struct {
	net.Conn

	mu      sync.Mutex // guards the fields below
	changed *sync.Cond
	waiting bool  // a Read is under way: everything that came has been read
	closed  bool  // by Close: nothing can be written any more
	err     error // of the first Read that failed: those after it fail alike, where the system would call a reset an end
}

func newConn(inner net.Conn) *conn {
	c := &conn{Conn: inner}
	c.changed = sync.NewCond(&c.mu)
	return c
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

// innermost returns the conn below any layers of TLS; nil when there is none.
func innermost(outer net.Conn) *conn {
	for {
		switch layer := outer.(type) {
		case *conn:
			return layer
		case interface{ NetConn() net.Conn }:
			outer = layer.NetConn()
		default:
			return nil
		}
	}
}
