package appfigures

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// The authority that clients of these tests trust, and a server with a good certificate of it. The certificates are
// valid in the virtual time of synctest as well, which begins in 2000.
var (
	longAgo    = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
	nextYear   = time.Now().AddDate(1, 0, 0).Truncate(time.Second).UTC()
	authority  = issue(nil, nextYear, "authority")
	trusting   = &tls.Config{RootCAs: pool(authority)}
	goodServer = []tls.Certificate{issue(&authority, nextYear, "127.0.0.1")}
)

// issue returns a certificate of a host that parent signed or, if nil, itself.
func issue(parent *tls.Certificate, until time.Time, host string) tls.Certificate {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: longAgo, NotAfter: until, IsCA: parent == nil, BasicConstraintsValid: true,
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	signer, signerKey := template, any(key)
	if parent != nil {
		signer, signerKey = parent.Leaf, parent.PrivateKey
	}
	der := must(x509.CreateCertificate(rand.Reader, template, signer, key.Public(), signerKey))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: must(x509.ParseCertificate(der))}
}

func pool(certificate tls.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(certificate.Leaf)
	return pool
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// phaseTimes takes another number of seconds for each phase.
var phaseTimes = probe.Phases{1 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second}

// TestPhases probes a server that takes its time for each phase, and one that hangs in each, in virtual time. synctest
// checks that nothing of the probe is left.
func TestPhases(t *testing.T) {
	for name, test := range map[string]struct {
		hangs    int // the phase, or none if there is no such
		want     probe.Result
		status   int
		activity string
	}{
		"name server hangs": {int(probe.DNS), probe.Timeout, 0, "gave up after 1m0s, resolving the host's name"},
		"dialing hangs":     {int(probe.Connect), probe.Timeout, 0, "connecting"},
		"handshake hangs":   {int(probe.TLS), probe.Timeout, 0, "in the TLS handshake"},
		"API hangs":         {int(probe.Processing), probe.Timeout, 0, "waiting for the answer"},
		"answer hangs":      {int(probe.Transfer), probe.Timeout, 200, "reading the answer"},
		"nothing hangs":     {probe.NumPhases, probe.Valid, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := &config.Config{APIURL: must(url.Parse("https://127.0.0.1/v2/")), TLS: trusting, Timeout: ample}
				client := NewClient(cfg, "test")
				client.transport.DialContext = slowDialer(probe.Phase(test.hangs))
				outcome := probeOnce(t, client)
				checkOutcome(t, outcome, test.want, test.status, test.activity)

				var phases probe.Phases
				var duration time.Duration
				for phase, d := range phaseTimes[:min(test.hangs, probe.NumPhases)] {
					phases[phase] = d
					duration += d
				}
				if test.hangs < probe.NumPhases {
					phases[test.hangs] = ample - duration
					duration = ample
				}
				if outcome.Phases != phases || outcome.Duration != duration {
					t.Errorf("phases %v of %s, want %v of %s", outcome.Phases, outcome.Duration, phases, duration)
				}
				if !outcome.Start.Add(duration).Equal(time.Now()) {
					t.Errorf("started %s, want %s before %s", outcome.Start, duration, time.Now())
				}
				if sent := test.hangs > int(probe.TLS); outcome.Sent != sent {
					t.Errorf("sent %t, want %t", outcome.Sent, sent)
				}
			})
		})
	}
}

