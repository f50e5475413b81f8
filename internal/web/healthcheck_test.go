package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
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
		{"redirect", 302, nil},
		{"basic auth", 401, nil},
		{"TLS", 200, &tls.Config{}},
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
			_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
			err := Healthcheck(t.Context(), ":"+port)
			want := fmt.Sprintf(" is not healthy: %d %s: because of this", test.status, http.StatusText(test.status))
			switch {
			case test.status < 500 && err != nil:
				t.Error(err)
			case test.status >= 500 && (err == nil || !strings.HasSuffix(err.Error(), want)):
				t.Errorf("error %v, want %s", err, want)
			}
		})
	}
}

// TestHealthcheckFails checks what is reported if nobody listens, or the time is up.
func TestHealthcheckFails(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	address := server.Listener.Addr().String()
	server.Close()
	_, port, _ := net.SplitHostPort(address)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	const want = "connection refused; is it running, "
	for _, listen := range []string{address, ":" + port, "0.0.0.0:" + port} {
		if err := Healthcheck(t.Context(), listen); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", listen, err, want)
		}
	}
	if err := Healthcheck(ended, address); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context canceled", err)
	}
}

func TestListenAddresses(t *testing.T) {
	for listen, want := range map[string]string{
		"10187":          "must be host:port",
		"127.0.0.1:0":    "fixed one",
		"127.0.0.1:":     "fixed one",
		"localhost:nope": "unknown port",
		"unix:///x.sock": "healthcheck knows TCP addresses only",
	} {
		if err := Healthcheck(t.Context(), listen); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", listen, err, want)
		}
	}
}
