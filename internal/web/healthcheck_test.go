package web

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestHealthcheck(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		tls    *tls.Config // the server's; nil: no TLS
	}{
		{"plain", 200, nil},
		{"not healthy", 503, nil},
		{"404 of another program", 404, nil},
		{"redirect", 302, nil},
		{"basic auth", 401, nil},
		{"TLS", 200, &tls.Config{}},
		{"TLS, not healthy", 503, &tls.Config{}},
		{"client certificate", 200, &tls.Config{ClientAuth: tls.RequireAnyClientCert}},
		{"client certificate, TLS 1.2", 200,
			&tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}},
		{"optional client certificate, not healthy", 503, &tls.Config{ClientAuth: tls.RequestClientCert}},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.URL.Path != "/-/healthy" {
					t.Errorf("%s %s", r.Method, r.URL)
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, "because\nof this\n")
			}))
			server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
			if server.TLS = test.tls; test.tls != nil {
				server.StartTLS()
			} else {
				server.Start()
			}
			defer server.Close()
			err := Healthcheck(t.Context(), server.Listener.Addr().String())
			want := fmt.Sprintf("/-/healthy: %d %s: because of this", test.status, http.StatusText(test.status))
			switch {
			case test.status < 500 && err != nil:
				t.Error(err)
			case test.status >= 500 && (err == nil || !strings.HasSuffix(err.Error(), want)):
				t.Errorf("error %v, want %s", err, want)
			}
		})
	}
}

// TestHealthcheckFails checks what is reported if nobody listens, and that the check ends with its context.
func TestHealthcheckFails(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	address := server.Listener.Addr().String()
	server.Close()
	_, port, _ := net.SplitHostPort(address)
	for _, listen := range []string{address, ":" + port, "0.0.0.0:" + port} {
		if err := Healthcheck(t.Context(), listen); err == nil ||
			!strings.Contains(err.Error(), "connection refused; is it running, ") {
			t.Errorf("%s: %v, want connection refused", listen, err)
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel() // as if the time were up
		<-r.Context().Done()
	}))
	defer hanging.Close()
	if err := Healthcheck(ctx, hanging.Listener.Addr().String()); err == nil ||
		!strings.Contains(err.Error(), "context canceled") {
		t.Errorf("error %v, want context canceled", err)
	}
}

func TestDialAddresses(t *testing.T) {
	for listen, want := range map[string][]string{
		":10187":              {"127.0.0.1:10187", "[::1]:10187"},
		"0.0.0.0:10187":       {"127.0.0.1:10187"},
		"[::]:10187":          {"[::1]:10187", "127.0.0.1:10187"},
		"[::1]:10187":         {"[::1]:10187"},
		"192.0.2.1:10187":     {"192.0.2.1:10187"},
		"127.0.0.1:http":      {"127.0.0.1:80"},
		"[fe80::1%eth0]:1018": {"[fe80::1%eth0]:1018"},
	} {
		if got, err := dialAddresses(listen); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", listen, got, err, want)
		}
	}
	for listen, want := range map[string]string{
		"10187":          "must be host:port",
		"localhost":      "must be host:port",
		"127.0.0.1:0":    "fixed one",
		"127.0.0.1:":     "fixed one",
		"localhost:nope": "no such port",
		"vsock://:9":     "not supported",
		"unix:///x.sock": "unix sockets and vsock are not supported",
	} {
		if _, err := dialAddresses(listen); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one that says %q", listen, err, want)
		}
	}
}
