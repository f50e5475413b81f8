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
	"slow_status_line":   {answer: drips("HTTP/1.1 200 ", "O"), want: probe.Timeout},
	"slow_header":        {answer: drips(ok200, "X-Slow: slow\r\n"), want: probe.Timeout},
	"slow_body":          {answer: drips(ok200+"Content-Length: 9999\r\n\r\n", " "), want: probe.Timeout, status: 200},
	"slow_endless_body":  {answer: drips(ok200+"\r\n"+validBody, " "), want: probe.Timeout, status: 200},
	"slow_chunks":        {answer: drips(chunked, "1\r\n \r\n"), want: probe.Timeout, status: 200},
	"slow_chunk_size":    {answer: drips(chunked, "0"), want: probe.Timeout, status: 200},
	"slow_trailer":       {answer: drips(chunked+"1a\r\n"+validBody+"\r\n0\r\n", "X-Slow: slow\r\n"), want: probe.Timeout, status: 200},
	"slow_1xx":           {answer: drips("", "HTTP/1.1 103 Early Hints\r\n\r\n"), want: probe.Timeout},
	"slow_rejection":     {answer: drips("HTTP/1.1 401 Unauthorized\r\nContent-Length: 9999\r\n\r\n", " "), want: probe.Timeout, status: 401},
	"silent_after_100":   {answer: stalls("HTTP/1.1 100 Continue\r\n\r\n"), want: probe.Timeout},
	"silent_last_chunk":  {answer: stalls(chunked + "1a\r\n" + validBody + "\r\n"), want: probe.Timeout, status: 200},
	"silent_after_101":   {answer: stalls("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), want: probe.Unexpected, status: 101},
	"length_of_8_EiB":    {answer: stalls(ok200 + "Content-Length: 9223372036854775807\r\n\r\n" + validBody), want: probe.Timeout, status: 200},
	"chunk_of_8_EiB":     {answer: stalls(chunked + "7fffffffffffffff\r\n" + validBody), want: probe.Timeout, status: 200},
	"chunk_of_2_to_63":   {answer: stalls(chunked + "8000000000000000\r\n" + validBody), want: probe.Timeout, status: 200},
	"gzip_empty_members": {answer: drips(packed, gzipMember("")), want: probe.Timeout, status: 200},

	// Endless or huge.
	"endless_status_line":   {answer: floods("HTTP/1.1 200 ", "O"), want: probe.Unexpected},
	"endless_header":        {answer: floods(ok200+"X-Long: ", "long"), want: probe.Unexpected},
	"endless_headers":       {answer: floods(ok200, "X-More: more\r\n"), want: probe.Unexpected},
	"endless_folded_header": {answer: floods(ok200+"X-Fold: a\r\n", " b\r\n"), want: probe.Unexpected},
	"endless_100":           {answer: floods("", "HTTP/1.1 100 Continue\r\n\r\n"), want: probe.Unexpected},
	"endless_103":           {answer: floods("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), want: probe.Unexpected},
	"header_of_65_KiB":      {answer: says(ok200 + "X-Long: " + strings.Repeat("a", 65<<10) + "\r\nContent-Length: 26\r\n\r\n" + validBody), want: probe.Unexpected},
	"header_of_60_KiB":      {answer: says(ok200 + "X-Long: " + strings.Repeat("a", 60<<10) + "\r\nContent-Length: 26\r\n\r\n" + validBody), want: probe.Valid, status: 200},
	"headers_100000":        {answer: says(ok200 + strings.Repeat("A: b\r\n", 100_000) + "\r\n"), want: probe.Unexpected},
	"headers_10000":         {answer: says(ok200 + strings.Repeat("A: b\r\n", 10_000) + "Content-Length: 26\r\n\r\n" + validBody), want: probe.Valid, status: 200},
	"endless_body":          {answer: floods(ok200+"\r\n"+validBody, " "), want: probe.Unexpected, status: 200},
	"endless_chunks":        {answer: floods(chunked, "1\r\n \r\n"), want: probe.Unexpected, status: 200},
	"endless_chunk_size":    {answer: floods(chunked, "0"), want: probe.Unexpected, status: 200},
	"endless_extensions":    {answer: floods(chunked, "1;"+strings.Repeat("x", 1000)+"\r\n \r\n"), want: probe.Unexpected, status: 200},
	"endless_trailers":      {answer: floods(chunked+"1a\r\n"+validBody+"\r\n0\r\n", "X-More: more\r\n"), want: probe.Unexpected, status: 200},
	"gzip_bomb_endless":     {answer: floods(packed, gzipMember(strings.Repeat(" ", 16<<20))), want: probe.Unexpected, status: 200},
	"gzip_name_endless":     {answer: floods(packed+"\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\xff", "name"), want: probe.Unexpected, status: 200},
	"gzip_extra_field":      {answer: stalls(packed + "\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff\xff\xff"), want: probe.Timeout, status: 200},
	"rejection_endless":     {answer: floods("HTTP/1.1 401 Unauthorized\r\n\r\n", " "), want: probe.Unexpected, status: 401},

	// Lengths and codings that lie.
	"length_too_long":          {answer: says(ok200 + "Content-Length: 27\r\n\r\n" + validBody), want: probe.Unexpected, status: 200},
	"length_negative":          {answer: says(ok200 + "Content-Length: -1\r\n\r\n" + validBody), want: probe.Unexpected},
	"length_hexadecimal":       {answer: says(ok200 + "Content-Length: 0x1a\r\n\r\n" + validBody), want: probe.Unexpected},
	"length_beyond_64_bits":    {answer: says(ok200 + "Content-Length: 99999999999999999999\r\n\r\n" + validBody), want: probe.Unexpected},
	"lengths_that_differ":      {answer: says(ok200 + "Content-Length: 26\r\nContent-Length: 27\r\n\r\n" + validBody), want: probe.Unexpected},
	"lengths_that_agree":       {answer: says(ok200 + "Content-Length: 26\r\nContent-Length: 26\r\n\r\n" + validBody), want: probe.Valid, status: 200},
	"coding_twice":             {answer: says(ok200 + "Transfer-Encoding: chunked, chunked\r\n\r\n1a\r\n" + validBody + "\r\n0\r\n\r\n"), want: probe.Unexpected},
	"coding_unknown":           {answer: says(ok200 + "Transfer-Encoding: rot13\r\n\r\n" + validBody), want: probe.Unexpected},
	"chunk_size_garbage":       {answer: says(chunked + "zz\r\n" + validBody), want: probe.Unexpected, status: 200},
	"chunk_size_negative":      {answer: says(chunked + "-1\r\n" + validBody), want: probe.Unexpected, status: 200},
	"chunk_size_of_65_bits":    {answer: says(chunked + "10000000000000000\r\n" + validBody), want: probe.Unexpected, status: 200},
	"chunk_without_its_end":    {answer: says(chunked + "19\r\n" + validBody + "\r\n0\r\n\r\n"), want: probe.Unexpected, status: 200},
	"chunk_of_2_to_63_cut":     {answer: says(chunked + "8000000000000000\r\n" + validBody), want: probe.Unexpected, status: 200},
	"rejection_cut":            {answer: says("HTTP/1.1 403 Forbidden\r\nContent-Length: 99\r\n\r\n{\"message\":\"AccessToken invalid\"}"), want: probe.Unexpected, status: 403},
	"gzip_of_gzip":             {answer: says(packed + gzipMember(gzipMember(validBody))), want: probe.Unexpected, status: 200},
	"gzip_declared_twice":      {answer: says(ok200 + "Content-Encoding: gzip, gzip\r\n\r\n" + gzipMember(gzipMember(validBody))), want: probe.Unexpected, status: 200},
	"gzip_cut":                 {answer: says(packed + gzipMember(validBody)[:30]), want: probe.Unexpected, status: 200},
	"gzip_wrong_checksum":      {answer: says(packed + corrupted(gzipMember(validBody))), want: probe.Unexpected, status: 200},
	"gzip_not_at_all":          {answer: says(packed + validBody), want: probe.Unexpected, status: 200},
	"coding_that_nobody_asked": {answer: says(ok200 + "Content-Encoding: br\r\n\r\n\x8b\x0c\x80" + validBody), want: probe.Unexpected, status: 200},

	// Other protocols, and HTTP that is none.
	"http2_frames":        {answer: stalls(http2Settings + goAway), want: probe.Timeout},
	"http2_frames_cut":    {answer: says(http2Settings + goAway), want: probe.Unexpected},
	"ssh":                 {answer: says("SSH-2.0-OpenSSH_9.2\r\n"), want: probe.Unexpected},
	"smtp":                {answer: says("220 mail.example ESMTP\r\n"), want: probe.Unexpected},
	"http_0_9":            {answer: says(validBody + "\r\n"), want: probe.Unexpected},
	"http_9":              {answer: says("HTTP/9.9 200 OK\r\nContent-Length: 26\r\n\r\n" + validBody), want: probe.Valid, status: 200},
	"status_of_2_digits":  {answer: says("HTTP/1.1 20 OK\r\n\r\n"), want: probe.Unexpected},
	"status_of_5_digits":  {answer: says("HTTP/1.1 20000 OK\r\n\r\n"), want: probe.Unexpected},
	"status_negative":     {answer: says("HTTP/1.1 -20 OK\r\n\r\n"), want: probe.Unexpected},
	"status_000":          {answer: says("HTTP/1.1 000 Nothing\r\n\r\n"), want: probe.Unexpected},
	"status_999":          {answer: says("HTTP/1.1 999 Denied\r\n\r\n"), want: probe.Unexpected, status: 999},
	"nul_in_header":       {answer: says(ok200 + "X-Nul: a\x00b\r\nContent-Length: 26\r\n\r\n" + validBody), want: probe.Unexpected},
	"space_before_colon":  {answer: says(ok200 + "X-Space : a\r\nContent-Length: 26\r\n\r\n" + validBody), want: probe.Valid, status: 200},
	"cut_in_headers":      {answer: says(ok200 + "X-Cut: a"), want: probe.Unexpected},
	"reset_in_headers":    {answer: then(ok200+"X-Cut: a", reset), want: probe.Unreachable},
	"hints_before_answer": {answer: says("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + validAnswer), want: probe.Valid, status: 200},
	"switched_and_closed": {answer: says("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + validBody), want: probe.Unexpected, status: 101},
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
					answer: says(fmt.Sprintf("HTTP/1.1 %d Elsewhere\r\nLocation: %s\r\nRefresh: 0;url=%s\r\nAlt-Svc: h2=%q\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
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
