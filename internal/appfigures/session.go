// Package appfigures makes the requests to the Appfigures API: one probe of one token, and what its answer means.
// It is the only package that makes requests to the outside and the only one that reveals a token to the wire.
//
// The facts about the API are from the vendor's documentation, https://docs.appfigures.com, and command-line client.
package appfigures

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

const (
	// maxBody bounds a response's body after decompression, in bytes. A real answer has about 500.
	maxBody = 1 << 20
	// maxHeaders bounds a response's status line and headers, in bytes.
	maxHeaders = 64 << 10
)

// Session shares connections among the probes of one scrape. Without that a probe costs five times the CPU, most of it
// for TLS handshakes. A session starts without connections, so that it measures what a new client would meet.
//
// net/http writes to the standard logger what a server sends unasked, which may be a token: the program must discard
// the standard logger's output.
type Session struct {
	root      *url.URL
	timeout   time.Duration // for one probe
	userAgent string
	transport *http.Transport
	dialer    dialer
}

// NewSession returns a session with the API that cfg names. version goes into the User-Agent.
func NewSession(cfg *config.Config, version string) *Session {
	proxy := http.ProxyFromEnvironment
	if cfg.ProxyURL != nil {
		proxy = http.ProxyURL(cfg.ProxyURL)
	}
	s := &Session{
		root:      cfg.APIURL,
		timeout:   cfg.Timeout,
		userAgent: "appfigures_exporter/" + version,
		dialer:    newDialer(cfg.Timeout, cfg.APIURL.Scheme == "https"),
	}
	// HTTP/1.1 only: the HTTP/2 client repeats a request for as long as a server answers GOAWAY or REFUSED_STREAM.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	s.transport = &http.Transport{
		Proxy:               proxy,
		DialContext:         s.dialer.dial,
		TLSClientConfig:     cfg.TLS,
		TLSHandshakeTimeout: cfg.Timeout, // the transport continues a handshake whose probe has ended
		// Without MaxConnsPerHost the transport opens a connection for every probe that finds none idle, even if an
		// idle one then serves that probe: at the start of a scrape, up to twice as many as are ever used.
		MaxConnsPerHost:        cfg.MaxConcurrency,
		MaxIdleConnsPerHost:    cfg.MaxConcurrency,
		MaxResponseHeaderBytes: maxHeaders,
		Protocols:              &protocols,
	}
	return s
}

// Close closes all connections, including those still being opened. It must be called once, after the last probe ended.
func (s *Session) Close() { s.transport.CloseIdleConnections() }

// unrepeatable is an empty request body. The transport never sends a request a second time if it has a body and no
// way to get it again (documented at [http.Transport]). An empty body is not sent at all.
type unrepeatable struct{}

func (unrepeatable) Read([]byte) (int, error) { return 0, io.EOF }
func (unrepeatable) Close() error             { return nil }

// Probe makes one request with the token. It ends when the response is complete, when the configured timeout expires
// ([probe.Timeout]), or when ctx ends. If ctx was canceled, nothing was learned, and Probe returns an error.
func (s *Session) Probe(ctx context.Context, token config.Secret) (probe.Outcome, error) {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	header := http.Header{
		"Authorization": {"Bearer " + token.Reveal()},
		"Accept":        {"application/json"},
		"User-Agent":    {s.userAgent},
	}
	x, resp, err := s.roundTrip(ctx, header, begin)
	for err != nil && ctx.Err() == nil && x.repeatable() {
		x, resp, err = s.roundTrip(ctx, header, begin) // still one request: nothing of the first was sent
	}
	var body []byte
	if err == nil {
		body, err = readBody(resp)
	}
	outcome := x.outcome(time.Now())
	var message string
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		return probe.Outcome{}, fmt.Errorf("probing: %w", context.Cause(ctx))
	case err != nil && timedOut(ctx):
		outcome.Result = probe.Timeout
		message = fmt.Sprintf("gave up after %s, %s", time.Since(begin).Round(100*time.Millisecond), x.activity())
	case resp == nil || connectionFailed(err):
		outcome.Result, message = failure(err, x.answered()), describe(err)
	default:
		a := classify(resp.StatusCode, resp.Header, body, err, time.Now())
		message = a.message
		outcome.Result, outcome.Quota, outcome.Throttle = a.result, a.quota, a.throttle
		outcome.User, outcome.ServerTime = a.user, a.serverTime
	}
	if resp != nil {
		outcome.HTTPStatus = resp.StatusCode
	}
	outcome.Message = cleanMessage(message, token.Reveal())
	return outcome, nil
}

// roundTrip sends the request and returns the response's headers. It calls RoundTrip, not Client.Do: no redirect is
// followed, a token goes to one host.
func (s *Session) roundTrip(
	ctx context.Context, header http.Header, begin time.Time,
) (*exchange, *http.Response, error) {
	x := &exchange{begin: begin}
	ctx = httptrace.WithClientTrace(context.WithValue(ctx, exchangeKey{}, x), x.trace(ctx))
	resp, err := s.transport.RoundTrip((&http.Request{
		Method: http.MethodGet,
		URL:    s.root,
		Host:   s.root.Host,
		Header: header,
		Body:   unrepeatable{},
	}).WithContext(ctx))
	return x, resp, err
}

// errTooLarge is the error of a body that exceeds maxBody.
var errTooLarge = fmt.Errorf("the body has more than %d bytes", maxBody)

// readBody reads the whole body and closes it. Reading to the end keeps the connection usable for the next token.
func readBody(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, nil // its body is the connection, and no context ends reading that
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

// failure classifies an exchange without a response. answered is whether the server sent anything: what is not HTTP or
// exceeds the limits is an unexpected answer; silence and resets mean that the server was not reached.
func failure(err error, answered bool) probe.Result {
	if answered && !connectionFailed(err) {
		return probe.Unexpected
	}
	return probe.Unreachable
}

// describe returns why there is no response.
func describe(err error) string {
	if errors.Is(err, io.EOF) {
		return "the connection was closed without an answer"
	}
	return err.Error()
}
