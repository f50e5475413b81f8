package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// healthcheckTimeout bounds the whole check. Docker's default is 30 s; an answer takes milliseconds.
const healthcheckTimeout = 5 * time.Second

// Healthcheck asks the exporter on this machine, which listens on listenAddress, whether it is healthy. It sends no
// secret, so it does not matter who answers: it takes any certificate, and any answer below 500 proves life, such as a
// demand for a password. So does a demand for a client certificate.
func Healthcheck(ctx context.Context, listenAddress string) error {
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	addresses, err := dialAddresses(listenAddress)
	if err != nil {
		return err
	}
	var problems []error
	for _, address := range addresses {
		err := checkHealth(ctx, "https://"+address)
		if errors.Is(err, http.ErrSchemeMismatch) { // the other order would make a server with TLS log an error
			err = checkHealth(ctx, "http://"+address)
		}
		if err == nil {
			return nil
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// dialAddresses returns where a server that listens at the address can be reached from the same machine.
func dialAddresses(listen string) ([]string, error) {
	const flag = "--web.listen-address"
	if strings.Contains(listen, "://") {
		return nil, fmt.Errorf("%s %q: unix sockets and vsock are not supported by healthcheck; give the exporter a "+
			"TCP address too, and healthcheck that one", flag, listen)
	}
	host, service, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, fmt.Errorf("%s %q: must be host:port or :port", flag, listen)
	}
	port, err := net.LookupPort("tcp", service) // as the server does: http is 80, and nothing is 0
	if err != nil {
		return nil, fmt.Errorf("%s %q: no such port", flag, listen)
	}
	if port == 0 {
		return nil, fmt.Errorf("%s %q: the system chooses this port; give the exporter a fixed one", flag, listen)
	}
	hosts := []string{host}
	switch ip := net.ParseIP(host); {
	case host == "":
		hosts = []string{"127.0.0.1", "::1"}
	case ip.IsUnspecified() && ip.To4() != nil:
		hosts = []string{"127.0.0.1"}
	case ip.IsUnspecified():
		hosts = []string{"::1", "127.0.0.1"} // an IPv6 socket takes IPv4 as well
	}
	for i, host := range hosts {
		hosts[i] = net.JoinHostPort(host, strconv.Itoa(port))
	}
	return hosts, nil
}

// checkHealth makes one request to one server.
func checkHealth(ctx context.Context, server string) error {
	certificateWanted := false
	transport := &http.Transport{ // without a proxy: the exporter is on this machine
		DisableKeepAlives: true,
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
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/-/healthy", http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		if certificateWanted && ctx.Err() == nil {
			return nil
		}
		return fmt.Errorf("requesting the exporter's health: %w; is it running, with the same "+
			"--web.listen-address?", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode >= http.StatusInternalServerError {
		reason, _ := io.ReadAll(io.LimitReader(response.Body, 500))
		return fmt.Errorf("the exporter is not healthy: %s/-/healthy: %s: %s",
			server, response.Status, strings.Join(strings.Fields(string(reason)), " "))
	}
	return nil
}
