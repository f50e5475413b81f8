package web

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPanicBecomesStatus500(t *testing.T) {
	var log bytes.Buffer
	options := testOptions(&fakeScraper{})
	options.Logger = slog.New(slog.NewTextHandler(&log, nil))
	options.Ready = func() bool { panic("broken gauge") }
	handler := newHandler(t, options)

	answer := ask(handler, "GET", "/-/ready")
	if answer.Code != 500 || strings.Contains(answer.Body.String(), "broken gauge") {
		t.Errorf("status %d, want 500 without details: %s", answer.Code, answer.Body)
	}
	for _, want := range []string{"broken gauge", "path=/-/ready", "middleware_test.go"} {
		if strings.Count(log.String(), want) == 0 {
			t.Errorf("the log lacks %q: %s", want, log.String())
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d log lines, want 1", n)
	}
	if answer := ask(handler, "GET", "/-/healthy"); answer.Code != 200 {
		t.Errorf("status %d after a panic, want 200", answer.Code)
	}
}

func TestPanicDuringResponseAborts(t *testing.T) {
	handler := recoverPanics(slog.New(slog.DiscardHandler), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "part")
		panic("late")
	}))
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("the server would see %v, want http.ErrAbortHandler", got)
		}
	}()
	ask(handler, "GET", "/")
	t.Error("the client takes the part for the whole")
}

func TestPanicReleasesItsSlot(t *testing.T) {
	scraper := &fakeScraper{snapshot: everyState()}
	fail := true
	scraper.onScrape = func(context.Context, time.Time) {
		if fail {
			panic("no scrape")
		}
	}
	handler := newHandler(t, testOptions(scraper))
	for range 2 * maxMetrics {
		if answer := ask(handler, "GET", "/metrics"); answer.Code != 500 {
			t.Fatalf("status %d, want 500", answer.Code)
		}
	}
	fail = false
	if answer := ask(handler, "GET", "/metrics"); answer.Code != 200 {
		t.Errorf("status %d, want 200", answer.Code)
	}
}

// TestBodyClosesConnection checks that a connection ends after a request with a body, and only then.
func TestBodyClosesConnection(t *testing.T) {
	const next = "GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	for name, test := range map[string]struct {
		first   string
		answers int
	}{
		"no body":       {"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n", 2},
		"an empty body": {"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 2},
		"a body":        {"GET /-/healthy HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", 1},
		"chunks":        {"GET /-/healthy HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1},
		"chunks and length": {"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n" +
			"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1},
		"a body, no page": {"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				connection := serve(t, newHandler(t, testOptions(&fakeScraper{}))).dial("192.0.2.1")
				go func() { _, _ = io.WriteString(connection, test.first+next) }()
				text, _ := io.ReadAll(connection)
				if got := strings.Count(string(text), "HTTP/1.1 "); got != test.answers {
					t.Errorf("%d answers, want %d: %s", got, test.answers, text)
				}
				connection.Close()
			})
		})
	}
}
