package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	promconfig "github.com/prometheus/common/config"
	"golang.org/x/net/http/httpproxy"
)

const (
	vendorHost    = "api.appfigures.com"
	defaultAPIURL = "https://" + vendorHost + "/v2/"
)

// reach sets how the API is reached.
func (b *builder) reach(s *settings) {
	api, err := parseAPIURL(s.APIURL)
	b.check("api_url", err)
	if err != nil {
		return
	}
	b.APIURL = api
	if s.ProxyURL != "" {
		b.ProxyURL, err = parseProxyURL(s.ProxyURL)
		b.check("proxy_url", err)
	} else {
		b.useEnvironmentProxy()
	}
	b.require("api_url", s.AllowInsecureHTTP || !isClear(api, b.ProxyURL),
		"http would send tokens in the clear; use https, or set allow_insecure_http: true")
	b.setTLS(s.TLS)
}

// parseURL returns a URL with a host and one of the schemes, without query, fragment and token; nil if text is none.
func parseURL(text string, schemes ...string) *url.URL {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || !slices.Contains(schemes, u.Scheme) || strings.ContainsAny(text, "?#") ||
		containsToken(u.Host+u.Path) {
		return nil
	}
	return u
}

// parseAPIURL returns the URL with a path that ends in a slash. The error does not quote it: it may hold a password.
func parseAPIURL(text string) (*url.URL, error) {
	u := parseURL(text, "http", "https")
	if u == nil || u.User != nil {
		return nil, errors.New("not an http or https URL of scheme, host and path only; write one such as " +
			defaultAPIURL)
	}
	u = u.JoinPath("/")
	if strings.EqualFold(u.Hostname(), vendorHost) && u.Path != "/v2/" {
		return nil, errors.New("not the root of this API; write " + defaultAPIURL)
	}
	return u, nil
}

// isClear reports whether requests to the API would carry a token through a network without encryption.
func isClear(api, proxy *url.URL) bool {
	addr, err := netip.ParseAddr(api.Hostname())
	loopback := strings.EqualFold(api.Hostname(), "localhost") || err == nil && addr.IsLoopback()
	return api.Scheme == "http" && (proxy != nil || !loopback)
}

// parseProxyURL returns the URL of a proxy. The error does not quote it: it may hold a password.
func parseProxyURL(text string) (*url.URL, error) {
	u := parseURL(text, "http", "https", "socks5", "socks5h") // those that http.Transport supports
	if u == nil || strings.Trim(u.Path, "/") != "" {
		return nil, errors.New("not a proxy's URL; write one such as http://proxy.example:3128 (schemes: http, https," +
			` socks5, socks5h), in whose password % is written %25, # %23, / %2F, ? %3F, @ %40, \ %5C and a space %20`)
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
	env.HTTPProxy, env.HTTPSProxy = "http://any.invalid", "http://any.invalid" // which NO_PROXY may exempt the API from
	used, _ := env.ProxyFunc()(b.APIURL)
	switch {
	case used == nil:
	case text != "":
		if !strings.Contains(text, "://") { // as curl and net/http take it
			text = "http://" + text
		}
		proxy, err := parseProxyURL(text)
		b.check("$"+name, err)
		b.ProxyURL = proxy
	case os.Getenv("ALL_PROXY") != "" || os.Getenv("all_proxy") != "":
		b.warn("$ALL_PROXY", "not read: the API is reached without a proxy; set proxy_url or "+name)
	}
}

// setTLS sets TLS. Errors of prometheus/common and crypto/tls are not passed on: some quote the files.
func (b *builder) setTLS(s promconfig.TLSConfig) {
	caFile := b.path("tls_config.ca_file", s.CAFile)
	s.CAFile = "" // which readAuthorities reads, without a byte order mark
	s.CertFile, s.KeyFile = b.path("tls_config.cert_file", s.CertFile), b.path("tls_config.key_file", s.KeyFile)
	c := promconfig.TLSConfig{CertFile: s.CertFile, KeyFile: s.KeyFile}
	c.ServerName, c.MinVersion = s.ServerName, s.MinVersion
	b.require("tls_config", s == c, "only ca_file, cert_file, key_file, server_name and min_version are supported; "+
		"without verification anyone could receive the tokens")
	b.check("tls_config.server_name", checkPlainText(s.ServerName)) // which TLS sends in the clear
	var err error
	if caFile != "" {
		c.CA, err = readAuthorities(caFile)
		b.check("tls_config.ca_file", err)
	} else if b.APIURL.Scheme == "https" {
		b.checkSystemAuthorities()
	}
	if len(b.problems) > 0 || c == (promconfig.TLSConfig{}) {
		return
	}
	b.TLS, err = promconfig.NewTLSConfig(&c)
	b.require("tls_config", err == nil, "cert_file and key_file cannot be read, or do not match; give PEM files of a "+
		"certificate and its unencrypted key")
}

// checkSystemAuthorities checks SSL_CERT_FILE and SSL_CERT_DIR, which replace the system's authorities. crypto/x509
// passes over what it cannot read there, and each probe would end at an unknown authority. Directories have other files
// too, so that one certificate is enough.
func (b *builder) checkSystemAuthorities() {
	if file := os.Getenv("SSL_CERT_FILE"); file != "" {
		_, err := readAuthorities(file)
		b.check("$SSL_CERT_FILE", err)
	}
	for _, dir := range filepath.SplitList(os.Getenv("SSL_CERT_DIR")) {
		entries, _ := os.ReadDir(dir)
		b.require("$SSL_CERT_DIR", slices.ContainsFunc(entries, func(entry fs.DirEntry) bool {
			_, err := readAuthorities(filepath.Join(dir, entry.Name()))
			return err == nil
		}), errNoCertificate)
	}
}

const errNoCertificate = "contains no certificate; give PEM files of the authorities to trust"

// readAuthorities returns the content of a PEM file, of which each block is a certificate.
func readAuthorities(file string) (string, error) {
	content, _, err := readRegular(file, maxFileBytes)
	if err != nil {
		return "", err
	}
	const begin = "-----BEGIN "
	text := strings.TrimPrefix(string(content), byteOrderMark)
	parts := strings.Split(text, begin)
	line := 1
	for i, part := range parts {
		if i > 0 && !x509.NewCertPool().AppendCertsFromPEM([]byte(begin+part)) {
			return "", fmt.Errorf("the block at line %d of the file is not a certificate, or is damaged; replace it",
				line)
		}
		line += strings.Count(part, "\n")
	}
	if len(parts) == 1 {
		return "", errors.New(errNoCertificate)
	}
	return text, nil
}
