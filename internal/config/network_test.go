package config

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

func TestEnvironmentProxy(t *testing.T) {
	const (
		https = oneToken
		http  = "api_url: http://api.example/\nallow_insecure_http: true\n" + oneToken
		clear = "api_url: http://api.example/\n" + oneToken
		bad   = ": not a proxy's URL; "
	)
	for _, test := range []struct{ name, variables, yaml, want string }{
		{"not read", "ALL_PROXY=http://proxy.example", https, ": $ALL_PROXY: not read: the API is reached without a proxy; set proxy_url or HTTPS_PROXY]"},
		{"not read, nor needed", "ALL_PROXY=http://x NO_PROXY=*", https, "<nil> []"},
		{"with a scheme", "HTTPS_PROXY=http://proxy.example:3128", https, "http://proxy.example:3128"},
		{"without a scheme", "HTTPS_PROXY=me:p%25@proxy.example:3128", https, "http://me:p%25@proxy.example:3128"},
		{"of the other scheme", "HTTP_PROXY=http://proxy.example", https, "<nil> []"},
		{"of http", "HTTP_PROXY=http://proxy.example", http, "http://proxy.example"},
		{"exempt", "HTTPS_PROXY=http://proxy.example NO_PROXY=.appfigures.com", https, "<nil> []"},
		{"bad but exempt", "HTTPS_PROXY=ftp://x NO_PROXY=*", https, "<nil> []"},
		{"proxy_url wins", "HTTPS_PROXY=ftp://x", "proxy_url: http://other.example\n" + https, "http://other.example"},
		{"stray percent", "HTTP_PROXY=http://user:100%zeal@127.0.0.1:41873", http, "$HTTP_PROXY" + bad},
		{"number sign", "HTTPS_PROXY=http://user:a#b@proxy.example", https, "$HTTPS_PROXY" + bad},
		{"slash", "HTTPS_PROXY=http://user:a/b@proxy.example", https, "$HTTPS_PROXY" + bad},
		{"http through a proxy", "HTTP_PROXY=http://proxy.example", clear, ":1: api_url: http would send tokens in the clear; "},
	} {
		t.Run(test.name, func(t *testing.T) {
			for variable := range strings.SplitSeq(strings.ReplaceAll(test.variables, " NO_", "\nNO_"), "\n") {
				if name, value, ok := strings.Cut(variable, "="); ok {
					t.Setenv(name, value)
				}
			}
			cfg, err := parseIn(t, "testdata", test.yaml)
			got := fmt.Sprint(cfg.ProxyURL, cfg.Warnings)
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, test.want) || err != nil && strings.Contains(got, "user") {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestTLSConfig(t *testing.T) {
	dir := t.TempDir()
	writeCertificate(t, dir, "one")
	cert := readFile(t, filepath.Join(dir, "one.pem"))
	writeFile(t, dir, "mark.pem", "\ufeff"+cert+cert)
	writeFile(t, dir, "second.pem", "\ufeff"+cert+readFile(t, filepath.Join(dir, "one.key")))
	for _, test := range []struct{ yaml, wantErr string }{
		{"{ca_file: one.pem, cert_file: one.pem, key_file: one.key, server_name: api.example, min_version: TLS13}", ""},
		{"{ca_file: mark.pem, server_name: api.example, min_version: TLS13}", ""},
		{"{ca_file: second.pem}", fmt.Sprintf("ca_file: the block at line %d of the file is not a certificate, or is damaged; replace it", strings.Count(cert, "\n")+1)},
		{"{cert_file: one.pem, key_file: one.pem}", "cert_file and key_file cannot be read, or do not match; " +
			"give PEM files of a certificate and its unencrypted key"},
	} {
		cfg, err := parseIn(t, dir, "tls_config: "+test.yaml+"\n"+oneToken)
		got := cfg.TLS
		if !strings.HasSuffix(fmt.Sprint(err), cmp.Or(test.wantErr, "<nil>")) {
			t.Errorf("%s: got %v, want %s", test.yaml, err, test.wantErr)
		} else if err == nil && (got.RootCAs == nil || got.InsecureSkipVerify || got.ServerName != "api.example" ||
			got.MinVersion != tls.VersionTLS13 || (got.GetClientCertificate == nil) == strings.Contains(test.yaml, "cert_file")) {
			t.Errorf("%s: got authorities %v, server name %q, minimum %x", test.yaml, got.RootCAs, got.ServerName, got.MinVersion)
		}
	}
}

func TestSystemAuthorities(t *testing.T) {
	dir := t.TempDir()
	writeCertificate(t, dir, "good/one")
	writeFile(t, dir, "bad/garbage.pem", "x")
	const none = ": contains no certificate; give PEM files of the authorities to trust"
	for _, test := range []struct{ variable, path, want string }{
		{"SSL_CERT_FILE", "good/one.pem", "<nil>"},
		{"SSL_CERT_FILE", "gone.pem", "config.yml: $SSL_CERT_FILE: no such file or directory; create it, or correct the path"},
		{"SSL_CERT_FILE", "bad/garbage.pem", "config.yml: $SSL_CERT_FILE" + none},
		{"SSL_CERT_DIR", "good", "<nil>"},
		{"SSL_CERT_DIR", "bad", "config.yml: $SSL_CERT_DIR" + none},
	} {
		t.Run(test.variable+" "+test.path, func(t *testing.T) {
			t.Setenv(test.variable, filepath.Join(dir, test.path))
			if _, err := parseIn(t, dir, oneToken); inText(t, dir, err) != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
			if _, err := parseIn(t, dir, "tls_config: {ca_file: good/one.pem}\n"+oneToken); err != nil {
				t.Errorf("with ca_file: %v", err)
			}
		})
	}
}

// writeCertificate writes NAME.pem, a certificate that signs itself, and NAME.key into dir.
func writeCertificate(t *testing.T, dir, name string) {
	t.Helper()
	server := httptest.NewTLSServer(nil) // which brings one
	server.Close()
	cert := server.TLS.Certificates[0].Certificate[0]
	der, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	writeFile(t, dir, name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}
