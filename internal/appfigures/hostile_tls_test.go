package appfigures_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// authority signs certificates for servers.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// The one that clients of these tests trust, what makes them trust it, and a server with a good certificate of it.
var (
	trusted    = newAuthority(nil, nextYear)
	trusting   = &tls.Config{RootCAs: pool(trusted)}
	goodServer = &tls.Config{Certificates: []tls.Certificate{trusted.issue(nextYear, "127.0.0.1")}}
)

var (
	now       = time.Now().Truncate(time.Second).UTC()
	nextYear  = now.AddDate(1, 0, 0)
	nextWeek  = now.AddDate(0, 0, 7)
	yesterday = now.AddDate(0, 0, -1)
)

// newAuthority returns one that parent signed, or itself.
func newAuthority(parent *authority, until time.Time) *authority {
	key := newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority until " + until.String()},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if parent == nil {
		parent = &authority{template, key}
	}
	der := must(x509.CreateCertificate(rand.Reader, template, parent.certificate, key.Public(), parent.key))
	return &authority{must(x509.ParseCertificate(der)), key}
}

// issue signs a certificate of a server with that address or name, which is sent with those of chain.
func (a *authority) issue(until time.Time, host string, chain ...*authority) tls.Certificate {
	return a.issueFrom(now.AddDate(-1, 0, 0), until, host, chain...)
}

// issueFrom is issue for a certificate that is valid from a certain time on. A nil authority lets it sign itself.
func (a *authority) issueFrom(from, until time.Time, host string, chain ...*authority) tls.Certificate {
	key := newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, NotBefore: from, NotAfter: until,
	}
	if a == nil {
		a = &authority{template, key}
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	certificate := tls.Certificate{
		Certificate: [][]byte{must(x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key))},
		PrivateKey:  key,
	}
	for _, link := range chain {
		certificate.Certificate = append(certificate.Certificate, link.certificate.Raw)
	}
	return certificate
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func pool(a *authority) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// Records of TLS that a server may send again and again.
const (
	warningAlert     = "\x15\x03\x03\x00\x02\x01\x5a"
	fatalAlert       = "\x15\x03\x03\x00\x02\x02\x28"
	changeCipherSpec = "\x14\x03\x03\x00\x01\x01"
	emptyHandshake   = "\x16\x03\x03\x00\x00"
)

// TestHostileHandshake meets servers that do not come to the end of a connection's beginning.
func TestHostileHandshake(t *testing.T) {
	oldServer := goodServer.Clone()
	oldServer.MinVersion, oldServer.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	for name, test := range map[string]struct {
		treat func(net.Conn) // nil: leave it alone until the test ends
		want  probe.Result
	}{
		"reads_nothing": {nil, probe.Timeout},
		"says_nothing":  {awaitClose, probe.Timeout},
		"stops_after_it": {func(conn net.Conn) {
			server := tls.Server(conn, goodServer)
			_ = server.Handshake()
			awaitClose(server)
		}, probe.Timeout},
		"a_byte_at_a_time": {
			func(conn net.Conn) { dribble(conn, "\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb") }, probe.Timeout,
		},
		"closes_at_once":    {func(net.Conn) {}, probe.Unreachable},
		"resets_at_once":    {reset, probe.Unreachable},
		"closes_in_hello":   {func(conn net.Conn) { write(conn, "\x16\x03\x03\x00") }, probe.Unreachable},
		"alert":             {func(conn net.Conn) { write(conn, fatalAlert); awaitClose(conn) }, probe.Unreachable},
		"endless_warnings":  {func(conn net.Conn) { writeForever(conn, warningAlert) }, probe.Unreachable},
		"endless_changes":   {func(conn net.Conn) { writeForever(conn, changeCipherSpec) }, probe.Unreachable},
		"endless_emptiness": {func(conn net.Conn) { writeForever(conn, emptyHandshake) }, probe.Unreachable},
		"hello_of_16_MiB": {
			func(conn net.Conn) { write(conn, "\x16\x03\x03\x00\x04\x02\xff\xff\xff"); awaitClose(conn) },
			probe.Unreachable,
		},
		"speaks_http": {
			func(conn net.Conn) { write(conn, unaskedRejection); awaitClose(conn) }, probe.Unreachable,
		},
		"speaks_only_TLS_1_1": {
			func(conn net.Conn) { _ = tls.Server(conn, oldServer).Handshake() }, probe.Unreachable,
		},
		"resets_after_it": {func(conn net.Conn) {
			server := tls.Server(conn, goodServer)
			_, _ = server.Read(make([]byte, 1))
			reset(conn)
		}, probe.Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			leavesNothing(t, func(t *testing.T) {
				t.Run("alone", func(t *testing.T) {
					t.Parallel()
					listener := listen(t, func(conn net.Conn, _ int64) { treatOr(t, test.treat, conn) })
					session := newSession(t, configOf(t, "https", listener))
					checkOutcome(t, probeWithin(t, session, victimToken, test.want), test.want, 0)
				})
				t.Run("with a neighbor", func(t *testing.T) {
					t.Parallel()
					treatOne(t, test.treat, test.want)
				})
			})
		})
	}
}

