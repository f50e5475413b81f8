package web

import (
	"net"
	"net/http"
	"sync"
)

// limiter bounds how much is under way at once, in all and for each client, so that one greedy client cannot take
// the places of the others. A client is a remote address; behind a reverse proxy all are one.
type limiter struct {
	total     int // places
	perClient int // of them, for one client

	mu       sync.Mutex // guards what follows
	taken    int
	byClient map[string]int // no zero values, so it does not grow
}

// newLimiter returns a limiter with so many places. One client gets three quarters of them: enough for a lone
// Prometheus to be served, and a quarter is always left for someone else.
func newLimiter(places int) *limiter {
	return &limiter{total: places, perClient: max(1, places*3/4), byClient: make(map[string]int)}
}

// take takes a place for the client and reports whether there was one. Each place taken must be given back.
func (l *limiter) take(client string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.taken >= l.total || l.byClient[client] >= l.perClient {
		return false
	}
	l.taken++
	l.byClient[client]++
	return true
}

// give gives back a place that take took.
func (l *limiter) give(client string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken--
	if l.byClient[client]--; l.byClient[client] == 0 {
		delete(l.byClient, client)
	}
}

// limit serves at most so many requests at once; the rest get 503 and are asked to come back in a second.
func limit(places int, next http.HandlerFunc) http.HandlerFunc {
	limiter := newLimiter(places)
	return func(w http.ResponseWriter, r *http.Request) {
		client := clientOf(r.RemoteAddr)
		if !limiter.take(client) {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "Too many requests of this kind are under way. Try again in a second.", http.StatusServiceUnavailable)
			return
		}
		defer limiter.give(client)
		next(w, r)
	}
}

// clientOf returns the host of a remote address, or all of it when it has no port.
func clientOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
