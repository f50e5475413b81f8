package server

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// Frames of HTTP/2 (RFC 9113, section 6): kinds, flags, and the setting of how much may be sent unasked.
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

// header returns a field as HPACK has it (RFC 7541, section 6.2.2), in full.
func header(name, value string) string {
	return fmt.Sprintf("\x00%c%s%c%s", len(name), name, len(value), value)
}

// request returns the head of a request.
func request(method, path string) string {
	return header(":method", method) + header(":scheme", "https") + header(":path", path) + header(":authority", "x") +
		header("x-prometheus-scrape-timeout-seconds", "1")
}

const (
	http2Clients = 8
	// http2Limit is the account's requests a day. A quarter of them is for probes, and a tenth of that at once.
	http2Limit  = 1000
	http2Budget = http2Limit / 4
)

// http2Attacks are what each client sends: first the beginning, and then more without end. Streams of clients have odd
// numbers.
var http2Attacks = map[string]struct {
	settings string
	begin    string
	more     func(i uint32) string // nil: nothing
	cut      bool                  // the exporter hangs up by itself
	held     bool                  // scrapes are held, until the exporter gives up on them
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
	"requests taken back": {
		more: func(i uint32) string {
			return frame(frameHeaders, endHeaders|endStream, 2*i+1, request("GET", "/metrics")) + frame(frameReset, 0, 2*i+1, "\x00\x00\x00\x08")
		},
	},
	"requests for probes taken back": {
		more: func(i uint32) string {
			return frame(frameHeaders, endHeaders|endStream, 2*i+1, request("GET", "/probe?target=watched")) + frame(frameReset, 0, 2*i+1, "\x00\x00\x00\x08")
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

// TestHTTP2 attacks the exporter through TLS by what only HTTP/2 has, while an ordinary scraper is served as ever. In the
// end nothing is left of it, and it has made no more probes than the account has for them.
func TestHTTP2(t *testing.T) {
	for name, attack := range http2Attacks {
		t.Run(name, func(t *testing.T) {
			ca := harness.NewAuthority(t)
			file := filepath.Join(t.TempDir(), "web.yml")
			write(t, file, expand(fronts["TLS"].config, ca.Issue(t, "127.0.0.1")))
			x := prepare(t, "--web.config.file="+file)
			x.api.SetLimit(simulator.DefaultAccount, http2Limit)
			x.tls = trusting(t, ca.File)
			x.run(t)
			x.checkScraped(t)
			descriptors, goroutines, before := x.descriptors(t), x.goroutines(t), x.resident(t)

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
				harness.Until(t, answerTime, func() error { return x.checkElsewhere(http.StatusOK) })
			}
			if attack.cut {
				for range http2Clients {
					select {
					case err := <-ended:
						if err == nil {
							t.Error("a client could send all it wanted")
						}
					case <-time.After(headerTime):
						t.Fatal("a client is not cut off")
					}
				}
			}
			for _, conn := range conns {
				_ = conn.(*tls.Conn).NetConn().Close()
			}
			harness.Until(t, headerTime, func() error {
				if n := x.descriptors(t); n > descriptors+5 {
					return fmt.Errorf("%d descriptors are still open, at first there were %d", n, descriptors)
				}
				if n := x.goroutines(t); n > goroutines+10 {
					return fmt.Errorf("%d goroutines are left, at first there were %d", n, goroutines)
				}
				return nil
			})
			if after := x.resident(t); after > before+64<<10 {
				t.Errorf("%d KiB resident before, %d after", before, after)
			}

			if probes := x.api.TotalRequests(); probes > http2Budget/10+5 {
				t.Errorf("%d probes were made", probes)
			}
		})
	}
}

// dialHTTP2 opens a connection from elsewhere that is to speak HTTP/2.
func (x *target) dialHTTP2(t *testing.T) net.Conn {
	t.Helper()
	config := x.tls.Clone()
	config.NextProtos = []string{"h2"}
	conn, err := (&tls.Dialer{Config: config, NetDialer: &net.Dialer{LocalAddr: elsewhere}}).DialContext(t.Context(), "tcp", x.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if protocol := conn.(*tls.Conn).ConnectionState().NegotiatedProtocol; protocol != "h2" {
		t.Fatalf("the exporter speaks %q", protocol)
	}
	return conn
}

// goroutines returns how many goroutines the exporter says it has.
func (x *target) goroutines(t *testing.T) (count int) {
	t.Helper()
	_, body := x.get(t, "/metrics")
	_, rest, _ := strings.Cut(body, "\ngo_goroutines ")
	if _, err := fmt.Sscan(rest, &count); err != nil {
		t.Fatal(err)
	}
	return count
}
