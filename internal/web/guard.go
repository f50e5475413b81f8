package web

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// strictPolicy is the Content-Security-Policy of all that is no page.
const strictPolicy = "default-src 'none'; frame-ancestors 'none'"

// secure adds the headers that tell a browser to do nothing with an answer but show it. What
// --web.config.file sets has the last word.
//
// It also closes the connection after a request with a body, which nothing here asks for: where that body ends, a proxy
// in front may see otherwise, and what follows it would be a request smuggled past that proxy (RFC 9112, section 6.3).
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setDefault(w.Header(), "Content-Security-Policy", strictPolicy)
		setDefault(w.Header(), "X-Content-Type-Options", "nosniff")
		setDefault(w.Header(), "Referrer-Policy", "no-referrer")
		setDefault(w.Header(), "Cache-Control", "no-store")
		if r.ContentLength != 0 {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

func setDefault(header http.Header, key, value string) {
	if header.Get(key) == "" {
		header.Set(key, value)
	}
}

// survive turns a panic of a handler into a log line and 500. When part of an answer is already under way it cuts the
// connection instead, so that nobody takes the part for the whole.
func survive(logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		watched := &watchedWriter{ResponseWriter: w}
		defer func() {
			problem := recover()
			if problem == nil {
				return
			}
			if problem != http.ErrAbortHandler {
				logger.Error("A request handler panicked; this is a bug.",
					"method", r.Method, "path", r.URL.Path, "panic", fmt.Sprint(problem), "stack", string(debug.Stack()))
			}
			if watched.began || problem == http.ErrAbortHandler {
				panic(http.ErrAbortHandler)
			}
			http.Error(w, "Internal error; the exporter's log says more.", http.StatusInternalServerError)
		}()
		next.ServeHTTP(watched, r)
	})
}

// watchedWriter notes whether the answer has begun.
type watchedWriter struct {
	http.ResponseWriter
	began bool
}

func (w *watchedWriter) WriteHeader(status int) {
	w.began = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *watchedWriter) Write(body []byte) (int, error) {
	w.began = true
	return w.ResponseWriter.Write(body)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
