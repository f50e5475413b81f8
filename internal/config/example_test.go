package config

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const examplePath = "../../config.yml.example"

// commentedKey is the beginning of a line of the example that is commented out. No line of prose starts like a key.
var commentedKey = regexp.MustCompile(`(?m)^( *)#( *(?:- )?[a-z_]+:)`)

func TestExampleIsValidAsItStands(t *testing.T) {
	got, err := loadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	want := newBuilder("").Config
	want.Tokens = []Token{{Name: "reporting", Account: "default", Source: FileSource("/run/secrets/reporting")}}
	if show(*got) != show(want) || got.Warnings != nil {
		t.Errorf("got %s\nwant %s", show(*got), show(want))
	}
}

// TestExampleIsValidInFull takes all comments off the example's keys. What has a default must then still have it.
func TestExampleIsValidInFull(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "run/secrets/appfigures/mounted", "pat_mounted")
	writeCertificate(t, filepath.Join(dir, "etc"), "client")
	cert := readFile(t, filepath.Join(dir, "etc/client.pem"))
	writeFile(t, dir, "etc/ca.pem", cert)

	text := commentedKey.ReplaceAllString(readFile(t, examplePath), "$1$2")
	text = strings.NewReplacer("/run/secrets/appfigures", "run/secrets/appfigures", "/etc/appfigures_exporter", "etc", exampleToken, "pat_own").Replace(text)
	got, err := Parse("config.yml.example", strings.NewReader(text), dir)
	if err != nil {
		t.Fatalf("%v\nof:\n%s", err, text)
	}
	if got.ProxyURL == nil || got.TLS == nil || got.TLS.ServerName != "api.appfigures.com" || got.TLS.MinVersion != tls.VersionTLS12 {
		t.Errorf("got proxy %v, TLS %v; want those of the example", got.ProxyURL, got.TLS)
	}
	var names []string
	for _, token := range got.Tokens {
		names = append(names, token.Name)
	}
	if names := strings.Join(names, " "); names != "reporting etl trial mounted" {
		t.Errorf("got tokens %s", names)
	}
	if first := got.Tokens[0]; first.Account != defaultAccount || len(first.Labels) != 2 || !first.ExpiresAt.Equal(time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("got first token %v", first)
	}
	if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], `"trial"`) {
		t.Errorf("got warnings %q, want one of the inline token", got.Warnings)
	}
	want := newBuilder("").Config
	want.ProxyURL, want.TLS, want.Tokens, want.Warnings = got.ProxyURL, got.TLS, got.Tokens, got.Warnings
	if show(*got) != show(want) {
		t.Errorf("the defaults in the example are not those of the program:\ngot  %s\nwant %s", show(*got), show(want))
	}
}

func TestExampleHasEveryKey(t *testing.T) {
	text := readFile(t, examplePath)
	keys := append(keysOf(rootFields), keysOf(pacingFields)...)
	keys = append(append(keys, keysOf(tlsFields)...), keysOf(tokenFields)...)
	keys = append(keys, keysOf(tokenDirFields)...)
	for _, key := range keys {
		if !regexp.MustCompile(`(?m)^ *#? *(?:- )?` + key + `:`).MatchString(text) {
			t.Errorf("%s is not in the example", key)
		}
	}
}

func keysOf[T any](fields []field[T]) (keys []string) {
	for _, field := range fields {
		keys = append(keys, field.key)
	}
	return keys
}

func TestTLSConfig(t *testing.T) {
	dir := t.TempDir()
	writeCertificate(t, dir, "one")
	writeCertificate(t, dir, "two")
	for _, test := range []struct{ name, yaml, wantErr string }{
		{"all", "{ca_file: one.pem, cert_file: one.pem, key_file: one.key, server_name: api.example, min_version: TLS13}", ""},
		{"only an authority", "{ca_file: one.pem, min_version: TLS13, server_name: api.example}", ""},
		{"a key for an authority", "{ca_file: one.key}", "config.yml:1: tls_config.ca_file: contains no certificate; give a PEM file of the authorities to trust"},
		{"another's key", "{cert_file: one.pem, key_file: two.key}", "config.yml:1: tls_config.cert_file: no certificate that matches key_file; give PEM files of a certificate and its unencrypted key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			config, err := Parse("config.yml", strings.NewReader("tls_config: "+test.yaml+"\n"+oneToken), dir)
			if test.wantErr != "" {
				if err == nil || err.Error() != test.wantErr {
					t.Errorf("got  %v\nwant %s", err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := config.TLS; got.RootCAs == nil || got.InsecureSkipVerify || got.ServerName != "api.example" || got.MinVersion != tls.VersionTLS13 {
				t.Errorf("got authorities %v, server name %q, minimum %x", got.RootCAs, got.ServerName, got.MinVersion)
			}
			if test.name == "all" {
				cert, err := config.TLS.GetClientCertificate(nil)
				if err != nil || !bytes.Equal(cert.Certificate[0], decodePEM(t, filepath.Join(dir, "one.pem"))) {
					t.Errorf("the client certificate is another, or error %v", err)
				}
			}
		})
	}
}

// writeCertificate writes NAME.pem, a certificate that signs itself, and NAME.key into dir.
func writeCertificate(t *testing.T, dir, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	writeFile(t, dir, name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

func decodePEM(t *testing.T, path string) []byte {
	t.Helper()
	block, _ := pem.Decode([]byte(readFile(t, path)))
	if block == nil {
		t.Fatalf("%s is not PEM", path)
	}
	return block.Bytes
}