// slowDialer returns a function that dials a slow server.
func slowDialer(hangs probe.Phase) func(ctx context.Context, _, _ string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		hooks := httptrace.ContextClientTrace(ctx)
		hooks.DNSStart(httptrace.DNSStartInfo{})
		if hangs == probe.DNS {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		time.Sleep(phaseTimes[probe.DNS])
		hooks.DNSDone(httptrace.DNSDoneInfo{})
		hooks.ConnectStart("", "")
		if hangs == probe.Connect {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		time.Sleep(phaseTimes[probe.Connect])
		near, far := net.Pipe()
		go serveSlowly(far, hangs)
		return tracedConn{near, ctx.Value(traceKey{}).(*trace)}, nil
	}
}

// serveSlowly answers one request. What hangs ends when the client closes the connection.
func serveSlowly(conn net.Conn, hangs probe.Phase) {
	secure := tls.Server(conn, &tls.Config{Certificates: goodServer})
	for _, step := range []struct {
		phase probe.Phase
		then  func()
	}{
		{probe.TLS, func() { _, _ = http.ReadRequest(bufio.NewReader(secure)) }},
		{probe.Processing, func() { write(secure, ok200+"Content-Length: 26\r\n\r\n") }},
		{probe.Transfer, func() { write(secure, validBody) }},
	} {
		if step.phase == hangs {
			break
		}
		time.Sleep(phaseTimes[step.phase])
		step.then()
	}
	awaitClose(conn)
}

// TestProxies checks that no proxy's answer to CONNECT decides anything or counts as a request, and that its message
// names the proxy without its password.
func TestProxies(t *testing.T) {
	leavesNoGoroutine(t)
	const connected = "HTTP/1.1 200 Connection established\r\n\r\n"
	api := listen(t, says(validAnswer))
	tunnel := func(conn net.Conn) {
		write(conn, connected)
		api.serve(tls.Server(conn, &tls.Config{Certificates: goodServer}), says(validAnswer))
	}
	for name, test := range map[string]struct {
		scheme  string
		treat   func(net.Conn) // after the first request, or the greeting of SOCKS
		want    probe.Result
		message string // part of it
	}{
		"tunnel":      {"http", tunnel, probe.Valid, ""},
		"TLS, tunnel": {"https", tunnel, probe.Valid, ""},
		"401":         {"http", says(rejection), probe.Unreachable, "answered CONNECT with 401 Unauthorized"},
		"407": {"http", says("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"), probe.Unreachable,
			"answered CONNECT with 407 Proxy Authentication Required"},
		"403 over TLS":        {"https", says("HTTP/1.1 403 No API Access\r\n\r\n"), probe.Unreachable, "403 No API"},
		"closes":              {"http", says(""), probe.Unreachable, "closed without an answer (connecting)"},
		"endless headers":     {"http", floods("HTTP/1.1 200 OK\r\n", "X-More: more\r\n"), probe.Unreachable, ""},
		"answers for the API": {"http", says(connected + rejection), probe.Unreachable, "(in the TLS handshake)"},
		"SOCKS refuses":       {"socks5", says("\x05\xff"), probe.Unreachable, "no acceptable authentication"},
		"SOCKS is HTTP":       {"socks5", says(rejection), probe.Unreachable, "socks"},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := serveRaw(t, func(_ *server, conn net.Conn) {
				if test.scheme == "https" {
					conn = tls.Server(conn, &tls.Config{Certificates: goodServer})
					defer conn.Close()
				}
				if test.scheme == "socks5" {
					_, _ = conn.Read(make([]byte, 512))
				} else if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
					return
				}
				test.treat(conn)
			})
			cfg := api.config("https")
			address := proxy.Addr().String()
			cfg.ProxyURL = &url.URL{Scheme: test.scheme, Host: address, User: url.UserPassword("user", proxyPassword)}
			outcome := probeOnce(t, NewClient(cfg, "test"))
			if strings.HasPrefix(test.message, "answered CONNECT") {
				test.message = "the proxy " + address + " " + test.message
			}
			status := 0
			if test.want == probe.Valid {
				status = 200
			}
			checkOutcome(t, outcome, test.want, status, test.message)
			if outcome.Sent != (test.want == probe.Valid) || proxy.connections.Load() != 1 {
				t.Errorf("sent %t, %d connections", outcome.Sent, proxy.connections.Load())
			}
		})
	}
}

