package web

import (
	"fmt"
	"io"
	"net/http"
	"sync"
)

// serveHealthy says that the process serves requests. It has nothing to do with whether tokens are valid.
func serveHealthy(w http.ResponseWriter, _ *http.Request) {
	writeText(w, "appfigures_exporter is healthy.\n")
}

// serveReady says whether scrapes are served.
func serveReady(ready func() bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if !ready() {
			http.Error(w, "appfigures_exporter is not ready: it is starting or shutting down.", http.StatusServiceUnavailable)
			return
		}
		writeText(w, "appfigures_exporter is ready.\n")
	}
}

// serveReload reloads the configuration, one client after the other.
func serveReload(reload func() error) http.HandlerFunc {
	var mu sync.Mutex
	return func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if err := reload(); err != nil {
			http.Error(w, fmt.Sprintf("The configuration was not reloaded, the old one stays in use: %v", err), http.StatusInternalServerError)
			return
		}
		writeText(w, "The configuration was reloaded.\n")
	}
}

// writeText answers 200 with plain text. A client that is gone by now is nobody's problem.
func writeText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, text)
}
