package web

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// strictPolicy is the Content-Security-Policy of everything but the status page.
const strictPolicy = "default-src 'none'; frame-ancestors 'none'"

// securityHeaders adds headers that tell a browser to do nothing with a response but show it. Headers that
// --web.config.file sets take precedence.
//
// It also closes the connection after a request with a body, which no endpoint needs: a proxy in front may disagree
// about where that body ends, and what follows could be a request smuggled past it (RFC 9112, section 6.3).
func securityHeaders(next http.Handler) http.Handler {
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

// recoverPanics turns a panic of a handler into a log line and status 500. If part of the response has been written, it
// aborts the connection instead, so that the client does not take the part for the whole.
func recoverPanics(logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		watched := &watchedWriter{ResponseWriter: w}
		defer func() {
			problem := recover()
			if problem == nil {
				return
			}
			if problem != http.ErrAbortHandler {
				logger.Error("A request handler panicked; this is a bug",
					"method", r.Method, "path", r.URL.Path, "panic", fmt.Sprint(problem), "stack", string(debug.Stack()))
			}
			if watched.wrote || problem == http.ErrAbortHandler {
				panic(http.ErrAbortHandler)
			}
			http.Error(w, "Internal error; see the exporter's log.", http.StatusInternalServerError)
		}()
		next.ServeHTTP(watched, r)
	})
}

// watchedWriter records whether anything was written.
type watchedWriter struct {
	http.ResponseWriter
	wrote bool
}

func (w *watchedWriter) WriteHeader(status int) {
	w.wrote = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *watchedWriter) Write(body []byte) (int, error) {
	w.wrote = true
	return w.ResponseWriter.Write(body)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
