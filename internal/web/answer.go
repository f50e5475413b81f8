package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// answer collects a handler's answer, compressed as it comes when the client accepts that. While a slow client reads
// it, no more than its text is kept.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
	gzip   *gzip.Writer // nil: not compressed
}

// gzipWriters keeps compressors, each of which is over a megabyte. Metrics repeat themselves so much that the lowest
// level makes them small enough.
var gzipWriters = sync.Pool{New: func() any {
	writer, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil { // impossible: the level is one of the package's own
		panic(err)
	}
	return writer
}}

// newAnswer returns an answer to the request whose header fields go to header.
func newAnswer(header http.Header, r *http.Request) *answer {
	a := &answer{header: header, status: http.StatusOK}
	header.Add("Vary", "Accept-Encoding")
	if acceptsGzip(r.Header.Values("Accept-Encoding")) {
		a.gzip = gzipWriters.Get().(*gzip.Writer)
		a.gzip.Reset(&a.body)
	}
	return a
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) { a.status = status }

func (a *answer) Write(p []byte) (int, error) {
	if a.gzip != nil {
		return a.gzip.Write(p)
	}
	return a.body.Write(p)
}

// send completes the answer and sends it.
func (a *answer) send(w http.ResponseWriter) {
	if a.gzip != nil {
		_ = a.gzip.Close() // a buffer takes everything
		a.gzip.Reset(nil)
		gzipWriters.Put(a.gzip)
		a.header.Set("Content-Encoding", "gzip")
	}
	a.header.Set("Content-Length", strconv.Itoa(a.body.Len()))
	w.WriteHeader(a.status)
	_, _ = io.Copy(w, &a.body) // a client that is gone by now is nobody's problem
}

// acceptsGzip reports whether the values of Accept-Encoding admit gzip (RFC 9110, section 12.5.3).
func acceptsGzip(values []string) bool {
	anything := false
	for coding := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, parameters, _ := strings.Cut(coding, ";")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip", "x-gzip":
			return !isZeroWeight(parameters)
		case "*":
			anything = !isZeroWeight(parameters)
		}
	}
	return anything
}

// isZeroWeight reports whether the parameters say "q=0", which means: not this one.
func isZeroWeight(parameters string) bool {
	name, value, _ := strings.Cut(strings.TrimSpace(parameters), "=")
	weight, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	return strings.EqualFold(strings.TrimSpace(name), "q") && err == nil && weight <= 0
}