// TestStalledHandshake meets servers that fall silent after each record of the handshake, and within each.
func TestStalledHandshake(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		server := goodServer.Clone()
		server.MinVersion, server.MaxVersion, server.SessionTicketsDisabled = version, version, true
		records := recordsOfHandshake(t, server)
		if records < 5 {
			t.Fatalf("a handshake of %s has only %d records", name, records)
		}
		leavesNothing(t, func(t *testing.T) {
			for whole := range records {
				for _, within := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%d records, within the next %t", name, whole, within), func(t *testing.T) {
						t.Parallel()
						listener := listen(t, func(conn net.Conn, _ int64) {
							stalling := tls.Server(&cutConn{Conn: conn, whole: whole, within: within}, server)
							_ = stalling.Handshake()
							awaitClose(stalling)
						})
						session := newSession(t, configOf(t, "https", listener))
						outcome := probeFor(t, session, victimToken, grace)
						checkOutcome(t, outcome, probe.Timeout, 0)
						took := outcome.Phases[probe.TLS]
						if !strings.Contains(outcome.Message, "in the TLS handshake") || took == 0 {
							t.Errorf("it stalled elsewhere: %s; the handshake took %s", outcome.Message, took)
						}
					})
				}
			}
		})
	}
}

// TestHandshakeEndsWithItsProbe checks that a handshake which does not go on takes no place from the next probe.
func TestHandshakeEndsWithItsProbe(t *testing.T) {
	listener := listen(t, func(conn net.Conn, number int64) {
		if number == 1 {
			awaitClose(conn)
			return
		}
		server := tls.Server(conn, goodServer)
		if _, err := server.Read(make([]byte, 4096)); err == nil {
			write(server, validAnswer)
		}
		awaitClose(server)
	})
	cfg := configOf(t, "https", listener)
	cfg.Timeout, cfg.MaxConcurrency = grace, 1
	session := newSession(t, cfg)
	for _, want := range []probe.Result{probe.Timeout, probe.Valid} {
		if outcome := probeWithin(t, session, victimToken, probe.Valid); outcome.Result != want {
			t.Errorf("result %s (%s), want %s", outcome.Result, outcome.Message, want)
		}
	}
}

// TestHangingHandshakesDelayNoOther checks that many handshakes that hang do not keep another from being begun. The one
// connection that works serves all probes.
func TestHangingHandshakesDelayNoOther(t *testing.T) {
	const hanging = 200
	listener := listen(t, func(conn net.Conn, number int64) {
		if number <= hanging {
			awaitClose(conn)
			return
		}
		server := tls.Server(conn, goodServer)
		defer server.Close()
		for reader := bufio.NewReader(server); ; {
			if _, err := http.ReadRequest(reader); err != nil {
				return
			}
			write(server, validAnswer)
		}
	})
	cfg := configOf(t, "https", listener)
	cfg.MaxConcurrency = hanging + 1
	session := newSession(t, cfg)
	start := time.Now()
	var probes sync.WaitGroup
	for range hanging + 1 {
		probes.Go(func() { checkOutcome(t, probeWithin(t, session, sentinel, probe.Valid), probe.Valid, 200) })
	}
	probes.Wait()
	if took := time.Since(start); took > longTimeout/2 {
		t.Errorf("the probes took %s", took)
	}
}

