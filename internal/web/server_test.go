package web

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	toolkit "github.com/prometheus/exporter-toolkit/web"
)

// TestServe checks that the end of serving stops what handles requests, and waits for the responses; also if the address
// is in use, that it stops and says what to do.
func TestServe(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	used := listener.Addr().String()
	flags := func(address string) *toolkit.FlagConfig {
		return &toolkit.FlagConfig{WebListenAddresses: &[]string{address}, WebSystemdSocket: new(bool), WebConfigFile: new(string)}
	}
	logger, stops := slog.New(slog.DiscardHandler), 0
	err = Serve(t.Context(), http.NotFoundHandler(), flags(used), logger, func() { stops++ })
	if err == nil || !strings.Contains(err.Error(), "choose a free host:port") || stops != 1 {
		t.Errorf("%v, stopped %d times", err, stops)
	}

	_ = listener.Close() // now it is free
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		<-stopped
		_, _ = io.WriteString(w, "complete")
	})
	ended := make(chan error)
	go func() { ended <- Serve(ctx, handler, flags(used), logger, func() { close(stopped) }) }()
	var response *http.Response
	for end := time.Now().Add(time.Minute); response == nil && time.Now().Before(end); {
		response, err = http.Get("http://" + used) // fails until it listens
	}
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); string(body) != "complete" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
