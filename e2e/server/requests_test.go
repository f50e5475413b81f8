package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// smuggled is a request that some of those below hide. It must never be answered: it would make a probe.
const smuggled = "GET /metrics HTTP/1.1\r\nHost: smuggled\r\nConnection: close\r\n\r\n"

// TestAmbiguousRequests sends what a proxy and a server could read in two ways, and checks that the exporter reads it in
// one way that is safe: it refuses, or takes the hidden request for the body that it is, and answers nothing after it.
func TestAmbiguousRequests(t *testing.T) {
	x := start(t)
	x.checkScraped(t)
	chunkedBody := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(smuggled), smuggled)
	for name, test := range map[string]struct {
		request string
		want    string // the statuses of all answers on the connection
	}{
		"length and chunks, GET":       {"GET /-/healthy HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, "200"},
		"chunks and length, POST":      {"POST /-/reload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + smuggled, "200"},
		"two lengths":                  {"GET /-/healthy HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n" + smuggled, "400"},
		"two lengths in one":           {"GET /-/healthy HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 44\r\n\r\n" + smuggled, "400"},
		"length with a sign":           {"GET /-/healthy HTTP/1.1\r\nHost: x\r\nContent-Length: +0\r\n\r\n" + smuggled, "400"},
		"length that is negative":      {"GET /-/healthy HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n" + smuggled, "400"},
		"space before the colon":       {"GET /-/healthy HTTP/1.1\r\nHost: x\r\nContent-Length : 44\r\n\r\n" + smuggled, "400"},
		"chunks by a folded header":    {"GET /-/healthy HTTP/1.1\r\nHost: x\r\nX: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" + smuggled, "200"},
		"fold before the first":        {"GET /-/healthy HTTP/1.1\r\n Host: x\r\nHost: x\r\n\r\n" + smuggled, "400"},
		"another coding":               {"GET /-/healthy HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n" + chunkedBody, "501"},
		"two codings":                  {"GET /-/healthy HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunkedBody, "501"},
		"coding with a tab":            {"GET /-/healthy HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\x0bchunked\r\n\r\n" + chunkedBody, "400"},
		"coding in HTTP/1.0":           {"GET /-/healthy HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunkedBody, "200"},
		"a body, hidden request":       {"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunkedBody, "200"},
		"bare LF after a chunk size":   {"GET /-/healthy HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\nxx\r\n0\r\n\r\n" + smuggled, "200"},
		"chunk size with an x":         {"GET /-/healthy HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nxx\r\n0\r\n\r\n" + smuggled, "200"},
		"bare CR in a header":          {"GET /-/healthy HTTP/1.1\r\nHost: x\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n" + chunkedBody, "400"},
		"NUL in a header":              {"GET /-/healthy HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n", "400"},
		"two hosts":                    {"GET /-/healthy HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400"},
		"no host":                      {"GET /-/healthy HTTP/1.1\r\n\r\n", "400"},
		"two spaces in the first line": {"GET  /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
		"no version":                   {"GET /-/healthy\r\n\r\n", "400"},
		"HTTP/3":                       {"GET /-/healthy HTTP/3.0\r\nHost: x\r\n\r\n", "505"},
		"HTTP/2 without TLS":           {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"},
		"TLS":                          {"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n", "400"},
		"CONNECT":                      {"CONNECT api.example.test:443 HTTP/1.1\r\nHost: api.example.test:443\r\nConnection: close\r\n\r\n", "405"},
		"another site's URL":           {"GET http://api.example.test/-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "200"},
		"up and down":                  {"GET /-/../../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "307"},
		"TRACE":                        {"TRACE / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer abc\r\nConnection: close\r\n\r\n", "405"},
	} {
		t.Run(name, func(t *testing.T) {
			before := x.api.TotalRequests()
			if got := x.converse(t, test.request); got != test.want {
				t.Errorf("answers %s, want %s", got, test.want)
			}
			if probes := x.api.TotalRequests() - before; probes != 0 {
				t.Errorf("the hidden request made %d probes", probes)
			}
		})
	}
	x.checkScraped(t)
}

// TestOversizeRequests checks that no size of a request makes the exporter read, or keep, much of it.
func TestOversizeRequests(t *testing.T) {
	const (
		mebibyte = 1 << 20
		size     = 16 * mebibyte // more than all buffers under way, by far
		// accepted is the most that may be sent: what the kernel holds, and what net/http reads of a body that nobody
		// wants, which is 256 KiB and in chunks of one byte six times that.
		accepted = 2 * mebibyte
	)
	x := start(t)
	x.checkScraped(t)
	before := x.resident(t)
	for name, test := range map[string]struct{ head, unit, want string }{
		"URL":                {"GET /", "a", "431"},
		"query":              {"GET /probe?target=", "a", "431"},
		"one header":         {"GET /-/healthy HTTP/1.1\r\nHost: x\r\nX: ", "a", "431"},
		"headers":            {"GET /-/healthy HTTP/1.1\r\nHost: x\r\n", "X-More: more\r\n", "431"},
		"cookies":            {"GET /-/healthy HTTP/1.1\r\nHost: x\r\nCookie: ", "a=b; ", "431"},
		"method":             {"", "A", "431"},
		"body of a scrape":   {"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n", "a", "200"},
		"chunks to a scrape": {"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", "200"},
		"body of a reload":   {"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n", "a", "200"},
		"chunks to a reload": {"POST /-/reload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", "200"},
	} {
		t.Run(name, func(t *testing.T) {
			got, sent := x.exchange(t, test.head+strings.Repeat(test.unit, size/len(test.unit)))
			if got != test.want && got != "" { // when the client still writes, a reset can overtake the answer
				t.Errorf("answers %s, want %s", got, test.want)
			}
			if sent > accepted {
				t.Errorf("the exporter took %d KiB, want at most %d", sent>>10, accepted>>10)
			}
		})
	}
	x.checkScraped(t)
	if after := x.resident(t); after > before+16<<10 {
		t.Errorf("%d KiB resident before, %d after", before, after)
	}
}

// converse sends text on a connection of its own and returns the statuses of all answers to it.
func (x *target) converse(t *testing.T, text string) string {
	t.Helper()
	statuses, _ := x.exchange(t, text)
	return statuses
}

// exchange is converse that also returns how many bytes of the text could be sent before the exporter hung up.
func (x *target) exchange(t *testing.T, text string) (statuses string, sent int) {
	t.Helper()
	conn, err := net.Dial("tcp", x.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_ = conn.(*net.TCPConn).SetWriteBuffer(64 << 10) // what lies here counts as sent
	written := make(chan int, 1)
	go func() {
		n, _ := io.WriteString(conn, text) // may be refused half way
		written <- n
	}()
	var all []string
	reader := bufio.NewReader(conn)
	for {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			break
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		all = append(all, fmt.Sprint(response.StatusCode))
	}
	conn.Close() // ends the writing
	return strings.Join(all, " "), <-written
}