// recordsOfHandshake counts the records that the server writes until the handshake is complete.
func recordsOfHandshake(t *testing.T, server *tls.Config) int {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	counting := &cutConn{Conn: far, whole: math.MaxInt}
	client := trusting.Clone()
	client.ServerName = "127.0.0.1"
	done := make(chan error)
	go func() { done <- tls.Client(near, client).Handshake() }()
	if err := errors.Join(tls.Server(counting, server).Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	return counting.written
}

func treatOr(t *testing.T, treat func(net.Conn), conn net.Conn) {
	if treat == nil {
		<-t.Context().Done()
		return
	}
	treat(conn)
}

// treatOne treats the first connection so and all others well. Of two tokens that are probed at once, one is valid, and
// so may be the other, when the transport serves it with the good connection.
func treatOne(t *testing.T, treat func(net.Conn), want probe.Result) {
	s := &hostileServer{reached: make(chan struct{}), scheme: "https"}
	s.listener = listen(t, func(conn net.Conn, number int64) {
		if number == 1 {
			treatOr(t, treat, conn)
			return
		}
		server := tls.Server(conn, goodServer)
		defer server.Close()
		s.serve(server)
	})
	probeTwo(t, s, s.config(t), want)
}

// probeTwo probes two tokens at once through the first two connections. The first ends as want does.
func probeTwo(t *testing.T, s *hostileServer, cfg *config.Config, want probe.Result) {
	t.Helper()
	session := newSession(t, cfg)
	var results [2]probe.Result
	var probes sync.WaitGroup
	for i, token := range []string{victimToken, neighborToken} {
		probes.Go(func() { results[i] = probeWithin(t, session, token, want).Result })
	}
	probes.Wait()
	for _, result := range results {
		if result != want && result != probe.Valid {
			t.Errorf("results %s, want %s or valid", results, want)
		}
	}
	if !slices.Contains(results[:], probe.Valid) {
		t.Errorf("results %s, want one valid", results)
	}
	if s.requests.Load() > 1 || s.others.Load() > 1 {
		t.Errorf("%d and %d requests, want at most one each", s.requests.Load(), s.others.Load())
	}
}

// TestHostileHTTPS breaks off below the layer of TLS.
func TestHostileHTTPS(t *testing.T) {
	below := func(text string, next func(net.Conn)) func(net.Conn, *http.Request) {
		return func(conn net.Conn, _ *http.Request) {
			write(conn, text)
			next(conn.(*tls.Conn).NetConn())
		}
	}
	end := func(conn net.Conn) { _ = conn.Close() }
	leavesNothing(t, func(t *testing.T) {
		for name, c := range map[string]hostileCase{
			"reset_without_a_byte": {below("", reset), probe.Unreachable, 0},
			"reset_in_headers":     {below(ok200+"X-Cut: a", reset), probe.Unreachable, 0},
			"reset_in_body": {
				below(ok200+"Content-Length: 30\r\n\r\n"+validBody, reset), probe.Unreachable, 200,
			},
			// as many servers do; the object is whole
			"ended_without_notice": {
				answer: below(ok200+"\r\n"+validBody, end), want: probe.Valid, status: 200,
			},
			"cut_in_body":    {below(ok200+"\r\n"+validBody[:20], end), probe.Unexpected, 200},
			"ended_properly": {then(ok200+"\r\n"+validBody, end), probe.Valid, 200},
			"garbage_record": {
				below("", func(conn net.Conn) { write(conn, validAnswer) }), probe.Unreachable, 0,
			},
			"slow_body":       {drips(ok200+"Content-Length: 9999\r\n\r\n", " "), probe.Timeout, 200},
			"endless_headers": {floods(ok200, "X-More: more\r\n"), probe.Unexpected, 0},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				attack(t, serveHostile(t, "https", c))
			})
		}
	})
}

