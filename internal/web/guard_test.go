package web

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestPanicsBecome500AndALogLine(t *testing.T) {
	var log bytes.Buffer
	options := testOptions(&fakeScraper{})
	options.Logger = slog.New(slog.NewTextHandler(&log, nil))
	options.Ready = func() bool { panic("broken gauge") }
	handler := newHandler(t, options)

	answer := ask(handler, "GET", "/-/ready")
	if answer.Code != 500 || strings.Contains(answer.Body.String(), "broken gauge") {
		t.Errorf("status %d, want 500 without details: %s", answer.Code, answer.Body)
	}
	for _, want := range []string{"broken gauge", "path=/-/ready", "guard_test.go"} {
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

func TestAPanicInTheMidstOfAnAnswerCutsIt(t *testing.T) {
	handler := survive(slog.New(slog.DiscardHandler), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "part")
		panic("late")
	}))
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("the server would see %v, want http.ErrAbortHandler", got)
		}
	}()
	ask(handler, "GET", "/")
	t.Error("the part passes for the whole")
}

func TestAPanicGivesItsPlacesBack(t *testing.T) {
	options := testOptions(&fakeScraper{snapshot: everyState()})
	fail := true
	options.DefaultTimeout = func() time.Duration {
		if fail {
			panic("no timeout")
		}
		return time.Second
	}
	handler := newHandler(t, options)
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
