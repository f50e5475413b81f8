package config

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	promconfig "github.com/prometheus/common/config"
	"golang.org/x/net/http/httpproxy"
	"gopkg.in/yaml.v3"
)

const (
	vendorHost    = "api.appfigures.com"
	defaultAPIURL = "https://" + vendorHost + "/v2/"
)

// readNetwork reads how the API is reached.
func (b *builder) readNetwork(s *settings) {
	allowHTTP := false
	read(b.document, &s.AllowInsecureHTTP, "allow_insecure_http", &allowHTTP, parseBool)
	read(b.document, &s.APIURL, "api_url", &b.APIURL, parseAPIURL)
	read(b.document, &s.ProxyURL, "proxy_url", &b.ProxyURL, parseProxyURL)
	if s.ProxyURL.IsZero() {
		b.useEnvironmentProxy()
	}
	if !allowHTTP && isClear(b.APIURL, b.ProxyURL) {
		b.errorf(s.APIURL.Line, "api_url", "http would send tokens in the clear; use https, or set "+
			"allow_insecure_http: true")
	}
	b.readTLS(&s.TLS)
}

// parseAPIURL returns the URL with a path that ends in a slash. The error does not quote it: url.Parse's would, and it
// may hold a password.
func parseAPIURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || !isHostPort(u) || u.Scheme != "http" && u.Scheme != "https" || u.User != nil ||
		strings.ContainsAny(text, "?#") {
		return nil, errors.New("not an http or https URL of scheme, host and path only; write one such as " + defaultAPIURL)
	}
	u = u.JoinPath("/")
	if strings.EqualFold(u.Hostname(), vendorHost) && u.Path != "/v2/" {
		return nil, errors.New("not the root of this API; write " + defaultAPIURL)
	}
	return u, nil
}

// isHostPort reports whether u names a host, and a port that exists or none.
func isHostPort(u *url.URL) bool {
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
	}
	return u.Hostname() != ""
}

// isClear reports whether requests to the API would carry a token through a network without encryption.
func isClear(api, proxy *url.URL) bool {
	addr, err := netip.ParseAddr(api.Hostname())
	loopback := strings.EqualFold(api.Hostname(), "localhost") || err == nil && addr.IsLoopback()
	return api.Scheme == "http" && (proxy != nil || !loopback)
}

// proxySchemes are those that http.Transport supports.
var proxySchemes = []string{"http", "https", "socks5", "socks5h"}

// parseProxyURL returns the URL of a proxy. The error does not quote it: it may hold a password.
func parseProxyURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || !isHostPort(u) || !slices.Contains(proxySchemes, u.Scheme) ||
		strings.Trim(u.Path, "/") != "" || strings.ContainsAny(text, "?#") {
		return nil, fmt.Errorf("not a proxy's URL; write one such as http://proxy.example:3128 (schemes: %s), in whose "+
			`password %% is written %%25, # %%23, / %%2F, ? %%3F, @ %%40, \ %%5C and a space %%20`,
			strings.Join(proxySchemes, ", "))
	}
	return u, nil
}

// useEnvironmentProxy sets the proxy that HTTPS_PROXY or HTTP_PROXY, and NO_PROXY, name for the API. net/http would
// ignore one that is malformed, and send the token without it.
func (b *builder) useEnvironmentProxy() {
	env := httpproxy.FromEnvironment()
	name, text := "HTTPS_PROXY", env.HTTPSProxy
	if b.APIURL.Scheme == "http" {
		name, text = "HTTP_PROXY", env.HTTPProxy
	}
	env.CGI = false                                                            // which would ignore HTTP_PROXY
	env.HTTPProxy, env.HTTPSProxy = "http://any.invalid", "http://any.invalid" // which NO_PROXY may exempt the API from
	if used, _ := env.ProxyFunc()(b.APIURL); text == "" || used == nil {
		return
	}
	if !strings.Contains(text, "://") { // as curl and net/http take it
		text = "http://" + text
	}
	proxy, err := parseProxyURL(text)
	if err != nil {
		b.errorf(0, "$"+name, "%v", err)
		return
	}
	b.ProxyURL = proxy
}

