package web

import (
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// What a client may take of the server. The times hold for requests that do not scrape; a scrape lasts as long as
// its own deadline says, see extendDeadlines.
const (
	readHeaderTimeout = 5 * time.Second  // also for the TLS handshake
	readTimeout       = 10 * time.Second // a whole request; none that is served has a body worth reading
	writeTimeout      = 30 * time.Second // from the request's header to the answer's last byte
	idleTimeout       = 6 * time.Minute  // Prometheus closes idle connections after 5 minutes; let it be the first
	maxHeaderBytes    = 32 << 10
	maxConnections    = 2048 // of about 10 KiB each, 40 KiB with TLS
)

// Server returns a server for the handler that no client can hold up or exhaust: each part of a request has a time
// limit, headers a size limit, and connections a bound in number, beyond which new ones are closed unanswered.
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

// boundConnections returns a hook that closes new connections beyond the bound.
func boundConnections(places int) func(net.Conn, http.ConnState) {
	limiter := newLimiter(places)
	var open sync.Map // the connections that hold a place, by net.Conn
	return func(conn net.Conn, state http.ConnState) {
		client := clientOf(conn.RemoteAddr().String())
		switch state {
		case http.StateNew:
			if !limiter.take(client) {
				_ = conn.Close() // what closing it says, the server meets and logs
				return
			}
			open.Store(conn, nil)
		case http.StateClosed, http.StateHijacked:
			if _, held := open.LoadAndDelete(conn); held {
				limiter.give(client)
			}
		}
	}
}

// extendDeadlines moves the connection's deadlines so that a scrape which ends in time is also answered in time. Left
// alone, the server's readTimeout would end the request's context in the midst of a longer scrape.
func extendDeadlines(w http.ResponseWriter, deadline time.Time) {
	// Both can fail only where there is no connection: in a test.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(deadline.Add(readTimeout))
	_ = control.SetWriteDeadline(deadline.Add(writeTimeout))
}
