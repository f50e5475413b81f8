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
		take, give string
		want       bool
	}{
		{take: "greedy", want: true},
		{take: "greedy", want: true},
		{take: "greedy", want: true},
		{take: "greedy", want: false}, // three quarters
		{take: "other", want: true},
		{take: "third", want: false}, // all
		{give: "greedy"},
		{take: "third", want: true},
		{give: "other"},
		{take: "greedy", want: true},
	} {
		if step.give != "" {
			l.give(step.give)
		} else if got := l.take(step.take); got != step.want {
			t.Errorf("step %d: take(%s) = %v, want %v", i, step.take, got, step.want)
		}
	}
	for range 3 {
		l.give("greedy")
	}
	l.give("third")
	if l.taken != 0 || len(l.byClient) != 0 {
		t.Errorf("%d taken, by %v, after all was given back", l.taken, l.byClient)
	}
	if lone := newLimiter(1); !lone.take("a") {
		t.Error("a limiter of one lets nobody in")
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

func TestScrapesInFlightAreBounded(t *testing.T) {
	for target, places := range map[string]int{"/metrics": maxMetrics, "/probe?target=mobile": maxProbes} {
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
			greedy, polite := places*3/4, places-places*3/4
			enter("192.0.2.1", greedy)
			if status := askFrom(handler, "192.0.2.1:9", target); status != 503 {
				t.Errorf("%s: status %d beyond one client's share, want 503", target, status)
			}
			enter("192.0.2.2", polite)
			if status := askFrom(handler, "192.0.2.3:9", target); status != 503 {
				t.Errorf("%s: status %d beyond all places, want 503", target, status)
			}
			if status := askFrom(handler, "192.0.2.1:9", "/-/healthy"); status != 200 {
				t.Errorf("health: status %d while scrapes are refused", status)
			}
			if got := scraper.scrapes.Load(); got != int32(places) {
				t.Errorf("%s: %d scrapes, want %d", target, got, places)
			}
			close(release)
			wg.Wait()
			if status := askFrom(handler, "192.0.2.1:9", target); status != 200 {
				t.Errorf("%s: status %d when all is quiet again", target, status)
			}
		})
	}
}

func TestRefusalSaysWhenToComeBack(t *testing.T) {
	handler := limit(0, nil)
	recorder := httptest.NewRecorder()
	handler(recorder, httptest.NewRequest("GET", "/metrics", nil))
	if recorder.Code != 503 || recorder.Header().Get("Retry-After") != "1" {
		t.Errorf("status %d, Retry-After %q", recorder.Code, recorder.Header().Get("Retry-After"))
	}
}
