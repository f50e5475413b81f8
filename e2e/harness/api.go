package harness

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

const (
	// Plenty is a daily limit under which no probe of a test is paced: each token has a turn every few microseconds.
	Plenty = 1_000_000_000

	// Unpaced is the part of a configuration under which no probe is paced either before the API has reported Plenty.
	Unpaced = "pacing: {quota_share: 1, assumed_daily_limit: 1000000000}\n"
)

// API is a simulated API that is served over TLS.
type API struct {
	*simulator.API
	CA       *Authority
	Identity Identity

	t       testing.TB
	address string
	server  *http.Server
	handler http.Handler
}

// NewAPI serves a simulated API on loopback. Its daily limit is [Plenty] unless the options have another.
func NewAPI(t testing.TB, options simulator.Options) *API {
	t.Helper()
	if options.DailyLimit == 0 {
		options.DailyLimit = Plenty
	}
	return ServeAPI(t, loopback, NewAuthority(t), simulator.New(options), nil)
}

// ServeAPI serves api at an IP address of this machine with a certificate of ca. wrap, if not nil, returns the handler
// that sees each request first.
func ServeAPI(
	t testing.TB, ip string, ca *Authority, api *simulator.API, wrap func(http.Handler) http.Handler,
) *API {
	t.Helper()
	s := &API{API: api, CA: ca, Identity: ca.Issue(t, ip), t: t, address: ip + ":0", handler: api}
	if wrap != nil {
		s.handler = wrap(api)
	}
	s.Open()
	t.Cleanup(s.Close)
	return s
}

// URL returns the root of the API.
func (s *API) URL() string { return "https://" + s.address + "/v2/" }

// Config returns the part of a configuration that names the API.
func (s *API) Config() string {
	return fmt.Sprintf("api_url: %s\ntls_config: {ca_file: %s}\n", s.URL(), s.CA.File)
}

// Env returns the environment of an exporter that has no configuration file, only this token.
func (s *API) Env(secret string) []string {
	return []string{"APPFIGURES_API_KEY=" + secret, "APPFIGURES_API_BASE_URL=" + s.URL(), "SSL_CERT_FILE=" + s.CA.File}
}

// Close stops listening and drops all connections: the API is unreachable until Open.
func (s *API) Close() { _ = s.server.Close() }

// Open listens at the same address as before.
func (s *API) Open() {
	s.t.Helper()
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.address = listener.Addr().String()
	s.server = &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // clients that hang up are part of the tests
	}
	server, identity := s.server, s.Identity
	go func() { _ = server.ServeTLS(listener, identity.CertFile, identity.KeyFile) }() // until Close
}
