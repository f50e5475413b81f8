package web

import (
	"net"
	"net/http"
	"sync"
)

// limiter bounds how many requests or connections are open at once, in total and per client, so that clients which read
// slowly or view many pages cannot lock out Prometheus. A client is a remote IP address; behind a reverse proxy all
// clients are one.
type limiter struct {
	total     int
	perClient int

	mu       sync.Mutex // guards the fields below
	taken    int
	byClient map[string]int // has no zero values, so that it does not grow
}

// newLimiter returns a limiter of n. One client may take three quarters: enough for a lone Prometheus, and a quarter is
// left for others.
func newLimiter(n int) *limiter {
	return &limiter{total: n, perClient: max(1, n*3/4), byClient: make(map[string]int)}
}

// acquire reports whether the client may open one more. If so, it must be released.
func (l *limiter) acquire(client string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.taken >= l.total || l.byClient[client] >= l.perClient {
		return false
	}
	l.taken++
	l.byClient[client]++
	return true
}

// release undoes a successful acquire.
func (l *limiter) release(client string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken--
	if l.byClient[client]--; l.byClient[client] == 0 {
		delete(l.byClient, client)
	}
}

// limit serves at most n requests at once. Others get status 503 and may retry in a second.
func limit(n int, next http.HandlerFunc) http.HandlerFunc {
	limiter := newLimiter(n)
	return func(w http.ResponseWriter, r *http.Request) {
		client := hostOf(r.RemoteAddr)
		if !limiter.acquire(client) {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "Too many concurrent requests of this kind. Try again in a second.", http.StatusServiceUnavailable)
			return
		}
		defer limiter.release(client)
		next(w, r)
	}
}

// hostOf returns the host of a remote address, or the whole address if it has no port.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
