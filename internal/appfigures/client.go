// Package appfigures speaks to the Appfigures API: it makes one probe of one token, and says what the answer means.
// It is the only package that makes requests to the outside and the only one that reveals a token.
//
// The API's facts are from the vendor's documentation at https://docs.appfigures.com and its command-line client.
package appfigures

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

const (
	// maxBody bounds a response's body after decompression, in bytes. A real answer has about 500.
	maxBody = 1 << 20
	// maxHeaders bounds a response's status line and headers, in bytes.
	maxHeaders = 64 << 10
)

// Client probes tokens at one API root. It is immutable.
type Client struct {
	root      *url.URL
	timeout   time.Duration
	proxy     func(*http.Request) (*url.URL, error)
	tls       *tls.Config
	maxConns  int // of a session at once: one for each probe under way
	userAgent string
}

// NewClient returns a client for the API that cfg names. version goes into the User-Agent.
//
// It silences the standard logger, which nothing else in this program uses: net/http writes there what a server sends
// unasked, and that may be the token.
func NewClient(cfg *config.Config, version string) *Client {
	log.SetOutput(io.Discard)
	proxy := http.ProxyFromEnvironment
	if cfg.ProxyURL != nil {
		proxy = http.ProxyURL(cfg.ProxyURL)
	}
	return &Client{
		root:      cfg.APIURL,
		timeout:   cfg.Timeout,
		proxy:     proxy,
		tls:       cfg.TLS,
		maxConns:  cfg.MaxConcurrency,
		userAgent: "appfigures_exporter/" + version,
	}
}

// Session shares connections among the probes of one scrape. It starts without any, so that what is measured is what
// a new client would meet, and Close ends all of them.
type Session struct {
	client    *Client
	transport *http.Transport
}

// NewSession returns a session that lasts until Close. It opens no connection after ctx's deadline.
func (c *Client) NewSession(ctx context.Context) *Session {
	// The transport detaches a dial from the probe that asked for it, so the probe's timeout is applied here. Of several
	// addresses, one that does not answer gets only its part of the time, so the dialer must know when that ends.
	dialer := net.Dialer{Timeout: c.timeout}
	dialer.Deadline, _ = ctx.Deadline()
	// HTTP/1.1 only: the HTTP/2 client repeats a request for as long as a server answers GOAWAY or REFUSED_STREAM.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	// Without MaxConnsPerHost the transport opens a connection for every probe that finds none idle, although it then
	// waits for the first to become so: at the start of a scrape up to twice as many as are ever used.
	return &Session{c, &http.Transport{
		Proxy: c.proxy,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dialed, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return newConn(dialed), nil
		},
		TLSClientConfig:        c.tls,
		TLSHandshakeTimeout:    c.timeout, // the transport goes on with a handshake whose probe has ended
		MaxIdleConnsPerHost:    c.maxConns,
		MaxConnsPerHost:        c.maxConns,
		MaxResponseHeaderBytes: maxHeaders,
		Protocols:              &protocols,
	}}
}

// Close closes all connections of the session, also those that are still being opened. No probe may be under way.
func (s *Session) Close() { s.transport.CloseIdleConnections() }

// unrepeatable is an empty request body. The transport never sends a request a second time when it has a body and no
// way to get it again (documented at [http.Transport]); an empty one is not sent at all.
type unrepeatable struct{}

func (unrepeatable) Read([]byte) (int, error) { return 0, io.EOF }
func (unrepeatable) Close() error             { return nil }

// Probe makes one request with the token and says what came of it. It ends when the client's timeout or ctx's
// deadline is over; such a probe has the result [Timeout]. When ctx is cancelled instead, nothing was learnt, and the
// error says so.
func (s *Session) Probe(ctx context.Context, token config.Secret) (probe.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, s.client.timeout)
	defer cancel()
	watch := stopwatch{start: time.Now()}
	trace := watch.trace()
	trace.GotConn = func(info httptrace.GotConnInfo) {
		watch.choose(info.Reused)
		if conn := innermost(info.Conn); conn != nil && conn.awaitSilence(ctx) {
			watch.lose()
		}
	}
	req := (&http.Request{
		Method: http.MethodGet,
		URL:    s.client.root,
		Host:   s.client.root.Host,
		Header: http.Header{
			"Authorization": {"Bearer " + token.Reveal()},
			"Accept":        {"application/json"},
			"User-Agent":    {s.client.userAgent},
		},
		Body: unrepeatable{},
	}).WithContext(httptrace.WithClientTrace(ctx, trace))

	// RoundTrip, not Client.Do: no redirect is followed, a token goes to one host.
	resp, err := s.transport.RoundTrip(req)
	for err != nil && ctx.Err() == nil && watch.forgetUnused() {
		resp, err = s.transport.RoundTrip(req) // still the first request: nothing of it has been sent
	}
	var body []byte
	if err == nil {
		body, err = readBody(resp)
	}
	outcome := probe.Outcome{Start: watch.start}
	watch.stop(&outcome)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return probe.Outcome{}, fmt.Errorf("probing: %w", context.Cause(ctx))
	}
	if resp != nil {
		outcome.HTTPStatus = resp.StatusCode
	}
	switch {
	case err != nil && timedOut(ctx):
		outcome.Result = Timeout
		outcome.Message = fmt.Sprintf("gave up after %s, %s", outcome.Duration.Round(100*time.Millisecond), watch.activity())
	case resp == nil || connectionFailed(err):
		outcome.Result, outcome.Message = failure(err, watch.answered()), describe(err)
	default:
		classify(&outcome, resp, body, err)
	}
	if outcome.Result.Answered() { // what a proxy or an error page says of the quota is not the API's word
		readQuotaHeaders(&outcome.probe.Quota, resp.Header)
	} else {
		outcome.probe.Quota = probe.Quota{}
	}
	outcome.Message = cleanMessage(outcome.Message, token.Reveal())
	return outcome, nil
}

// errTooLarge is the error of a body that exceeds maxBody.
var errTooLarge = fmt.Errorf("the body has more than %d bytes", maxBody)

// readBody reads the whole body and closes it. Reading to the end keeps the connection usable for the next token.
func readBody(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, nil // its body is the connection, and reading that ends with no context
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if len(body) > maxBody {
		return nil, errTooLarge
	}
	return body, err
}

// timedOut reports whether the probe's time is over. A connection's deadline can fire a moment before the context's.
func timedOut(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// connectionFailed reports whether err came from the network rather than from what the server wrote.
func connectionFailed(err error) bool {
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}

// failure classifies an exchange that brought no response. answered is whether the server sent anything: what is not
// HTTP, or more than the limits allow, is an unexpected answer; silence and resets mean that it was not reached.
func failure(err error, answered bool) Result {
	if answered && !connectionFailed(err) {
		return Unexpected
	}
	return Unreachable
}

// describe says in words what kept a response away.
func describe(err error) string {
	if errors.Is(err, io.EOF) {
		return "the connection was closed without an answer"
	}
	return err.Error()
}

// earliestExpiry returns the first NotAfter in the chain, or zero for an empty one.
func earliestExpiry(state tls.ConnectionState, err error) time.Time {
	chain := state.PeerCertificates
	if failed, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		chain = failed.UnverifiedCertificates
	}
	var expiries []time.Time
	for _, certificate := range chain {
		expiries = append(expiries, certificate.NotAfter)
	}
	if len(expiries) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(expiries, time.Time.Compare)
}
