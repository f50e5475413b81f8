package config

import (
	"crypto/tls"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	promconfig "github.com/prometheus/common/config"
)

func (b *builder) readAPIURL(v value) {
	text, ok := v.text()
	if !ok {
		return
	}
	apiURL, err := parseAPIURL(text)
	if err != nil {
		v.errorf("%v", err)
		return
	}
	b.APIURL = apiURL
}

// parseAPIURL returns the URL with a path that ends in a slash. The error does not quote it: url.Parse's would, and it
// may hold a password.
func parseAPIURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || !isHostPort(u) || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("not an http or https URL; write one such as " + defaultAPIURL)
	case u.User != nil:
		return nil, errors.New("contains a user or password; remove it: the API takes only tokens")
	case strings.ContainsAny(text, "?#"):
		return nil, errors.New("contains a query or fragment; give scheme, host and path, such as " + defaultAPIURL)
	}
	return u.JoinPath("/"), nil
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

// isLoopback reports whether requests to u stay on this machine.
func isLoopback(u *url.URL) bool {
	if strings.EqualFold(u.Hostname(), "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return err == nil && addr.IsLoopback()
}

// proxySchemes are those that http.Transport supports.
var proxySchemes = []string{"http", "https", "socks5", "socks5h"}

func (b *builder) readProxyURL(v value) {
	text, ok := v.text()
	if !ok {
		return
	}
	u, err := url.Parse(text)
	if err != nil || !isHostPort(u) || !slices.Contains(proxySchemes, u.Scheme) ||
		strings.Trim(u.Path, "/") != "" || strings.ContainsAny(text, "?#") {
		v.errorf("not a proxy's URL; write one such as http://proxy.example:3128 (schemes: %s), "+
			"with /, ? and # in a password as %%2F, %%3F and %%23", strings.Join(proxySchemes, ", "))
		return
	}
	b.ProxyURL = u
}

// tlsBuilder is a tls_config that is being read.
type tlsBuilder struct {
	promconfig.TLSConfig
	dir string // where relative paths start
}

var tlsFields = []field[tlsBuilder]{
	{"ca_file", func(t *tlsBuilder, v value) { t.CAFile, _ = v.readable(t.dir) }},
	{"cert_file", func(t *tlsBuilder, v value) { t.CertFile, _ = v.readable(t.dir) }},
	{"key_file", func(t *tlsBuilder, v value) { t.KeyFile, _ = v.readable(t.dir) }},
	{"server_name", func(t *tlsBuilder, v value) { t.ServerName, _ = v.text() }},
	{"min_version", (*tlsBuilder).readMinVersion},
}

func (t *tlsBuilder) readMinVersion(v value) {
	text, ok := v.text()
	if !ok {
		return
	}
	version, ok := promconfig.TLSVersions[text]
	if !ok {
		v.errorf("not a TLS version; write TLS12 or TLS13 (TLS10 and TLS11 are accepted too)")
		return
	}
	t.MinVersion = version
}

// readTLS reads tls_config. Errors of crypto/tls are not passed on: some quote the files.
func (b *builder) readTLS(v value) {
	before := len(*v.problems)
	t := tlsBuilder{dir: b.dir}
	found := readMapping(&t, v, tlsFields)
	if len(found.known) == 0 || len(*v.problems) > before {
		return
	}
	cert, hasCert := found.known["cert_file"]
	key, hasKey := found.known["key_file"]
	switch {
	case hasCert && !hasKey:
		cert.errorf("given without key_file; give both or none")
		return
	case hasKey && !hasCert:
		key.errorf("given without cert_file; give both or none")
		return
	case hasCert:
		if _, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile); err != nil {
			cert.errorf("no certificate that matches key_file; give PEM files of a certificate and its unencrypted key")
			return
		}
	}
	config, err := promconfig.NewTLSConfig(&t.TLSConfig)
	if err != nil {
		if ca, ok := found.known["ca_file"]; ok {
			v = ca
		}
		v.errorf("contains no certificate; give a PEM file of the authorities to trust")
		return
	}
	b.TLS = config
}
