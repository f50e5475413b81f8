package web

import (
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits of each connection. The timeouts apply to requests that do not scrape; a scrape has its own deadline, see
// extendDeadlines.
const (
	readHeaderTimeout = 5 * time.Second  // also for the TLS handshake
	readTimeout       = 10 * time.Second // a whole request; no endpoint needs a body
	writeTimeout      = 30 * time.Second // from the request's header to the response's last byte
	idleTimeout       = 6 * time.Minute  // Prometheus closes idle connections after 5 minutes; let it be the first
	maxHeaderBytes    = 32 << 10
	maxConnections    = 2048 // about 10 KiB each, 40 KiB with TLS
)

// Server returns a server for the handler that no client can block or exhaust: each part of a request has a timeout,
// headers have a size limit, and connections beyond a maximum are closed at once.
func Server(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         boundConnections(maxConnections),
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}

// boundConnections returns a hook that closes new connections while n are open.
func boundConnections(n int) func(net.Conn, http.ConnState) {
	limiter := newLimiter(n)
	var open sync.Map // connections that were acquired, by net.Conn
	return func(conn net.Conn, state http.ConnState) {
		client := hostOf(conn.RemoteAddr().String())
		switch state {
		case http.StateNew:
			if !limiter.acquire(client) {
				_ = conn.Close() // the server sees the closed connection and logs it
				return
			}
			open.Store(conn, nil)
		case http.StateClosed, http.StateHijacked:
			if _, ok := open.LoadAndDelete(conn); ok {
				limiter.release(client)
			}
		}
	}
}

// extendDeadlines moves the connection's deadlines so that a request that takes until then can still be answered. By
// itself, the server's readTimeout would end the request's context during a longer scrape.
func extendDeadlines(w http.ResponseWriter, until time.Time) {
	// Both fail only without a connection, in tests.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(until.Add(readTimeout))
	_ = control.SetWriteDeadline(until.Add(writeTimeout))
}
