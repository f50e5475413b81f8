package web

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	toolkit "github.com/prometheus/exporter-toolkit/web"
)

// users demands a password, which the health check does not have.
const users = "basic_auth_users:\n  prometheus: $2y$04$Wfh9GQyGuYSLpZOaMmbxVO6XuL1FMrvLqJVBxNDvUMeJ2p5Vxkq7y\n"

// writePair writes a self-signed certificate for another host, NAME.crt, and its key, NAME.key.
func writePair(t *testing.T, directory, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"exporter.example"}, NotAfter: time.Now().Add(time.Hour),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".crt": {Type: "CERTIFICATE", Bytes: certificate},
		name + ".key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(directory, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// writeConfig writes a web configuration and returns its path.
func writeConfig(t *testing.T, directory, text string) string {
	t.Helper()
	file, err := os.CreateTemp(directory, "web-*.yml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Name()
}

// run serves the handler on a loopback port as the exporter does, and returns its address.
func run(t *testing.T, handler http.Handler, configFile string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := Server(handler, slog.New(slog.DiscardHandler))
	go func() {
		_ = toolkit.Serve(listener, server, &toolkit.FlagConfig{WebConfigFile: &configFile}, slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}

func TestHealthcheck(t *testing.T) {
	directory := t.TempDir()
	writePair(t, directory, "server")
	const (
		tlsOn     = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
		anyClient = tlsOn + "  client_auth_type: RequireAnyClientCert\n"
		optional  = tlsOn + "  client_auth_type: RequestClientCert\n"
	)
	for _, test := range []struct {
		name   string
		status int
		config string // the server's web configuration
	}{
		{"plain", 200, ""},
		{"not healthy", 503, ""},
		{"failing", 500, ""},
		{"404 of another program", 404, ""},
		{"redirect", 302, ""},
		{"basic auth", 200, users},
		{"rate limit", 200, "rate_limit:\n  interval: 1h\n  burst: 0\n"},
		{"TLS", 200, tlsOn},
		{"TLS and basic auth", 200, tlsOn + users},
		{"TLS 1.2", 200, tlsOn + "  max_version: TLS12\n"},
		{"TLS, not healthy", 503, tlsOn},
		{"client certificate", 200, anyClient},
		{"client certificate, TLS 1.2", 200, anyClient + "  max_version: TLS12\n"},
		{"optional client certificate", 200, optional},
		{"optional client certificate, not healthy", 503, optional},
	} {
		t.Run(test.name, func(t *testing.T) {
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.URL.Path != "/-/healthy" {
					t.Errorf("%s %s", r.Method, r.URL)
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, "because\nof this\n")
			})
			file := ""
			if test.config != "" {
				file = writeConfig(t, directory, test.config)
			}
			address := run(t, handler, file)
			err := Healthcheck(t.Context(), address)
			want := fmt.Sprintf("%s/-/healthy: %d %s: because of this", address, test.status, http.StatusText(test.status))
			switch {
			case test.status < 500 && err != nil:
				t.Error(err)
			case test.status >= 500 && (err == nil || !strings.HasSuffix(err.Error(), want)):
				t.Errorf("error %v, want %s", err, want)
			}
		})
	}
}

// TestHealthcheckLogsNothing checks that the server logs nothing, whether it has TLS or not.
func TestHealthcheckLogsNothing(t *testing.T) {
	directory := t.TempDir()
	writePair(t, directory, "server")
	for _, config := range []string{"{}\n", "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		file := writeConfig(t, directory, config)
		server := Server(http.NotFoundHandler(), slog.New(slog.NewTextHandler(&log, nil)))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = toolkit.Serve(listener, server, &toolkit.FlagConfig{WebConfigFile: &file}, slog.New(slog.DiscardHandler))
		}()
		if err := Healthcheck(t.Context(), listener.Addr().String()); err != nil {
			t.Error(err)
		}
		if err := server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		<-ended
		if log.Len() > 0 {
			t.Errorf("%slogs %s", config, log.String())
		}
	}
}

func TestHealthcheckRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	_, port, _ := net.SplitHostPort(address)
	for _, listen := range []string{address, ":" + port, "0.0.0.0:" + port} {
		err := Healthcheck(t.Context(), listen)
		if err == nil || !strings.Contains(err.Error(), "connection refused; is it running, ") {
			t.Errorf("%s: %v, want connection refused", listen, err)
		}
	}
}

func TestHealthcheckReachesEveryAddress(t *testing.T) {
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	server := Server(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	for _, host := range []string{"", "0.0.0.0", "[::]", "127.0.0.1", "localhost"} {
		if err := Healthcheck(t.Context(), host+":"+port); err != nil {
			t.Errorf("%q: %v", host, err)
		}
	}
}

func TestHealthcheckGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	blocked := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel() // as if the time were up
		<-r.Context().Done()
	})
	if err := Healthcheck(ctx, run(t, blocked, "")); err == nil || !strings.Contains(err.Error(), "context canceled") {
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
		"exporter:http":       {"exporter:http"},
		"[fe80::1%eth0]:1018": {"[fe80::1%eth0]:1018"},
	} {
		if got, err := dialAddresses(listen); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", listen, got, err, want)
		}
	}
	for listen, want := range map[string]string{
		"10187":          "must be host:port",
		"":               "must be host:port",
		"localhost":      "must be host:port",
		"127.0.0.1:0":    "fixed one",
		"127.0.0.1:":     "fixed one",
		"vsock://:9":     "TCP",
		"unix:///x.sock": "TCP",
	} {
		if _, err := dialAddresses(listen); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one that says %q", listen, err, want)
		}
	}
}
