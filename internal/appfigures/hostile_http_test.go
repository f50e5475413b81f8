package appfigures_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

const (
	ok200   = "HTTP/1.1 200 OK\r\n"
	chunked = ok200 + "Transfer-Encoding: chunked\r\n\r\n"
	packed  = ok200 + "Content-Encoding: gzip\r\n\r\n"
)

// hostileHTTP are servers that break or bend HTTP.
var hostileHTTP = map[string]hostileCase{
	// Slow in each part of an answer.
	"slow_status_line":  {drips("HTTP/1.1 200 ", "O"), probe.Timeout, 0},
	"slow_header":       {drips(ok200, "X-Slow: slow\r\n"), probe.Timeout, 0},
	"slow_body":         {drips(ok200+"Content-Length: 9999\r\n\r\n", " "), probe.Timeout, 200},
	"slow_endless_body": {drips(ok200+"\r\n"+validBody, " "), probe.Timeout, 200},
	"slow_chunks":       {drips(chunked, "1\r\n \r\n"), probe.Timeout, 200},
	"slow_chunk_size":   {drips(chunked, "0"), probe.Timeout, 200},
	"slow_trailer":      {drips(chunked+"1a\r\n"+validBody+"\r\n0\r\n", "X-Slow: slow\r\n"), probe.Timeout, 200},
	"slow_1xx":          {drips("", "HTTP/1.1 103 Early Hints\r\n\r\n"), probe.Timeout, 0},
	"slow_rejection": {
		drips("HTTP/1.1 401 Unauthorized\r\nContent-Length: 9999\r\n\r\n", " "), probe.Timeout, 401,
	},
	"silent_after_100":  {stalls("HTTP/1.1 100 Continue\r\n\r\n"), probe.Timeout, 0},
	"silent_last_chunk": {stalls(chunked + "1a\r\n" + validBody + "\r\n"), probe.Timeout, 200},
	"silent_after_101": {
		stalls("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), probe.Unexpected,
		101,
	},
	"length_of_8_EiB": {
		stalls(ok200 + "Content-Length: 9223372036854775807\r\n\r\n" + validBody), probe.Timeout, 200,
	},
	"chunk_of_8_EiB":     {stalls(chunked + "7fffffffffffffff\r\n" + validBody), probe.Timeout, 200},
	"chunk_of_2_to_63":   {stalls(chunked + "8000000000000000\r\n" + validBody), probe.Timeout, 200},
	"gzip_empty_members": {drips(packed, gzipMember("")), probe.Timeout, 200},

	// Endless or huge.
	"endless_status_line":   {floods("HTTP/1.1 200 ", "O"), probe.Unexpected, 0},
	"endless_header":        {floods(ok200+"X-Long: ", "long"), probe.Unexpected, 0},
	"endless_headers":       {floods(ok200, "X-More: more\r\n"), probe.Unexpected, 0},
	"endless_folded_header": {floods(ok200+"X-Fold: a\r\n", " b\r\n"), probe.Unexpected, 0},
	"endless_100":           {floods("", "HTTP/1.1 100 Continue\r\n\r\n"), probe.Unexpected, 0},
	"endless_103":           {floods("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), probe.Unexpected, 0},
	"header_of_65_KiB": {
		says(ok200 + "X-Long: " + strings.Repeat("a", 65<<10) + "\r\nContent-Length: 26\r\n\r\n" + validBody),
		probe.Unexpected, 0,
	},
	"header_of_60_KiB": {
		says(ok200 + "X-Long: " + strings.Repeat("a", 60<<10) + "\r\nContent-Length: 26\r\n\r\n" + validBody),
		probe.Valid, 200,
	},
	"headers_100000": {says(ok200 + strings.Repeat("A: b\r\n", 100_000) + "\r\n"), probe.Unexpected, 0},
	"headers_10000": {
		says(ok200 + strings.Repeat("A: b\r\n", 10_000) + "Content-Length: 26\r\n\r\n" + validBody), probe.Valid,
		200,
	},
	"endless_body":       {floods(ok200+"\r\n"+validBody, " "), probe.Unexpected, 200},
	"endless_chunks":     {floods(chunked, "1\r\n \r\n"), probe.Unexpected, 200},
	"endless_chunk_size": {floods(chunked, "0"), probe.Unexpected, 200},
	"endless_extensions": {floods(chunked, "1;"+strings.Repeat("x", 1000)+"\r\n \r\n"), probe.Unexpected, 200},
	"endless_trailers": {
		floods(chunked+"1a\r\n"+validBody+"\r\n0\r\n", "X-More: more\r\n"), probe.Unexpected, 200,
	},
	"gzip_bomb_endless": {floods(packed, gzipMember(strings.Repeat(" ", 16<<20))), probe.Unexpected, 200},
	"gzip_name_endless": {
		floods(packed+"\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\xff", "name"), probe.Unexpected, 200,
	},
	"gzip_extra_field": {
		stalls(packed + "\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff\xff\xff"), probe.Timeout, 200,
	},
	"rejection_endless": {floods("HTTP/1.1 401 Unauthorized\r\n\r\n", " "), probe.Unexpected, 401},

	// Lengths and codings that lie.
	"length_too_long":    {says(ok200 + "Content-Length: 27\r\n\r\n" + validBody), probe.Unexpected, 200},
	"length_negative":    {says(ok200 + "Content-Length: -1\r\n\r\n" + validBody), probe.Unexpected, 0},
	"length_hexadecimal": {says(ok200 + "Content-Length: 0x1a\r\n\r\n" + validBody), probe.Unexpected, 0},
	"length_beyond_64_bits": {
		says(ok200 + "Content-Length: 99999999999999999999\r\n\r\n" + validBody), probe.Unexpected, 0,
	},
	"lengths_that_differ": {
		says(ok200 + "Content-Length: 26\r\nContent-Length: 27\r\n\r\n" + validBody), probe.Unexpected, 0,
	},
	"lengths_that_agree": {
		says(ok200 + "Content-Length: 26\r\nContent-Length: 26\r\n\r\n" + validBody), probe.Valid, 200,
	},
	"coding_twice": {
		says(ok200 + "Transfer-Encoding: chunked, chunked\r\n\r\n1a\r\n" + validBody + "\r\n0\r\n\r\n"),
		probe.Unexpected, 0,
	},
	"coding_unknown":        {says(ok200 + "Transfer-Encoding: rot13\r\n\r\n" + validBody), probe.Unexpected, 0},
	"chunk_size_garbage":    {says(chunked + "zz\r\n" + validBody), probe.Unexpected, 200},
	"chunk_size_negative":   {says(chunked + "-1\r\n" + validBody), probe.Unexpected, 200},
	"chunk_size_of_65_bits": {says(chunked + "10000000000000000\r\n" + validBody), probe.Unexpected, 200},
	"chunk_without_its_end": {says(chunked + "19\r\n" + validBody + "\r\n0\r\n\r\n"), probe.Unexpected, 200},
	"chunk_of_2_to_63_cut":  {says(chunked + "8000000000000000\r\n" + validBody), probe.Unexpected, 200},
	"rejection_cut": {
		says("HTTP/1.1 403 Forbidden\r\nContent-Length: 99\r\n\r\n{\"message\":\"AccessToken invalid\"}"),
		probe.Unexpected, 403,
	},
	"gzip_of_gzip": {says(packed + gzipMember(gzipMember(validBody))), probe.Unexpected, 200},
	"gzip_declared_twice": {
		says(ok200 + "Content-Encoding: gzip, gzip\r\n\r\n" + gzipMember(gzipMember(validBody))), probe.Unexpected,
		200,
	},
	"gzip_cut":            {says(packed + gzipMember(validBody)[:30]), probe.Unexpected, 200},
	"gzip_wrong_checksum": {says(packed + corrupted(gzipMember(validBody))), probe.Unexpected, 200},
	"gzip_not_at_all":     {says(packed + validBody), probe.Unexpected, 200},
	"coding_that_nobody_asked": {
		says(ok200 + "Content-Encoding: br\r\n\r\n\x8b\x0c\x80" + validBody), probe.Unexpected, 200,
	},

	// Other protocols, and HTTP that is none.
	"http2_frames":       {stalls(http2Settings + goAway), probe.Timeout, 0},
	"http2_frames_cut":   {says(http2Settings + goAway), probe.Unexpected, 0},
	"ssh":                {says("SSH-2.0-OpenSSH_9.2\r\n"), probe.Unexpected, 0},
	"smtp":               {says("220 mail.example ESMTP\r\n"), probe.Unexpected, 0},
	"http_0_9":           {says(validBody + "\r\n"), probe.Unexpected, 0},
	"http_9":             {says("HTTP/9.9 200 OK\r\nContent-Length: 26\r\n\r\n" + validBody), probe.Valid, 200},
	"status_of_2_digits": {says("HTTP/1.1 20 OK\r\n\r\n"), probe.Unexpected, 0},
	"status_of_5_digits": {says("HTTP/1.1 20000 OK\r\n\r\n"), probe.Unexpected, 0},
	"status_negative":    {says("HTTP/1.1 -20 OK\r\n\r\n"), probe.Unexpected, 0},
	"status_000":         {says("HTTP/1.1 000 Nothing\r\n\r\n"), probe.Unexpected, 0},
	"status_999":         {says("HTTP/1.1 999 Denied\r\n\r\n"), probe.Unexpected, 999},
	"nul_in_header": {
		says(ok200 + "X-Nul: a\x00b\r\nContent-Length: 26\r\n\r\n" + validBody), probe.Unexpected, 0,
	},
	"space_before_colon":  {says(ok200 + "X-Space : a\r\nContent-Length: 26\r\n\r\n" + validBody), probe.Valid, 200},
	"cut_in_headers":      {says(ok200 + "X-Cut: a"), probe.Unexpected, 0},
	"reset_in_headers":    {then(ok200+"X-Cut: a", reset), probe.Unreachable, 0},
	"hints_before_answer": {says("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + validAnswer), probe.Valid, 200},
	"switched_and_closed": {
		says("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + validBody),
		probe.Unexpected, 101,
	},
}

// Frames of HTTP/2: no settings, and the end of the connection before any stream, for no error.
const (
	http2Settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	goAway        = "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
)

func TestHostileHTTP(t *testing.T) {
	leavesNothing(t, func(t *testing.T) {
		for name, c := range hostileHTTP {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				attack(t, serveHostile(t, "http", c))
			})
		}
	})
}

// TestHostileMemory checks that no answer makes the exporter allocate much, whatever it unpacks to or how long it is.
func TestHostileMemory(t *testing.T) {
	const bound = 16 << 20 // bytes; all that is allocated in the course of one probe, by the server as well
	for name, c := range hostileHTTP {
		if !strings.Contains(name, "endless") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			session := newSession(t, serveHostile(t, "http", c).config(t))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			probeWithin(t, session, victimToken, c.want)
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > bound {
				t.Errorf("the probe allocated %d KiB, want at most %d", got>>10, bound>>10)
			}
		})
	}
}

// TestRedirectsEndHere checks that no other host is asked anything, whatever the status.
func TestRedirectsEndHere(t *testing.T) {
	leavesNothing(t, func(t *testing.T) {
		for _, status := range []int{300, 301, 302, 303, 305, 307, 308} {
			t.Run(fmt.Sprint(status), func(t *testing.T) {
				t.Parallel()
				var visits atomic.Int64
				elsewhere := listen(t, func(net.Conn, int64) { visits.Add(1) })
				target := urlOf(t, "http", elsewhere).String()
				attack(t, serveHostile(t, "http", hostileCase{
					answer: says(fmt.Sprintf("HTTP/1.1 %d Elsewhere\r\nLocation: %s\r\nRefresh: 0;url=%s\r\nAlt-Svc: h2=%q\r\n"+
						"Connection: close\r\nContent-Length: 0\r\n\r\n",
						status, target, target, elsewhere.Addr())),
					want: probe.Unexpected, status: status,
				}))
				if visits.Load() > 0 {
					t.Error("another host was connected to")
				}
			})
		}
	})
}

// gzipMember returns text as one member of a gzip stream.
func gzipMember(text string) string {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return packed.String()
}

// corrupted changes the checksum of a gzip stream.
func corrupted(packed string) string {
	at := len(packed) - 8
	return packed[:at] + string(packed[at]^0xff) + packed[at+1:]
}
