package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// healthcheckTimeout bounds the whole check. Docker's default is 30 s; an answer takes milliseconds.
const healthcheckTimeout = 5 * time.Second

// Healthcheck asks the exporter that runs on this machine whether it is healthy. It is given what the exporter was
// given: its listen address, of several the first, and its web configuration file, empty if there is none.
//
// With TLS it trusts exactly the certificate that the file names, whatever host it is for. It knows no password and
// holds no client certificate: where the file demands one, being asked for it is proof enough of life. The error says
// what was tried and what to look at.
func Healthcheck(ctx context.Context, listenAddress, webConfigFile string) error {
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	addresses, err := dialAddresses(listenAddress)
	if err != nil {
		return err
	}
	front, err := readFront(webConfigFile)
	if err != nil {
		return err
	}
	var problems []error
	for _, address := range addresses {
		if err = front.check(ctx, address); err == nil {
			return nil
		}
		problems = append(problems, err)
	}
	return fmt.Errorf("%w; is the exporter running with the same --web.listen-address and --web.config.file?", errors.Join(problems...))
}

// dialAddresses returns where a server that listens at the address can be reached from the same machine.
func dialAddresses(listen string) ([]string, error) {
	const flag = "--web.listen-address"
	if strings.Contains(listen, "://") {
		return nil, fmt.Errorf("%s %q: the health check can only ask over TCP; give the exporter a TCP address too, and name that one here", flag, listen)
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, fmt.Errorf("%s %q: must be host:port or :port", flag, listen)
	}
	if port == "" || port == "0" {
		return nil, fmt.Errorf("%s %q: the system chose the port, so it cannot be known here; give the exporter a fixed one", flag, listen)
	}
	hosts := []string{host}
	switch {
	case host == "":
		hosts = []string{"127.0.0.1", "::1"}
	case net.ParseIP(host).IsUnspecified() && net.ParseIP(host).To4() != nil:
		hosts = []string{"127.0.0.1"}
	case net.ParseIP(host).IsUnspecified():
		hosts = []string{"::1", "127.0.0.1"} // an IPv6 socket takes IPv4 as well
	}
	addresses := make([]string, len(hosts))
	for i, host := range hosts {
		addresses[i] = net.JoinHostPort(host, port)
	}
	return addresses, nil
}

// front is what stands before the exporter's handlers: the part of the web configuration file that a client meets.
type front struct {
	TLS struct {
		Certificate     string `yaml:"cert"`
		CertificateFile string `yaml:"cert_file"`
		ClientAuth      string `yaml:"client_auth_type"`
	} `yaml:"tls_server_config"`
	Users     map[string]yaml.Node `yaml:"basic_auth_users"`
	RateLimit struct {
		Interval time.Duration `yaml:"interval"`
	} `yaml:"rate_limit"`

	file string // the configuration's, for messages
}

// readFront reads a web configuration file. The exporter checks it; here it need only be understood.
func readFront(file string) (front, error) {
	f := front{file: file}
	if file == "" {
		return f, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return f, fmt.Errorf("reading --web.config.file: %w", err)
	}
	if err := yaml.Unmarshal(text, &f); err != nil {
		// yaml quotes what it cannot read, and that may be a password's hash or a key.
		return f, fmt.Errorf("reading --web.config.file %s: not a web configuration; the exporter's log says what is wrong with it", file)
	}
	if path := f.TLS.CertificateFile; path != "" && !filepath.IsAbs(path) {
		f.TLS.CertificateFile = filepath.Join(filepath.Dir(file), path)
	}
	return f, nil
}

// check makes one request to one address.
func (f front) check(ctx context.Context, address string) error {
	url := "http://" + address + "/-/healthy"
	transport := &http.Transport{DisableKeepAlives: true} // and no proxy: the exporter is on this machine
	defer transport.CloseIdleConnections()
	met := false // whether the server at that address has shown our certificate
	if f.hasTLS() {
		certificate, err := f.certificate()
		if err != nil {
			return err
		}
		url = "https://" + address + "/-/healthy"
		transport.TLSClientConfig = trustOnly(certificate, &met)
	}
	client := http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("--web.listen-address %q: %w", address, err)
	}
	response, err := client.Do(request)
	if err != nil {
		if met && f.wantsClientCertificate() && ctx.Err() == nil {
			return nil
		}
		return fmt.Errorf("asking for health: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if !f.meansAlive(response.StatusCode) {
		return fmt.Errorf("asking for health: %s answered %s", url, response.Status)
	}
	return nil
}

// meansAlive reports whether the status comes from a process that lives: healthy, or an exporter that refuses a
// stranger because its configuration says so.
func (f front) meansAlive(status int) bool {
	switch status {
	case http.StatusOK:
		return true
	case http.StatusUnauthorized:
		return len(f.Users) > 0
	case http.StatusTooManyRequests:
		return f.RateLimit.Interval > 0
	default:
		return false
	}
}

func (f front) hasTLS() bool { return f.TLS.Certificate != "" || f.TLS.CertificateFile != "" }

func (f front) wantsClientCertificate() bool {
	return slices.Contains([]string{"RequireAnyClientCert", "RequireClientCert", "RequireAndVerifyClientCert"}, f.TLS.ClientAuth)
}

// certificate returns the server's own certificate, as DER.
func (f front) certificate() ([]byte, error) {
	text := []byte(f.TLS.Certificate)
	if path := f.TLS.CertificateFile; path != "" {
		var err error
		if text, err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("reading cert_file of --web.config.file: %w", err)
		}
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return block.Bytes, nil
		}
	}
	return nil, fmt.Errorf("--web.config.file %s: its certificate is not PEM", f.file)
}

// trustOnly returns a configuration that trusts a server with exactly this certificate, and notes when it met one.
// The handshake itself proves that the server holds the certificate's key.
func trustOnly(certificate []byte, met *bool) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS10, // as old as the server's configuration permits
		InsecureSkipVerify: true,             // the next field verifies, and more strictly
		VerifyPeerCertificate: func(presented [][]byte, _ [][]*x509.Certificate) error {
			if len(presented) == 0 || !bytes.Equal(presented[0], certificate) {
				return errors.New("the server's certificate is not the one that --web.config.file names")
			}
			*met = true
			return nil
		},
	}
}
