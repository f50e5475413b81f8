package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	toolkit "github.com/prometheus/exporter-toolkit/web"
)

// Limits of each request and connection.
const (
	readHeaderTimeout = 5 * time.Second // also for the TLS handshake
	// requestTimeout bounds a whole request, from its header to the last byte of the response. net/http ends the
	// context of a request that is read for longer, so reading has the same limit.
	requestTimeout = maxScrape + 30*time.Second
	idleTimeout    = 6 * time.Minute // Prometheus closes idle connections after 5 minutes; let it be the first
	maxHeaderBytes = 32 << 10
	// responseTimeout is how long responses may take after SIGTERM. Docker kills after 10 s, of which a state file and
	// a log that hang take 3 s.
	responseTimeout = 4 * time.Second
)

// Serve serves the handler, where and how the flags say, until ctx ends or it cannot serve. Then it calls stop, which
// lets scrapes in progress return at once, and gives their responses 4 s.
func Serve(
	ctx context.Context, handler http.Handler, flags *toolkit.FlagConfig, logger *slog.Logger, stop func(),
) error {
	server := newServer(handler, logger)
	ended := make(chan error, 1)
	go func() { ended <- toolkit.ListenAndServe(server, flags, logger) }()
	select {
	case err := <-ended:
		stop()
		return fmt.Errorf("serving: %w; choose a free host:port with --web.listen-address (no unix socket)", err)
	case <-ctx.Done():
	}
	logger.Info("Shutting down")
	stop()
	timeout, cancel := context.WithTimeout(context.Background(), responseTimeout)
	defer cancel()
	_ = server.Shutdown(timeout) // fails if a client does not read its response
	return nil
}

// newServer returns a server with a timeout for each part of a request and a limit of its headers.
func newServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}
