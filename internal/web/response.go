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

// bufferedResponse buffers a response, gzipped if the client accepts that, so that the handler is done before a slow
// client begins to read.
type bufferedResponse struct {
	header http.Header
	status int
	body   bytes.Buffer
	gzip   *gzip.Writer // nil: not compressed
}

// gzipWriters keeps compressors, which take over a megabyte each. Metrics are so repetitive that the lowest level
// compresses them well enough.
var gzipWriters = sync.Pool{New: func() any {
	writer, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // impossible: the level is a constant of the package
	}
	return writer
}}

// newBufferedResponse returns a response to r whose header fields are set in header.
func newBufferedResponse(header http.Header, r *http.Request) *bufferedResponse {
	b := &bufferedResponse{header: header, status: http.StatusOK}
	header.Add("Vary", "Accept-Encoding")
	if acceptsGzip(r.Header.Values("Accept-Encoding")) {
		b.gzip = gzipWriters.Get().(*gzip.Writer)
		b.gzip.Reset(&b.body)
	}
	return b
}

func (b *bufferedResponse) Header() http.Header { return b.header }

func (b *bufferedResponse) WriteHeader(status int) { b.status = status }

func (b *bufferedResponse) Write(p []byte) (int, error) {
	if b.gzip != nil {
		return b.gzip.Write(p)
	}
	return b.body.Write(p)
}

// send completes the response and writes it to w.
func (b *bufferedResponse) send(w http.ResponseWriter) {
	if b.gzip != nil {
		_ = b.gzip.Close() // writing to a buffer never fails
		b.gzip.Reset(nil)
		gzipWriters.Put(b.gzip)
		b.header.Set("Content-Encoding", "gzip")
	}
	b.header.Set("Content-Length", strconv.Itoa(b.body.Len()))
	w.WriteHeader(b.status)
	_, _ = io.Copy(w, &b.body) // fails if the client is gone
}

// acceptsGzip reports whether the values of Accept-Encoding allow gzip (RFC 9110, section 12.5.3).
func acceptsGzip(values []string) bool {
	wildcard := false
	for coding := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, parameters, _ := strings.Cut(coding, ";")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip", "x-gzip":
			return !isZeroWeight(parameters)
		case "*":
			wildcard = !isZeroWeight(parameters)
		}
	}
	return wildcard
}

// isZeroWeight reports whether the parameters are "q=0", which excludes a coding.
func isZeroWeight(parameters string) bool {
	name, value, _ := strings.Cut(strings.TrimSpace(parameters), "=")
	weight, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	return strings.EqualFold(strings.TrimSpace(name), "q") && err == nil && weight <= 0
}