// TestTLS checks that no request goes to a server that cannot prove who it is, and that the expiry of what it shows is
// reported all the same.
func TestTLS(t *testing.T) {
	leavesNoGoroutine(t)
	yesterday := time.Now().AddDate(0, 0, -1).Truncate(time.Second).UTC()
	nextWeek := time.Now().AddDate(0, 0, 7).Truncate(time.Second).UTC()
	with := func(certificates ...tls.Certificate) *tls.Config { return &tls.Config{Certificates: certificates} }
	long := issue(&authority, nextYear, "127.0.0.1")
	short := issue(&authority, nextWeek, "127.0.0.1")
	chain := long
	chain.Certificate = append(chain.Certificate[:1:1], short.Certificate[0])
	for name, test := range map[string]struct {
		server  *tls.Config // nil: no TLS at all
		want    probe.Result
		expiry  time.Time
		message string // part of it
	}{
		"good":             {with(short), probe.Valid, nextWeek, ""},
		"chain ends first": {with(chain), probe.Valid, nextWeek, ""},
		"expired":          {with(issue(&authority, yesterday, "127.0.0.1")), probe.Unreachable, yesterday, "expired"},
		"another name":     {with(issue(&authority, nextWeek, "a.test")), probe.Unreachable, nextWeek, "127.0.0.1"},
		"unknown authority": {with(issue(nil, nextWeek, "127.0.0.1")), probe.Unreachable, nextWeek,
			"set tls_config.ca_file or SSL_CERT_FILE if you trust the server: tls: failed to verify certificate: x509: " +
				"certificate signed by unknown authority"},
		"only TLS 1.1": {&tls.Config{Certificates: goodServer, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
			probe.Unreachable, time.Time{}, "protocol version"},
		"no TLS": {nil, probe.Unreachable, time.Time{}, "does not look like a TLS handshake"},
		"client certificate": {&tls.Config{Certificates: goodServer, ClientAuth: tls.RequireAnyClientCert,
			MaxVersion: tls.VersionTLS12}, probe.Unreachable, time.Time{}, "handshake failure"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveRaw(t, func(s *server, conn net.Conn) {
				if test.server == nil {
					write(conn, rejection)
					return
				}
				s.serve(tls.Server(conn, test.server), says(validAnswer))
			})
			outcome := probeOnce(t, NewClient(s.config("https"), "test"))
			status, valid := 0, test.want == probe.Valid
			if valid {
				status = 200
			}
			checkOutcome(t, outcome, test.want, status, test.message)
			if outcome.Sent != valid || (s.requests.Load() == 1) != valid {
				t.Errorf("sent %t, %d requests", outcome.Sent, s.requests.Load())
			}
			if !outcome.CertificateExpiry.Equal(test.expiry) {
				t.Errorf("the certificate expires %s, want %s", outcome.CertificateExpiry, test.expiry)
			}
		})
	}
}

// TestUnreached probes addresses and names where nothing is.
func TestUnreached(t *testing.T) {
	leavesNoGoroutine(t)
	resolver := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = resolver })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no name server")
	}}
	closed := listen(t, nil)
	closed.Close()
	refused := closed.config("https")
	unknown := *refused
	unknown.APIURL = must(url.Parse("https://api.example.test/v2/"))
	proxied := unknown
	proxied.ProxyURL = &url.URL{Scheme: "http", Host: closed.Addr().String()}
	for name, test := range map[string]struct {
		cfg     *config.Config
		message string // part of it
	}{
		"refused":          {refused, "connection refused"},
		"unknown name":     {&unknown, "lookup api.example.test"},
		"refused by proxy": {&proxied, "proxyconnect tcp: dial tcp " + closed.Addr().String()},
	} {
		t.Run(name, func(t *testing.T) {
			outcome := probeOnce(t, NewClient(test.cfg, "test"))
			checkOutcome(t, outcome, probe.Unreachable, 0, test.message)
			if outcome.Sent {
				t.Error("sent")
			}
		})
	}
}
