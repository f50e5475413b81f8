package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// healthcheckTimeout bounds the whole check. The image gives it 5 s; an answer takes milliseconds.
const healthcheckTimeout = 4 * time.Second

// Healthcheck asks the exporter on this machine, which listens on listenAddress, whether it is healthy. It sends no
// secret, so it does not matter who answers: it takes any certificate, and any answer below 500 proves life, such as a
// demand for a password. So does a demand for a client certificate.
func Healthcheck(ctx context.Context, listenAddress string) error {
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	if err := checkListenAddress(listenAddress); err != nil {
		return err
	}
	err := checkHealth(ctx, "https", listenAddress)
	if errors.Is(err, http.ErrSchemeMismatch) { // the other order would make a server with TLS log an error
		err = checkHealth(ctx, "http", listenAddress)
	}
	return err
}

// checkListenAddress returns an error if nothing that listens there can be found.
func checkListenAddress(listen string) error {
	const flag = "--web.listen-address"
	switch _, port, err := net.SplitHostPort(listen); {
	case strings.Contains(listen, "://"):
		return fmt.Errorf("%s %q: healthcheck knows TCP addresses only; give the exporter "+
			"one too, and healthcheck that", flag, listen)
	case err != nil:
		return fmt.Errorf("%s %q: must be host:port or :port", flag, listen)
	case port == "" || port == "0":
		return fmt.Errorf("%s %q: the system chooses this port; give the exporter a fixed one", flag, listen)
	}
	return nil
}

// checkHealth makes one request. Dialing takes an address without a host, or with an unspecified one, for this machine.
func checkHealth(ctx context.Context, scheme, listenAddress string) error {
	certificateWanted := false
	transport := &http.Transport{ // without a proxy: the exporter is on this machine
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, listenAddress)
		},
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS10, // as old as the server's configuration allows
			InsecureSkipVerify: true,             // nothing secret is sent
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				certificateWanted = true
				return new(tls.Certificate), nil // none
			},
		},
	}
	client := http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://localhost/-/healthy", http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		if certificateWanted && ctx.Err() == nil {
			return nil
		}
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // without the URL, whose host is not where it was sent
		}
		return fmt.Errorf("requesting the exporter's health at %s: %w; is it running, with the same "+
			"--web.listen-address?", listenAddress, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode >= http.StatusInternalServerError {
		reason, _ := io.ReadAll(io.LimitReader(response.Body, 500))
		return fmt.Errorf("the exporter at %s is not healthy: %s: %s",
			listenAddress, response.Status, strings.Join(strings.Fields(string(reason)), " "))
	}
	return nil
}
