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

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

// smuggled is a request that is hidden in others. A response to it would show that it has caused a probe.
const smuggled = "GET /metrics HTTP/1.1\r\nHost: smuggled\r\nConnection: close\r\n\r\n"

// Beginnings of requests that cause no probe, and headers.
const (
	get     = "GET /-/healthy HTTP/1.1\r\nHost: x\r\n"
	post    = "POST /-/reload HTTP/1.1\r\nHost: x\r\n"
	final   = "Connection: close\r\n"
	chunked = "Transfer-Encoding: chunked\r\n"
)

// TestAmbiguousRequests sends requests that a proxy and a server could read differently, and checks that the exporter
// rejects them, or takes the hidden request for the body that it is.
func TestAmbiguousRequests(t *testing.T) {
	x := start(t)
	x.checkScraped(t)
	chunkedBody := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(smuggled), smuggled)
	for name, test := range map[string]struct {
		request string
		want    string // the statuses of all responses on the connection
	}{
		"length and chunks": {get + "Content-Length: 4\r\n" + chunked + "\r\n0\r\n\r\n" + smuggled, "200"},
		"chunks and length": {post + chunked + "Content-Length: 5\r\n\r\n0\r\n\r\n" + smuggled, "200"},
		"two lengths":       {get + "Content-Length: 0\r\nContent-Length: 44\r\n\r\n" + smuggled, "400"},
		"list of lengths":   {get + "Content-Length: 0, 44\r\n\r\n" + smuggled, "400"},
		"signed length":     {get + "Content-Length: +0\r\n\r\n" + smuggled, "400"},
		"negative length":   {get + "Content-Length: -1\r\n\r\n" + smuggled, "400"},
		"space and colon":   {get + "Content-Length : 44\r\n\r\n" + smuggled, "400"},
		"folded header":     {get + "X: a\r\n " + chunked + "Content-Length: 0\r\n" + final + "\r\n" + smuggled, "200"},
		"folded first line": {"GET /-/healthy HTTP/1.1\r\n Host: x\r\nHost: x\r\n\r\n" + smuggled, "400"},
		"another coding":    {get + "Transfer-Encoding: xchunked\r\n\r\n" + chunkedBody, "501"},
		"two codings":       {get + chunked + "Transfer-Encoding: identity\r\n\r\n" + chunkedBody, "501"},
		"coding with a tab": {get + "Transfer-Encoding:\x0bchunked\r\n\r\n" + chunkedBody, "400"},
		"HTTP/1.0 chunks":   {"GET /-/healthy HTTP/1.0\r\nHost: x\r\n" + chunked + "\r\n" + chunkedBody, "200"},
		"hidden in a body":  {get + final + chunked + "\r\n" + chunkedBody, "200"},
		"LF after a size":   {get + chunked + "\r\n2\nxx\r\n0\r\n\r\n" + smuggled, "200"},
		"chunk size with x": {get + chunked + "\r\n0x2\r\nxx\r\n0\r\n\r\n" + smuggled, "200"},
		"bare CR in header": {get + "X: a\rTransfer-Encoding: chunked\r\n\r\n" + chunkedBody, "400"},
		"NUL in a header":   {get + "X: a\x00b\r\n\r\n", "400"},
		"two hosts":         {get + "Host: y\r\n\r\n", "400"},
		"no host":           {"GET /-/healthy HTTP/1.1\r\n\r\n", "400"},
		"two spaces":        {"GET  /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
		"no version":        {"GET /-/healthy\r\n\r\n", "400"},
		"HTTP/3":            {"GET /-/healthy HTTP/3.0\r\nHost: x\r\n\r\n", "505"},
		"HTTP/2, no TLS":    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"},
		"TLS":               {"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n", "400"},
		"CONNECT":           {"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n" + final + "\r\n", "405"},
		"another site":      {"GET http://a.example/-/healthy HTTP/1.1\r\nHost: x\r\n" + final + "\r\n", "200"},
		"up and down":       {"GET /-/../../../etc/passwd HTTP/1.1\r\nHost: x\r\n" + final + "\r\n", "307"},
		"TRACE":             {"TRACE / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer abc\r\n" + final + "\r\n", "405"},
	} {
		t.Run(name, func(t *testing.T) {
			before := x.api.TotalRequests()
			if got, _ := x.exchange(t, test.request); got != test.want {
				t.Errorf("status %s, want %s", got, test.want)
			}
			if probes := x.api.TotalRequests() - before; probes != 0 {
				t.Errorf("the hidden request caused %d probes", probes)
			}
		})
	}
	x.checkScraped(t)
}

// TestOversizeRequests checks that the exporter reads and keeps only a little of a request, whatever its size.
func TestOversizeRequests(t *testing.T) {
	const (
		mebibyte = 1 << 20
		size     = 16 * mebibyte // far more than all buffers on the way
		// accepted is the most that may be sent: what the kernel buffers, and what net/http reads of a body,
		// which is 256 KiB and six times that in chunks of one byte.
		accepted = 2 * mebibyte
	)
	x := start(t)
	x.checkScraped(t)
	before := x.Memory(harness.Resident)
	for name, test := range map[string]struct{ head, unit, want string }{
		"URL":                {"GET /", "a", "431"},
		"query":              {"GET /probe?target=", "a", "431"},
		"one header":         {get + "X: ", "a", "431"},
		"headers":            {get, "X-More: more\r\n", "431"},
		"cookies":            {get + "Cookie: ", "a=b; ", "431"},
		"method":             {"", "A", "431"},
		"body of a scrape":   {"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n", "a", "200"},
		"chunks to a scrape": {"GET /metrics HTTP/1.1\r\nHost: x\r\n" + chunked + "\r\n", "1\r\na\r\n", "200"},
		"body of a reload":   {post + "Content-Length: 1073741824\r\n\r\n", "a", "200"},
		"chunks to a reload": {post + chunked + "\r\n", "1\r\na\r\n", "200"},
	} {
		t.Run(name, func(t *testing.T) {
			got, sent := x.exchange(t, test.head+strings.Repeat(test.unit, size/len(test.unit)))
			if got != test.want && got != "" { // a reset can overtake the response while the client writes
				t.Errorf("status %s, want %s", got, test.want)
			}
			if sent > accepted {
				t.Errorf("the exporter took %d KiB, want at most %d", sent>>10, accepted>>10)
			}
		})
	}
	x.checkScraped(t)
	if after := x.Memory(harness.Resident); after > before+16*mebibyte {
		t.Errorf("%d bytes resident before, %d after", before, after)
	}
}

// exchange sends text on a connection of its own. It returns the statuses of all responses, and how many bytes could be
// sent before the exporter hung up.
func (x *target) exchange(t *testing.T, text string) (statuses string, sent int) {
	t.Helper()
	conn, err := net.Dial("tcp", x.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_ = conn.(*net.TCPConn).SetWriteBuffer(64 << 10) // what is in it counts as sent
	written := make(chan int, 1)
	go func() {
		n, _ := io.WriteString(conn, text) // the exporter may hang up first
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
