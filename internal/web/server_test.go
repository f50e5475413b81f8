package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are in memory, so that a server on it runs in virtual time.
type pipes struct {
	connections chan net.Conn
	closed      chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case connection := <-p.connections:
		return connection, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// pipeFrom is the server's end of a connection from a host.
type pipeFrom struct {
	net.Conn
	host string
}

func (p pipeFrom) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(p.host), Port: 9} }

// dial opens a connection to the server as if from the host.
func (p pipes) dial(host string) net.Conn {
	client, server := net.Pipe()
	p.connections <- pipeFrom{server, host}
	return client
}

// serve starts a server for the handler and stops it at the test's end.
func serve(t *testing.T, handler http.Handler) pipes {
	listener := pipes{make(chan net.Conn), make(chan struct{})}
	server := Server(handler, slog.New(slog.DiscardHandler))
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener
}

// testTimeout makes tests fail instead of hang.
const testTimeout = 24 * time.Hour

// closedAfter returns how long it takes until the server closes the connection, without a response or with an error.
func closedAfter(t *testing.T, connection net.Conn) time.Duration {
	t.Helper()
	start := time.Now()
	_ = connection.SetReadDeadline(start.Add(testTimeout))
	answer, _ := io.ReadAll(connection)
	if text := string(answer); text != "" && !strings.HasPrefix(text, "HTTP/1.1 4") {
		t.Errorf("unexpected answer %q", text)
	}
	return time.Since(start)
}

// The times are spelt out here: a limit that is changed by mistake must not change what is wanted of it.
func TestSlowClientsAreCutOff(t *testing.T) {
	for _, test := range []struct {
		name string
		send string
		want time.Duration
	}{
		{"sends nothing", "", 5 * time.Second},
		{"stops in the header", "GET / HTTP/1.1\r\nHost: x\r\n", 5 * time.Second},
		{"stops in the body", "POST /-/healthy HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", 10 * time.Second},
		{"is answered and stays", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 6 * time.Minute},
		{"stops in the second header", "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n", 5 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			// Reading the body is what net/http does of itself after a handler that did not.
			drain := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(http.StatusBadRequest)
			})
			connection := serve(t, drain).dial("192.0.2.1")
			go func() { _, _ = io.WriteString(connection, test.send) }()
			if got := closedAfter(t, connection); got != test.want {
				t.Errorf("%s: cut off after %v, want %v", test.name, got, test.want)
			}
		})
	}
}

// Connections in memory buffer nothing, so a client that does not read holds up the first byte of any answer.
func TestClientsThatDoNotReadAreCutOff(t *testing.T) {
	const answering = 30 * time.Second
	for _, test := range []struct {
		target, timeout string // the request, and its scrape timeout header
		want            time.Duration
	}{
		{"/", "", answering},
		{"/sd", "", answering},
		{"/-/healthy", "", answering},
		{"/metrics", "", answering}, // from the end of the scrape
		{"/metrics", "60.5", answering},
		{"/probe?target=mobile2", "60.5", answering},
		{"/debug/pprof/cmdline", "", 5*time.Minute + answering},
	} {
		synctest.Test(t, func(t *testing.T) {
			options := testOptions(&fakeScraper{snapshot: everyState()})
			options.EnablePprof = true
			connection := serve(t, newHandler(t, options)).dial("192.0.2.1")
			start := time.Now()
			_ = connection.SetWriteDeadline(start.Add(testTimeout))
			_, _ = fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: x\r\n%s: %s\r\n\r\n",
				test.target, timeoutHeader, test.timeout)
			// The server takes no more before its answer is gone, so writing ends when it closes the connection.
			_, _ = connection.Write(make([]byte, 1<<20))
			if got := time.Since(start); got != test.want {
				t.Errorf("%s with a timeout of %q: cut off after %v, want %v", test.target, test.timeout, got, test.want)
			}
		})
	}
}

func TestOversizeHeadersAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connection := serve(t, http.NotFoundHandler()).dial("192.0.2.1")
		go func() {
			_, _ = fmt.Fprintf(connection, "GET / HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("x", 2*maxHeaderBytes))
		}()
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil || response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%v, %v, want status 431", response, err)
		}
		_, _ = io.Copy(io.Discard, connection) // until the server closes it
	})
}

// A scrape may last longer than readTimeout and writeTimeout: neither may end its context or keep back its answer.
func TestLongScrapesAreAnswered(t *testing.T) {
	const long = 2 * (writeTimeout + readTimeout)
	for target, timeout := range map[string]string{
		"/metrics": fmt.Sprint(long.Seconds()), "/probe?target=mobile2": fmt.Sprint(long.Seconds()), "/metrics?": "",
	} {
		synctest.Test(t, func(t *testing.T) {
			scraper := &fakeScraper{snapshot: everyState()}
			scraper.onScrape = func(ctx context.Context, deadline time.Time) {
				if deadline.IsZero() {
					deadline = time.Now().Add(long - 500*time.Millisecond)
				}
				select {
				case <-ctx.Done():
					t.Errorf("%s: the context ended: %v", target, ctx.Err())
				case <-time.After(time.Until(deadline)):
				}
			}
			connection := serve(t, newHandler(t, testOptions(scraper))).dial("192.0.2.1")
			start := time.Now()
			go func() {
				_, _ = fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: x\r\n%s: %s\r\n\r\n", target, timeoutHeader, timeout)
			}()
			response, err := http.ReadResponse(bufio.NewReader(connection), nil)
			if err != nil || response.StatusCode != http.StatusOK {
				t.Fatalf("%s: %v, %v", target, response, err)
			}
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				t.Errorf("%s: reading the answer: %v", target, err)
			}
			if took := time.Since(start); took >= long || took < long-time.Second {
				t.Errorf("%s: answered after %v, want just before %v", target, took, long)
			}
			_ = connection.Close()
		})
	}
}

func TestHangUpEndsTheScrapesContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		scraper := &fakeScraper{snapshot: everyState()}
		scraper.onScrape = func(ctx context.Context, _ time.Time) {
			<-ctx.Done()
			ended <- ctx.Err()
		}
		connection := serve(t, newHandler(t, testOptions(scraper))).dial("192.0.2.1")
		_, _ = io.WriteString(connection, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
		synctest.Wait()
		_ = connection.Close()
		if err := <-ended; err != context.Canceled {
			t.Errorf("the scrape's context ended with %v", err)
		}
	})
}

func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := serve(t, newHandler(t, testOptions(&fakeScraper{})))
		healthy := func(host string) bool {
			connection := listener.dial(host)
			defer func() { _ = connection.Close() }()
			go func() { _, _ = io.WriteString(connection, "GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n") }()
			response, err := http.ReadResponse(bufio.NewReader(connection), nil)
			return err == nil && response.StatusCode == http.StatusOK
		}
		var idle []net.Conn
		for range maxConnections * 3 / 4 {
			idle = append(idle, listener.dial("192.0.2.1"))
		}
		if healthy("192.0.2.1") {
			t.Error("one client got more than its share of the connections")
		}
		if !healthy("192.0.2.2") {
			t.Error("a greedy client keeps another one out")
		}
		for _, connection := range idle {
			_ = connection.Close()
		}
		synctest.Wait()
		if !healthy("192.0.2.1") {
			t.Error("closed connections still count")
		}
	})
}
