package appfigures_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

const (
	proxyPage = "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 24\r\n\r\n" +
		"<html>Not today.</html>\n"
	established = "HTTP/1.1 200 Connection established\r\n\r\n"
)

// The requests that a client of SOCKS 5 makes here, in bytes: a greeting with one or two methods, a user and password,
// and a name and port to connect to (RFC 1928, RFC 1929).
const (
	socksChosen       = "\x05\x00"
	socksUserPassword = "\x05\x02"
	socksConnected    = "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"
)

// hostileProxy treats what a client sends first.
type hostileProxy struct {
	treat  func(net.Conn) // after what the client sent first was read
	want   probe.Result
	status int
}

// hostileTunnels are proxies before an API that is asked over TLS.
var hostileTunnels = map[string]hostileProxy{
	"http: closes":          {answersWith(""), probe.Unreachable, 0},
	"http: resets":          {reset, probe.Unreachable, 0},
	"http: hangs":           {awaitClose, probe.Timeout, 0},
	"http: page":            {answersWith(proxyPage), probe.Unreachable, 0},
	"http: page that hangs": {func(c net.Conn) { write(c, proxyPage); awaitClose(c) }, probe.Unreachable, 0},
	"http: 401":             {answersWith("HTTP/1.1 401 Unauthorized\r\n\r\n"), probe.Unreachable, 0},
	"http: 407": {
		answersWith("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n"),
		probe.Unreachable, 0,
	},
	"http: 502": {answersWith("HTTP/1.1 502 Bad Gateway\r\n\r\n"), probe.Unreachable, 0},
	"http: 420": {answersWith("HTTP/1.1 420 Chill Out!\r\n\r\n"), probe.Unreachable, 0},
	"http: 302": {
		answersWith("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n"), probe.Unreachable, 0,
	},
	"http: garbage":        {answersWith("garbage\r\n\r\n"), probe.Unreachable, 0},
	"http: half an answer": {answersWith("HTTP/1.1 200 Conn"), probe.Unreachable, 0},
	"http: endless header": {
		func(c net.Conn) { write(c, "HTTP/1.1 200 OK\r\n"); writeForever(c, "X-More: more\r\n") }, probe.Unreachable,
		0,
	},
	"http: slow header":         {func(c net.Conn) { dribble(c, "HTTP/1.1 200 OK") }, probe.Timeout, 0},
	"http: 200 and closes":      {answersWith(established), probe.Unreachable, 0},
	"http: 200 and hangs":       {func(c net.Conn) { write(c, established); awaitClose(c) }, probe.Timeout, 0},
	"http: 200 and page":        {answersWith(established + proxyPage), probe.Unreachable, 0},
	"http: 200 and intercepts":  {intercept, probe.Unreachable, 0},
	"socks5: closes":            {answersWith(""), probe.Unreachable, 0},
	"socks5: hangs":             {awaitClose, probe.Timeout, 0},
	"socks5: page":              {answersWith(proxyPage), probe.Unreachable, 0},
	"socks5: no method will do": {answersWith("\x05\xff"), probe.Unreachable, 0},
	"socks5: wants no password": {answersWith(socksChosen), probe.Unreachable, 0},
	"socks5: refuses password":  {dialogue(socksUserPassword, "\x01\x01"), probe.Unreachable, 0},
	"socks5: refuses connection": {
		dialogue(socksUserPassword, "\x01\x00", "\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00"), probe.Unreachable, 0,
	},
	"socks5: half an answer": {dialogue(socksUserPassword, "\x01\x00", "\x05\x00"), probe.Unreachable, 0},
	"socks5: hangs connecting": {
		func(c net.Conn) { dialogue(socksUserPassword, "\x01\x00")(c); awaitClose(c) }, probe.Timeout, 0,
	},
	"socks5: connects, closes": {dialogue(socksUserPassword, "\x01\x00", socksConnected), probe.Unreachable, 0},
	"socks5: connects, page": {
		dialogue(socksUserPassword, "\x01\x00", socksConnected+proxyPage), probe.Unreachable, 0,
	},
	"https: closes":         {answersWith(""), probe.Unreachable, 0},
	"https: hangs":          {awaitClose, probe.Timeout, 0},
	"https: page":           {answersWith(proxyPage), probe.Unreachable, 0},
	"https: 200 and closes": {answersWith(established), probe.Unreachable, 0},
}

