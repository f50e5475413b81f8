package config

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
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
		{"with a scheme", "HTTPS_PROXY=http://proxy.example:3128", https, "http://proxy.example:3128"},
		{"without a scheme", "HTTPS_PROXY=me:p%25@proxy.example:3128", https, "http://me:p%25@proxy.example:3128"},
		{"of the other scheme", "HTTP_PROXY=http://proxy.example", https, "<nil>"},
		{"of http", "HTTP_PROXY=http://proxy.example", http, "http://proxy.example"},
		{"exempt", "HTTPS_PROXY=http://proxy.example NO_PROXY=.appfigures.com", https, "<nil>"},
		{"bad scheme", "HTTPS_PROXY=ftp://x", https, "$HTTPS_PROXY" + bad},
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
			got := fmt.Sprint(cfg.ProxyURL)
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
	const useless = "tls_config: ca_file contains no certificate, or cert_file and key_file do not match; give PEM files of " +
		"the authorities to trust, and of a certificate and its unencrypted key"
	for _, test := range []struct{ yaml, wantErr string }{
		{"{ca_file: one.pem, cert_file: one.pem, key_file: one.key, server_name: api.example, min_version: TLS13}", ""},
		{"{ca_file: one.pem, server_name: api.example, min_version: TLS13}", ""},
		{"{ca_file: one.key}", useless},
		{"{cert_file: one.pem, key_file: one.pem}", useless},
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
