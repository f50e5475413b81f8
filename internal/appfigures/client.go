// Package appfigures makes one probe of one token: one request to the root of the Appfigures API, and what its answer
// means. It does not decide when a token is probed, and remembers nothing between probes.
//
// It is the only package that makes requests to the outside and the only one that reveals a token to the wire. The
// facts about the API are from the vendor's documentation, https://docs.appfigures.com, and command-line client.
package appfigures

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

const (
	maxBody    = 1 << 20  // bytes of a body after decompression; a real one has about 500
	maxHeaders = 64 << 10 // bytes of a status line and headers, also of those of a proxy's answer to CONNECT
)

// Client makes probes of the API that a configuration names. It is safe for concurrent use and keeps no connection.
//
// net/http writes to the standard logger what a server sends before the request, which may be a token: the program must
// discard the standard logger's output.
type Client struct {
	root      *url.URL
	timeout   time.Duration // for one probe
	userAgent string
	transport *http.Transport
}

// NewClient returns a client of the API that cfg names. version goes into the User-Agent.
//
// One probe is one request on one connection of its own, so that no answer can be another token's. net/http repeats no
// request that failed on a fresh connection. HTTP/2 is not offered: its client repeats a request for as long as a
// server answers GOAWAY or REFUSED_STREAM.
func NewClient(cfg *config.Config, version string) *Client {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	dialer := &net.Dialer{Timeout: cfg.Timeout} // which the addresses of a host share
	return &Client{
		root:      cfg.APIURL,
		timeout:   cfg.Timeout,
		userAgent: "appfigures_exporter/" + version,
		transport: &http.Transport{
			DisableKeepAlives:      true,
			Protocols:              &protocols,
			Proxy:                  http.ProxyURL(cfg.ProxyURL),
			OnProxyConnectResponse: checkProxyConnect,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dialer.DialContext(ctx, network, address)
				if err != nil {
					return nil, err
				}
				return tracedConn{conn, ctx.Value(traceKey{}).(*trace)}, nil
			},
			TLSClientConfig:        cfg.TLS,
			MaxResponseHeaderBytes: maxHeaders,
		},
	}
}

// Probe makes one request with the token. It ends when the response is complete, when the configured timeout or ctx
// expires ([probe.Timeout]), or when ctx is canceled. Only in the last case does Probe return an error, and
// then the outcome reports no more than whether the request was sent.
func (c *Client) Probe(ctx context.Context, token config.Secret) (probe.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	// RoundTrip returns when ctx ends, but the dial, the handshake or the CONNECT that it began continues, for the next
	// request. Nobody waits for it any more, so this ends it.
	defer c.transport.CloseIdleConnections()

	t, traced := startTrace(ctx)
	// RoundTrip, unlike Client.Do, follows no redirect: a token goes to one host.
	resp, err := c.transport.RoundTrip((&http.Request{
		Method: http.MethodGet,
		URL:    c.root,
		Host:   c.root.Host,
		Header: http.Header{
			"Authorization": {"Bearer " + token.Reveal()},
			"Accept":        {"application/json"},
			"User-Agent":    {c.userAgent},
		},
	}).WithContext(traced))
	var body []byte
	if err == nil {
		body, err = readBody(resp)
	}
	end := time.Now()
	var outcome probe.Outcome
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		t.fill(&outcome, end)
		return probe.Outcome{Sent: outcome.Sent}, fmt.Errorf("probing: %w", context.Cause(ctx))
	case err != nil && ctx.Err() != nil:
		outcome.Result = probe.Timeout
		outcome.Message = fmt.Sprintf("gave up after %s, %s", end.Sub(t.start).Round(time.Second/10), t.activity())
	case resp != nil && !isNetworkError(err):
		outcome = classify(resp.StatusCode, resp.Header, body, err)
	default:
		outcome.Result, outcome.Message = failure(err, t)
	}
	if resp != nil {
		outcome.HTTPStatus = resp.StatusCode
		outcome.ServerTime, _ = http.ParseTime(resp.Header.Get("Date"))
	}
	outcome.Message = cleanMessage(outcome.Message, token.Reveal())
	t.fill(&outcome, end)
	return outcome, nil
}

// readBody reads the whole body and closes it.
func readBody(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, nil // its body is the connection, and no context ends reading that
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if len(body) > maxBody {
		return nil, fmt.Errorf("more than %d bytes", maxBody)
	}
	return body, err
}

// failure returns the result and the message of a probe without a whole response. What is not HTTP or exceeds the
// limits is an unexpected answer; silence and resets mean that the API was not reached.
func failure(err error, t *trace) (probe.Result, string) {
	if t.activity() == readingAnswer && !isNetworkError(err) {
		return probe.Unexpected, err.Error()
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return probe.Unreachable, "set tls_config.ca_file or SSL_CERT_FILE if you trust the server: " + err.Error()
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return probe.Unreachable, fmt.Sprintf("the connection was closed without an answer (%s)", t.activity())
	}
	return probe.Unreachable, err.Error()
}

// isNetworkError reports whether err came from the network rather than from what the server wrote.
func isNetworkError(err error) bool {
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}

// checkProxyConnect implements [http.Transport.OnProxyConnectResponse]. Its error, unlike that of net/http, reports
// whose answer it was. The host is without the user and password of the proxy's URL.
func checkProxyConnect(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return fmt.Errorf("the proxy %s answered CONNECT with %s", proxy.Host, resp.Status)
}
