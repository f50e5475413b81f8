// Package simulated serves the simulated Appfigures API as the real one is served: over TLS, on a port.
package simulated

import (
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// Plenty is a daily limit under which no probe of a suite is paced: a tenth of the default quota_share of it can be
// used up at once.
const Plenty = 1_000_000_000

// Server serves a simulated API over TLS on a loopback port.
type Server struct {
	*simulator.API
	t        *testing.T
	identity Identity
	address  string
	server   *http.Server
	handler  http.Handler
}

// Start serves the API until the test ends, with a certificate of the authority. wrap, if not nil, sees each request
// before the API does.
func Start(t *testing.T, ca *Authority, api *simulator.API, wrap func(http.Handler) http.Handler) *Server {
	t.Helper()
	s := &Server{API: api, t: t, identity: ca.Issue(t, "127.0.0.1"), address: "127.0.0.1:0", handler: api}
	if wrap != nil {
		s.handler = wrap(api)
	}
	s.Open()
	t.Cleanup(s.Close)
	return s
}

// URL returns the root of the API.
func (s *Server) URL() string { return "https://" + s.address + "/v2/" }

// Close stops listening and drops all connections: the API is unreachable until Open.
func (s *Server) Close() { _ = s.server.Close() }

// Open listens, at the same address as before.
func (s *Server) Open() {
	s.t.Helper()
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.address = listener.Addr().String()
	s.server = &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // clients hang up on it all the time, as they should
	}
	server, identity := s.server, s.identity
	go func() { _ = server.ServeTLS(listener, identity.CertFile, identity.KeyFile) }() // until Close
}