// TestCertificates checks that no request goes to a server that cannot prove who it is, and that the expiry of what it
// shows is reported all the same.
func TestCertificates(t *testing.T) {
	stranger := newAuthority(nil, nextYear)
	ending := newAuthority(trusted, nextWeek)
	var nobody *authority
	leavesNothing(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			certificate tls.Certificate
			want        probe.Result
			expiry      time.Time
			message     string // part of it
		}{
			"good":                   {trusted.issue(nextWeek, "127.0.0.1"), probe.Valid, nextWeek, ""},
			"good, by one that ends": {ending.issue(nextYear, "127.0.0.1", ending), probe.Valid, nextWeek, ""},
			"expired": {
				trusted.issue(yesterday, "127.0.0.1"), probe.Unreachable, yesterday, "expired",
			},
			"for another name": {
				trusted.issue(nextWeek, "api.example.test"), probe.Unreachable, nextWeek, "127.0.0.1",
			},
			"for another address": {
				trusted.issue(nextWeek, "127.0.0.9"), probe.Unreachable, nextWeek, "127.0.0.1",
			},
			"not valid yet": {
				trusted.issueFrom(nextWeek, nextYear, "127.0.0.1"), probe.Unreachable, nextYear, "not yet valid",
			},
			"self-signed": {
				nobody.issue(nextWeek, "127.0.0.1"), probe.Unreachable, nextWeek, "unknown authority",
			},
			"by a stranger": {
				stranger.issue(nextWeek, "127.0.0.1"), probe.Unreachable, nextWeek, "unknown authority",
			},
			"by a stranger who is shown": {
				stranger.issue(nextWeek, "127.0.0.1", stranger), probe.Unreachable, nextWeek, "unknown authority",
			},
			"a link is missing": {
				ending.issue(nextYear, "127.0.0.1"), probe.Unreachable, nextYear, "unknown authority",
			},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var requests atomic.Int64
				listener := listen(t, func(conn net.Conn, _ int64) {
					server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{test.certificate}})
					if n, _ := server.Read(make([]byte, 4096)); n > 0 {
						requests.Add(1)
						write(server, validAnswer)
					}
				})
				session := newSession(t, configOf(t, "https", listener))
				outcome := probeWithin(t, session, victimToken, test.want)
				if outcome.Result != test.want || !strings.Contains(outcome.Message, test.message) {
					t.Errorf("result %s (%s), want %s and %q", outcome.Result, outcome.Message, test.want, test.message)
				}
				if !outcome.CertificateExpiry.Equal(test.expiry) {
					t.Errorf("the certificate expires %s, want %s", outcome.CertificateExpiry, test.expiry)
				}
				if sent := requests.Load() == 1; sent != (test.want == probe.Valid) || outcome.Sent != sent {
					t.Errorf("%d requests, sent %t", requests.Load(), outcome.Sent)
				}
			})
		}
	})
}

// TestHTTP2IsNotOffered meets a server that would make a client of HTTP/2 repeat its request without end.
func TestHTTP2IsNotOffered(t *testing.T) {
	for name, refusal := range map[string]string{
		"GOAWAY":         goAway,
		"REFUSED_STREAM": "\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x07",
	} {
		t.Run(name, func(t *testing.T) {
			var offered atomic.Value
			var requests atomic.Int64
			server := goodServer.Clone()
			server.NextProtos = []string{"h2", "http/1.1"}
			server.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				offered.Store(strings.Join(hello.SupportedProtos, " "))
				return nil, nil
			}
			listener := listen(t, func(conn net.Conn, _ int64) {
				secure := tls.Server(conn, server)
				if n, _ := secure.Read(make([]byte, 4096)); n == 0 {
					return
				}
				requests.Add(1)
				answer := validAnswer
				if secure.ConnectionState().NegotiatedProtocol == "h2" {
					answer = http2Settings + refusal
				}
				write(secure, answer)
				awaitClose(secure)
			})
			session := newSession(t, configOf(t, "https", listener))
			checkOutcome(t, probeWithin(t, session, victimToken, probe.Valid), probe.Valid, 200)
			if got := offered.Load().(string); strings.Contains(got, "h2") {
				t.Errorf("the client offers %q", got)
			}
			if requests.Load() != 1 {
				t.Errorf("%d requests, want 1", requests.Load())
			}
		})
	}
}

// cutConn lets through the first records of TLS that are written (RFC 8446, section 5.1), perhaps half of another, and
// nothing after them.
type cutConn struct {
	net.Conn
	whole   int  // how many records
	within  bool // whether half of the next follows
	written int  // how many whole ones were
}

// Write implements [net.Conn]. It is always called with whole records.
func (c *cutConn) Write(p []byte) (int, error) {
	end := 0
	for end < len(p) {
		next := end + 5 + int(binary.BigEndian.Uint16(p[end+3:]))
		if c.written == c.whole {
			if c.within {
				c.within, end = false, (end+next)/2
			}
			break
		}
		c.written, end = c.written+1, next
	}
	if _, err := c.Conn.Write(p[:end]); err != nil {
		return 0, err
	}
	return len(p), nil
}
