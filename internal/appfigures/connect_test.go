package appfigures

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// secure is the configuration of a TLS server at 127.0.0.1, and trusting that of a client that trusts it. The
// certificate, httptest's, is also valid in the virtual time of synctest, which begins in 2000.
var secure, trusting = func() (*tls.Config, *tls.Config) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	return &tls.Config{Certificates: server.TLS.Certificates}, server.Client().Transport.(*http.Transport).TLSClientConfig
}()

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
		"nothing hangs":     {len(phaseTimes), probe.Valid, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				root := &url.URL{Scheme: "https", Host: "127.0.0.1", Path: "/v2/"}
				client := NewClient(&config.Config{APIURL: root, TLS: trusting, Timeout: ample}, "test")
				client.transport.DialContext = slowDialer(probe.Phase(test.hangs))
				outcome := probeOnce(t, client)
				checkOutcome(t, outcome, test.want, test.status, test.activity)

				var phases probe.Phases
				var duration time.Duration
				for phase, d := range phaseTimes[:test.hangs] {
					phases[phase] = d
					duration += d
				}
				if test.hangs < len(phaseTimes) {
					phases[test.hangs] = ample - duration
					duration = ample
				}
				if outcome.Phases != phases || outcome.Duration != duration || time.Since(outcome.Start) != duration {
					t.Errorf("%+v, want phases %v of %s", outcome, phases, duration)
				}
				if sent := test.hangs > int(probe.TLS); outcome.Sent != sent {
					t.Errorf("sent %t, want %t", outcome.Sent, sent)
				}
			})
		})
	}
}

// slowDialer returns a function that dials a slow server. What hangs ends with the probe.
func slowDialer(hangs probe.Phase) func(ctx context.Context, _, _ string) (net.Conn, error) {
	ends := func(phase probe.Phase) bool {
		if phase != hangs {
			time.Sleep(phaseTimes[phase])
		}
		return phase != hangs
	}
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		hooks := httptrace.ContextClientTrace(ctx)
		hooks.DNSStart(httptrace.DNSStartInfo{})
		resolved := ends(probe.DNS)
		if resolved {
			hooks.DNSDone(httptrace.DNSDoneInfo{})
			hooks.ConnectStart("", "")
		}
		if !resolved || !ends(probe.Connect) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		near, far := net.Pipe()
		go func() {
			defer awaitClose(far)
			if !ends(probe.TLS) {
				return
			}
			answering(secure, func(conn net.Conn) {
				defer awaitClose(far)
				if !ends(probe.Processing) {
					return
				}
				write(conn, ok200+"Content-Length: 26\r\n\r\n")
				if ends(probe.Transfer) {
					write(conn, validBody)
				}
			})(new(server), far)
		}()
		return tracedConn{near, ctx.Value(traceKey{}).(*trace)}, nil
	}
}

// TestConnecting checks that no request goes to a server that cannot prove who it is, and that no proxy's answer to
// CONNECT decides anything or counts as a request. The expiry of what a server shows is reported all the same.
func TestConnecting(t *testing.T) {
	resolver := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = resolver })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no name server")
	}}
	closed := serve(t, nil)
	closed.Close()
	roots, expiry := trusting.RootCAs, secure.Certificates[0].Leaf.NotAfter
	later := func() time.Time { return expiry.AddDate(0, 0, 1) }
	const connected = "HTTP/1.1 200 Connection established\r\n\r\n"
	for name, test := range map[string]struct {
		host    string         // of the API; empty: the server's
		client  *tls.Config    // nil: trusting
		scheme  string         // of the proxy; empty: no proxy
		treat   func(net.Conn) // what the proxy does with a request; nil: a tunnel
		shown   bool           // whether there was a certificate
		failure string         // part of the message; empty: the token is valid
	}{
		"good":         {shown: true},
		"expired":      {client: &tls.Config{RootCAs: roots, Time: later}, shown: true, failure: "expired"},
		"another name": {client: &tls.Config{RootCAs: roots, ServerName: "a.test"}, shown: true, failure: "a.test"},
		"unknown authority": {client: &tls.Config{RootCAs: x509.NewCertPool()}, shown: true,
			failure: "set tls_config.ca_file or SSL_CERT_FILE if you trust the server: tls: failed to verify certificate: " +
				"x509: certificate signed by unknown authority"},
		"refused":      {host: closed.Addr().String(), failure: "connection refused"},
		"unknown name": {host: "api.example.test", failure: "lookup api.example.test"},

		"tunnel":          {scheme: "http", shown: true},
		"tunnel over TLS": {scheme: "https", shown: true},
		"401":             {scheme: "http", treat: says(rejection), failure: "the proxy ADDRESS answered CONNECT with 401"},
		"403 over TLS": {scheme: "https", treat: says("HTTP/1.1 403 No API Access\r\n\r\n"), shown: true,
			failure: "the proxy ADDRESS answered CONNECT with 403 No API Access"},
		"closes":              {scheme: "http", treat: says(""), failure: "closed without an answer (connecting)"},
		"endless headers":     {scheme: "http", treat: floods(ok200, "X-More: more\r\n"), failure: "malformed MIME header"},
		"answers for the API": {scheme: "http", treat: says(connected + rejection), failure: "(in the TLS handshake)"},
		"SOCKS refuses":       {scheme: "socks5", treat: says("\x05\xff"), failure: "no acceptable authentication"},
		"SOCKS is HTTP":       {scheme: "socks5", treat: says(rejection), failure: "socks"},
	} {
		t.Run(name, func(t *testing.T) {
			api := serve(t, answering(secure, says(validAnswer)))
			cfg := api.config("https")
			cfg.APIURL.Host, cfg.TLS = cmp.Or(test.host, cfg.APIURL.Host), cmp.Or(test.client, trusting)
			if test.scheme != "" {
				treat := test.treat
				if treat == nil {
					treat = func(conn net.Conn) {
						write(conn, connected)
						answering(secure, says(validAnswer))(api, conn)
					}
				}
				handle := answering(map[string]*tls.Config{"https": secure}[test.scheme], treat)
				if test.scheme == "socks5" {
					handle = func(_ *server, conn net.Conn) { treat(conn) }
				}
				address := serve(t, handle).Addr().String()
				cfg.ProxyURL = &url.URL{Scheme: test.scheme, Host: address, User: url.UserPassword("user", proxyPassword)}
				test.failure = strings.ReplaceAll(test.failure, "ADDRESS", address)
			}
			outcome := probeOnce(t, NewClient(cfg, "test"))
			want, status, valid := probe.Unreachable, 0, test.failure == ""
			if valid {
				want, status = probe.Valid, 200
			}
			checkOutcome(t, outcome, want, status, test.failure)
			if outcome.Sent != valid || (api.requests.Load() == 1) != valid {
				t.Errorf("sent %t, %d requests", outcome.Sent, api.requests.Load())
			}
			if at := outcome.CertificateExpiry; test.shown != at.Equal(expiry) || !test.shown && !at.IsZero() {
				t.Errorf("the certificate expires %s, want %s: %t", at, expiry, test.shown)
			}
		})
	}
}
