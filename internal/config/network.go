package config

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	promconfig "github.com/prometheus/common/config"
	"golang.org/x/net/http/httpproxy"
)

const defaultAPIURL = "https://api.appfigures.com/v2/"

// setNetwork sets how the API is reached.
func (b *builder) setNetwork(s *settings) {
	api := parseURL(s.APIURL, "http", "https")
	if api == nil || api.User != nil {
		b.check("api_url", errors.New("not an http or https URL of scheme, host and path only; write one such as "+
			defaultAPIURL))
		return
	}
	b.APIURL = api.JoinPath("/")
	if s.ProxyURL != "" {
		b.ProxyURL = b.parseProxyURL("proxy_url", s.ProxyURL)
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

// isClear reports whether requests to the API would carry a token through a network without encryption.
func isClear(api, proxy *url.URL) bool {
	addr, err := netip.ParseAddr(api.Hostname())
	loopback := strings.EqualFold(api.Hostname(), "localhost") || err == nil && addr.IsLoopback()
	return api.Scheme == "http" && (proxy != nil || !loopback)
}

// parseProxyURL returns the URL of a proxy. The problem does not quote it: it may hold a password.
func (b *builder) parseProxyURL(key, text string) *url.URL {
	u := parseURL(text, "http", "https", "socks5", "socks5h") // those that http.Transport supports
	b.require(key, u != nil && strings.Trim(u.Path, "/") == "", "not a proxy's URL; write one such as "+
		"http://proxy.example:3128 (schemes: http, https, socks5, socks5h), in whose password % is written %25, # %23, "+
		`/ %2F, ? %3F, @ %40, \ %5C and a space %20`)
	return u
}

// useEnvironmentProxy sets the proxy that HTTPS_PROXY or HTTP_PROXY, and NO_PROXY, name for the API. net/http would
// ignore one that is malformed, and send the token without it.
func (b *builder) useEnvironmentProxy() {
	env := httpproxy.FromEnvironment()
	name, text := "HTTPS_PROXY", env.HTTPSProxy
	if b.APIURL.Scheme == "http" {
		name, text = "HTTP_PROXY", env.HTTPProxy
	}
	if text == "" {
		return
	}
	if !strings.Contains(text, "://") { // as curl and net/http take it
		text = "http://" + text
	}
	b.parseProxyURL("$"+name, text)
	b.ProxyURL, _ = env.ProxyFunc()(b.APIURL)
}

// setTLS sets TLS. Errors of prometheus/common and crypto/tls are not passed on: some quote the files.
func (b *builder) setTLS(s promconfig.TLSConfig) {
	b.require("tls_config", !s.InsecureSkipVerify, "insecure_skip_verify is not supported, as anyone could receive the "+
		"tokens; give the authorities to trust as ca_file")
	b.check("tls_config.server_name", checkPlainText(s.ServerName)) // which TLS sends in the clear
	s.CAFile = b.regularFile("tls_config.ca_file", s.CAFile)
	s.CertFile = b.regularFile("tls_config.cert_file", s.CertFile)
	s.KeyFile = b.regularFile("tls_config.key_file", s.KeyFile)
	if len(b.problems) > 0 {
		return
	}
	var err error
	b.TLS, err = promconfig.NewTLSConfig(&s)
	b.require("tls_config", err == nil, "ca_file contains no certificate, or cert_file and key_file do not match; give "+
		"PEM files of the authorities to trust, and of a certificate and its unencrypted key")
}

// regularFile returns the path of a file that can be read, or "" if there is none.
func (b *builder) regularFile(key, text string) string {
	path := b.path(key, text)
	if path != "" {
		_, err := readRegular(path)
		b.check(key, err)
	}
	return path
}