// hostileForwarders are proxies before an API that is asked without TLS, so that their answer could be the API's.
var hostileForwarders = map[string]hostileProxy{
	"http: closes": {answersWith(""), probe.Unreachable, 0},
	"http: hangs":  {awaitClose, probe.Timeout, 0},
	"http: page":   {answersWith(proxyPage), probe.Unexpected, 403},
	"http: 502 page": {
		answersWith("HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<html>"), probe.Unexpected, 502,
	},
	"http: 504":   {answersWith("HTTP/1.1 504 Gateway Timeout\r\n\r\n"), probe.ServerError, 504},
	"http: 407":   {answersWith("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"), probe.Unexpected, 407},
	"http: login": {answersWith("HTTP/1.1 200 OK\r\n\r\n<html>Please log in.</html>"), probe.Unexpected, 200},
}

func TestHostileProxies(t *testing.T) {
	leavesNothing(t, func(t *testing.T) {
		for name, proxy := range hostileTunnels {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				passThrough(t, "https://api.example.test/v2/", name, proxy)
			})
		}
		for name, proxy := range hostileForwarders {
			t.Run("forwarding "+name, func(t *testing.T) {
				t.Parallel()
				passThrough(t, "http://api.example.test/v2/", name, proxy)
			})
		}
	})
}

// passThrough probes the API through the proxy, whose scheme is the first part of the name.
func passThrough(t *testing.T, api, name string, proxy hostileProxy) {
	scheme, _, _ := strings.Cut(name, ":")
	listener := listen(t, func(conn net.Conn, _ int64) {
		if scheme == "https" {
			secure := tls.Server(conn, goodServer)
			defer secure.Close()
			conn = secure
		}
		if scheme == "socks5" {
			_, _ = conn.Read(make([]byte, 512))
		} else if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		proxy.treat(conn)
	})
	cfg := &config.Config{APIURL: parseURL(t, api), Timeout: longTimeout, MaxConcurrency: 4, TLS: trusting}
	user := url.UserPassword("user", proxyPassword)
	cfg.ProxyURL = &url.URL{Scheme: scheme, Host: listener.Addr().String(), User: user}
	outcome := probeWithin(t, newSession(t, cfg), victimToken, proxy.want)
	checkOutcome(t, outcome, proxy.want, proxy.status)
}

// TestHostileProxyHarmsNoNeighbor treats one tunnel badly and the next one well.
func TestHostileProxyHarmsNoNeighbor(t *testing.T) {
	for name, treat := range map[string]func(net.Conn){
		"page":          answersWith(proxyPage),
		"hangs":         awaitClose,
		"200 and hangs": func(c net.Conn) { write(c, established); awaitClose(c) },
	} {
		t.Run(name, func(t *testing.T) {
			want := probe.Unreachable
			if name != "page" {
				want = probe.Timeout
			}
			s := &hostileServer{scheme: "https", reached: make(chan struct{})}
			s.listener = listen(t, func(conn net.Conn, number int64) {
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
					return
				}
				if number == 1 {
					treat(conn)
					return
				}
				write(conn, established)
				server := tls.Server(conn, goodServer)
				defer server.Close()
				s.serve(server)
			})
			cfg := s.config(t)
			cfg.ProxyURL = &url.URL{Scheme: "http", Host: s.listener.Addr().String()}
			probeTwo(t, s, cfg, want)
		})
	}
}

// TestHostileProxyMemory checks that the exporter keeps little of what a proxy answers to CONNECT.
func TestHostileProxyMemory(t *testing.T) {
	const bound = 16 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	passThrough(t, "https://api.example.test/v2/", "http: endless header", hostileTunnels["http: endless header"])
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > bound {
		t.Errorf("the probe allocated %d KiB, want at most %d", got>>10, bound>>10)
	}
}

// answersWith writes text and closes the connection.
func answersWith(text string) func(net.Conn) { return func(conn net.Conn) { write(conn, text) } }

// dialogue says each text after it has read something, but the first.
func dialogue(texts ...string) func(net.Conn) {
	return func(conn net.Conn) {
		for i, text := range texts {
			if i > 0 {
				_, _ = conn.Read(make([]byte, 512))
			}
			write(conn, text)
		}
	}
}

// intercept lets the client meet another server than it wants, as a proxy does that reads along.
func intercept(conn net.Conn) {
	write(conn, established)
	server := tls.Server(conn, goodServer) // for 127.0.0.1
	_, _ = io.Copy(io.Discard, server)
}
