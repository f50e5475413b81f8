package server

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// Frames of HTTP/2 (RFC 9113, section 6): types, flags, and the setting SETTINGS_INITIAL_WINDOW_SIZE.
const (
	frameData         = 0
	frameHeaders      = 1
	frameReset        = 3
	frameSettings     = 4
	framePing         = 6
	frameWindow       = 8
	frameContinuation = 9

	endStream  = 1
	endHeaders = 4

	initialWindow = "\x00\x04"
)

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// frame returns one frame.
func frame(kind, flags byte, stream uint32, payload string) string {
	n := len(payload)
	return string([]byte{
		byte(n >> 16), byte(n >> 8), byte(n), kind, flags,
		byte(stream >> 24), byte(stream >> 16), byte(stream >> 8), byte(stream),
	}) + payload
}

// header returns a literal field of HPACK (RFC 7541, section 6.2.2).
func header(name, value string) string {
	return fmt.Sprintf("\x00%c%s%c%s", len(name), name, len(value), value)
}

// request returns the header block of a request.
func request(method, path string) string {
	return header(":method", method) + header(":scheme", "https") + header(":path", path) + header(":authority", "x") +
		header("x-prometheus-scrape-timeout-seconds", "1")
}

// canceled returns a request and its cancellation.
func canceled(stream uint32, path string) string {
	return frame(frameHeaders, endHeaders|endStream, stream, request("GET", path)) +
		frame(frameReset, 0, stream, "\x00\x00\x00\x08")
}

const (
	http2Clients = 8
	// http2Probes is how many probes may be made: the account's first one, and what refills until the test ends.
	http2Probes = 5
)

// http2Attacks are what each client sends: first begin, and then more without end. Clients' streams have odd numbers.
var http2Attacks = map[string]struct {
	settings string
	begin    string
	more     func(i uint32) string // nil: nothing
	cut      bool                  // the exporter closes the connection
	held     bool                  // the exporter cannot send its responses, until it gives up
}{
	"headers without end": {
		begin: frame(frameHeaders, 0, 1, request("GET", "/metrics")),
		more: func(uint32) string {
			return frame(frameContinuation, 0, 1, strings.Repeat(header("x-more", strings.Repeat("x", 100)), 100))
		},
		cut: true,
	},
	"empty headers without end": {
		begin: frame(frameHeaders, 0, 1, request("GET", "/metrics")),
		more:  func(uint32) string { return strings.Repeat(frame(frameContinuation, 0, 1, ""), 100) },
	},
	"headers that stop": {begin: frame(frameHeaders, 0, 1, request("GET", "/metrics"))},
	"canceled requests": {
		more: func(i uint32) string {
			return canceled(2*i+1, "/metrics")
		},
	},
	"canceled requests for probes": {
		more: func(i uint32) string {
			return canceled(2*i+1, "/probe?target=watched")
		},
	},
	"a body without end": {
		begin: frame(frameHeaders, endHeaders, 1, request("POST", "/-/reload")),
		more:  func(uint32) string { return frame(frameData, 0, 1, "x") },
	},
	"pings": {
		more: func(uint32) string { return strings.Repeat(frame(framePing, 0, 0, "12345678"), 100) },
	},
	"settings": {
		more: func(uint32) string { return strings.Repeat(frame(frameSettings, 0, 0, ""), 100) },
	},
	"a window never opened": {
		held:     true,
		settings: initialWindow + "\x00\x00\x00\x00",
		more: func(i uint32) string {
			if i >= 100 {
				return ""
			}
			return frame(frameHeaders, endHeaders|endStream, 2*i+1, request("GET", "/metrics"))
		},
	},
	"a window opened by one": {
		settings: initialWindow + "\x00\x00\x00\x00",
		begin:    frame(frameHeaders, endHeaders|endStream, 1, request("GET", "/metrics")),
		more:     func(uint32) string { return frame(frameWindow, 0, 1, "\x00\x00\x00\x01") },
	},
}

// TestHTTP2 attacks the exporter with what only HTTP/2 has, while an ordinary scraper is served as usual. Nothing is
// left of an attack, and it causes no more probes than the account's budget permits.
func TestHTTP2(t *testing.T) {
	for name, attack := range http2Attacks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := prepare(t, "--web.config.file=web.yml")
			x.api.SetLimit(simulator.DefaultAccount, simulator.DefaultDailyLimit)
			x.WriteConfig(strings.Replace(harness.Read(t, x.Dir+"/config.yml"), harness.Unpaced, "", 1))
			harness.Write(t, x.Dir+"/web.yml", harness.TLSConfig(x.api.CA.Issue(t, "127.0.0.1"), "TLS12"))
			x.TLS = x.api.CA.ClientConfig(t)
			x.Start()
			x.checkScraped(t)
			descriptors, goroutines, before := x.Descriptors(), x.goroutines(t), x.Memory(harness.Resident)

			ended := make(chan error, http2Clients)
			var conns []net.Conn
			for range http2Clients {
				conn := x.dialHTTP2(t)
				conns = append(conns, conn)
				go func() {
					_, err := io.WriteString(conn, preface+frame(frameSettings, 0, 0, attack.settings)+attack.begin)
					for i := uint32(0); err == nil && attack.more != nil && i < 1<<20; i++ {
						_, err = io.WriteString(conn, attack.more(i))
					}
					ended <- err
				}()
			}
			for range 5 {
				x.checkScraped(t)
			}
			if attack.held {
				harness.Until(t, headerTime, func() error { return x.checkElsewhere(http.StatusServiceUnavailable) })
				x.checkScraped(t)
				harness.Until(t, responseTime, func() error { return x.checkElsewhere(http.StatusOK) })
			}
			if attack.cut {
				for range http2Clients {
					select {
					case err := <-ended:
						if err == nil {
							t.Error("a client could send everything")
						}
					case <-time.After(headerTime):
						t.Fatal("a connection is not closed")
					}
				}
			}
			for _, conn := range conns {
				_ = conn.(*tls.Conn).NetConn().Close()
			}
			harness.Until(t, headerTime, func() error {
				if n := x.Descriptors(); n > descriptors+5 {
					return fmt.Errorf("%d descriptors are open, %d before the attack", n, descriptors)
				}
				if n := x.goroutines(t); n > goroutines+10 {
					return fmt.Errorf("%d goroutines, %d before the attack", n, goroutines)
				}
				return nil
			})
			if after := x.Memory(harness.Resident); after > before+64<<20 {
				t.Errorf("%d bytes resident before, %d after", before, after)
			}

			if probes := x.api.TotalRequests(); probes > http2Probes {
				t.Errorf("%d probes were made", probes)
			}
		})
	}
}

// dialHTTP2 opens an HTTP/2 connection from elsewhere.
func (x *target) dialHTTP2(t *testing.T) net.Conn {
	t.Helper()
	config := x.TLS.Clone()
	config.NextProtos = []string{"h2"}
	dialer := tls.Dialer{Config: config, NetDialer: &net.Dialer{LocalAddr: elsewhere}}
	conn, err := dialer.DialContext(t.Context(), "tcp", x.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if protocol := conn.(*tls.Conn).ConnectionState().NegotiatedProtocol; protocol != "h2" {
		t.Fatalf("the exporter speaks %q", protocol)
	}
	return conn
}

// goroutines returns how many goroutines the exporter has.
func (x *target) goroutines(t *testing.T) int {
	t.Helper()
	goroutines, found := harness.Sum(x.Scrape(), "go_goroutines")
	if found != 1 {
		t.Fatal("no go_goroutines")
	}
	return int(goroutines)
}