// tlsSettings is a tls_config: the keys of prometheus/common's that make sense here.
type tlsSettings struct {
	CAFile     yaml.Node `yaml:"ca_file"`
	CertFile   yaml.Node `yaml:"cert_file"`
	KeyFile    yaml.Node `yaml:"key_file"`
	ServerName yaml.Node `yaml:"server_name"`
	MinVersion yaml.Node `yaml:"min_version"`
}

// readTLS reads a tls_config. Errors of crypto/tls are not passed on: some quote the files.
func (b *builder) readTLS(s *tlsSettings) {
	var c promconfig.TLSConfig
	read(b.document, &s.CAFile, "tls_config.ca_file", &c.CA, func(text string) (string, error) {
		return readAuthorities(b.path(text))
	})
	if s.CAFile.IsZero() && b.APIURL.Scheme == "https" {
		b.checkSystemAuthorities()
	}
	readable := func(text string) (string, error) {
		_, _, err := readRegular(b.path(text), maxFileBytes)
		return b.path(text), err
	}
	read(b.document, &s.CertFile, "tls_config.cert_file", &c.CertFile, readable)
	read(b.document, &s.KeyFile, "tls_config.key_file", &c.KeyFile, readable)
	read(b.document, &s.ServerName, "tls_config.server_name", &c.ServerName, parsePlainText)
	tlsVersion := func(text string) (promconfig.TLSVersion, error) { return promconfig.TLSVersions[text], nil }
	read(b.document, &s.MinVersion, "tls_config.min_version", &c.MinVersion, bounded(tlsVersion,
		func(version promconfig.TLSVersion) bool { return version != 0 },
		"not a TLS version; write TLS12 or TLS13 (TLS10 and TLS11 are accepted too)"))
	if len(b.problems) > 0 || c == (promconfig.TLSConfig{}) {
		return
	}
	made, err := promconfig.NewTLSConfig(&c)
	if err != nil {
		b.errorf(max(s.CertFile.Line, s.KeyFile.Line), "tls_config", "cert_file has no certificate that matches key_file; "+
			"give both or none, as PEM files of a certificate and its unencrypted key")
		return
	}
	b.TLS = made
}

var pemBegin = []byte("-----BEGIN ")

// readAuthorities returns the content of a PEM file, of which each block is a certificate.
func readAuthorities(file string) (string, error) {
	content, _, err := readRegular(file, maxFileBytes)
	if err != nil {
		return "", err
	}
	content = bytes.TrimPrefix(content, byteOrderMark)
	parts := bytes.Split(content, pemBegin)
	if len(parts) == 1 {
		return "", errNoCertificate
	}
	line := 1 + bytes.Count(parts[0], []byte("\n"))
	for _, part := range parts[1:] {
		block, _ := pem.Decode(slices.Concat(pemBegin, part))
		if block == nil || block.Type != "CERTIFICATE" {
			return "", fmt.Errorf("the block at line %d of the file is not a certificate; remove or replace it", line)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return "", fmt.Errorf("the certificate at line %d of the file is damaged; copy it again", line)
		}
		line += bytes.Count(part, []byte("\n"))
	}
	return string(content), nil
}

var errNoCertificate = errors.New("contains no certificate; give PEM files of the authorities to trust")

// checkSystemAuthorities checks SSL_CERT_FILE and SSL_CERT_DIR, which replace the system's authorities. crypto/x509
// passes over what it cannot read there, and each probe would end at an unknown authority.
func (b *builder) checkSystemAuthorities() {
	for _, name := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR"} {
		for _, path := range filepath.SplitList(os.Getenv(name)) {
			if err := findCertificate(path); err != nil {
				b.errorf(0, "$"+name, "%v", err)
			}
		}
	}
}

// findCertificate returns an error unless a file, or a file in a directory, contains a certificate.
func findCertificate(path string) error {
	files := []string{path}
	if entries, err := os.ReadDir(path); err == nil {
		files = nil
		for _, entry := range entries {
			files = append(files, filepath.Join(path, entry.Name()))
		}
	}
	for _, file := range files {
		content, _, err := readRegular(file, maxFileBytes)
		if err == nil && x509.NewCertPool().AppendCertsFromPEM(content) {
			return nil
		}
		if err != nil && file == path {
			return err
		}
	}
	return errNoCertificate
}
