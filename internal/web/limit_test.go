package web

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimiter(t *testing.T) {
	l := newLimiter(4)
	for i, step := range []struct {
		acquire, release string
		want             bool
	}{
		{acquire: "greedy", want: true},
		{acquire: "greedy", want: true},
		{acquire: "greedy", want: true},
		{acquire: "greedy", want: false}, // three quarters
		{acquire: "other", want: true},
		{acquire: "third", want: false}, // all
		{release: "greedy"},
		{acquire: "third", want: true},
		{release: "other"},
		{acquire: "greedy", want: true},
	} {
		if step.release != "" {
			l.release(step.release)
		} else if got := l.acquire(step.acquire); got != step.want {
			t.Errorf("step %d: acquire(%s) = %v, want %v", i, step.acquire, got, step.want)
		}
	}
	for range 3 {
		l.release("greedy")
	}
	l.release("third")
	if l.taken != 0 || len(l.byClient) != 0 {
		t.Errorf("%d taken, by %v, after all were released", l.taken, l.byClient)
	}
	if lone := newLimiter(1); !lone.acquire("a") {
		t.Error("a limiter of one lets no one in")
	}
}

// askFrom makes a GET request from an address and returns the status.
func askFrom(handler http.Handler, address, target string) int {
	r := httptest.NewRequest("GET", target, nil)
	r.RemoteAddr = address
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, r)
	return recorder.Code
}

func TestConcurrentScrapesAreLimited(t *testing.T) {
	for target, slots := range map[string]int{"/metrics": maxMetrics, "/probe?target=mobile2": maxProbes} {
		synctest.Test(t, func(t *testing.T) {
			scraper := &fakeScraper{snapshot: everyState()}
			release := make(chan struct{})
			scraper.onScrape = func(context.Context, time.Time) { <-release }
			handler := newHandler(t, testOptions(scraper))
			var wg sync.WaitGroup
			enter := func(client string, n int) {
				for i := range n {
					wg.Go(func() {
						if status := askFrom(handler, fmt.Sprintf("%s:%d", client, i), target); status != 200 {
							t.Errorf("%s: status %d for request %d of %s", target, status, i, client)
						}
					})
				}
				synctest.Wait()
			}
			greedy, polite := slots*3/4, slots-slots*3/4
			enter("192.0.2.1", greedy)
			if status := askFrom(handler, "192.0.2.1:9", target); status != 503 {
				t.Errorf("%s: status %d beyond one client's share, want 503", target, status)
			}
			enter("192.0.2.2", polite)
			if status := askFrom(handler, "192.0.2.3:9", target); status != 503 {
				t.Errorf("%s: status %d beyond the limit, want 503", target, status)
			}
			if status := askFrom(handler, "192.0.2.1:9", "/-/healthy"); status != 200 {
				t.Errorf("health: status %d while scrapes are refused", status)
			}
			if got := scraper.scrapes.Load(); got != int32(slots) {
				t.Errorf("%s: %d scrapes, want %d", target, got, slots)
			}
			close(release)
			wg.Wait()
			if status := askFrom(handler, "192.0.2.1:9", target); status != 200 {
				t.Errorf("%s: status %d after all were served", target, status)
			}
		})
	}
}

func TestLimitSendsRetryAfter(t *testing.T) {
	handler := limit(0, nil)
	recorder := httptest.NewRecorder()
	handler(recorder, httptest.NewRequest("GET", "/metrics", nil))
	if recorder.Code != 503 || recorder.Header().Get("Retry-After") != "1" {
		t.Errorf("status %d, Retry-After %q", recorder.Code, recorder.Header().Get("Retry-After"))
	}
}
