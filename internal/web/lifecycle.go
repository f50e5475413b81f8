package web

import (
	"fmt"
	"io"
	"net/http"
	"sync"
)

// serveHealthy reports whether the exporter can do its work. Whether tokens are valid does not matter.
func serveHealthy(healthy func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := healthy(); err != nil {
			http.Error(w, fmt.Sprintf("appfigures_exporter is not healthy: %v", err), http.StatusServiceUnavailable)
			return
		}
		writeText(w, "appfigures_exporter is healthy.\n")
	}
}

// serveReady reports whether scrapes are served.
func serveReady(ready func() bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if !ready() {
			http.Error(w, "appfigures_exporter is not ready: it is starting or shutting down.", http.StatusServiceUnavailable)
			return
		}
		writeText(w, "appfigures_exporter is ready.\n")
	}
}

// serveReload reloads the configuration, for one client at a time.
func serveReload(reload func() error) http.HandlerFunc {
	var mu sync.Mutex
	return func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if err := reload(); err != nil {
			http.Error(w, fmt.Sprintf("Reloading the configuration failed; keeping the old one: %v", err),
				http.StatusInternalServerError)
			return
		}
		writeText(w, "Configuration reloaded.\n")
	}
}

// writeText responds with status 200 and plain text.
func writeText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, text) // fails if the client is gone
}
