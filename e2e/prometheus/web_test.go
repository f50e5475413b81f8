package scrape

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/exporter"
	"github.com/appfigures-exporter/appfigures_exporter/e2e/prometheus"
	"github.com/appfigures-exporter/appfigures_exporter/e2e/simulated"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// The user that the exporter lets in. The hash is bcrypt's, at its lowest cost.
const (
	user         = "prometheus"
	password     = "scrape it"
	passwordHash = "$2a$04$igXPfm11L/k2aq5nwMqtc.9Xo.bYedLzF405Gt4MO2LdNBz9tGvj6"
)

// TestWebConfig has the exporter serve with TLS and basic auth: Prometheus is let in, and who does not know the
// password is not.
func TestWebConfig(t *testing.T) {
	t.Parallel()
	const secret = "pat_behind_a_password"
	ca := simulated.NewAuthority(t)
	api := simulated.Start(t, ca, simulator.New(simulator.Options{DailyLimit: simulated.Plenty}), nil)
	api.Set(secret, simulator.Valid)
	identity := ca.Issue(t, "127.0.0.1")
	webConfig := filepath.Join(t.TempDir(), "web.yml")
	write(t, webConfig, fmt.Sprintf("tls_server_config: {cert_file: %s, key_file: %s}\nbasic_auth_users: {%s: %s}\n",
		identity.CertFile, identity.KeyFile, user, passwordHash))
	watcher := exporter.Start(t, exporter.Build(t), exporter.AnyPort, []string{
		"APPFIGURES_API_KEY=" + secret, "APPFIGURES_API_BASE_URL=" + api.URL(), "SSL_CERT_FILE=" + ca.File,
	}, "--web.config.file="+webConfig)

	scrape := func(job, password string) string {
		return fmt.Sprintf("  - {job_name: %s, scheme: https, tls_config: {ca_file: %s}, basic_auth: {username: %s, password: %s}, "+
			"static_configs: [{targets: ['%s']}]}\n", job, ca.File, user, password, watcher.Address)
	}
	server := prometheus.Start(t, "global: {scrape_interval: 500ms, scrape_timeout: 500ms}\nscrape_configs:\n"+
		scrape("known", password)+scrape("unknown", "wrong"))
	server.Await(t, patience, map[string]float64{"known": 1, "unknown": 0}, `up`, "job")
	server.Await(t, patience, map[string]float64{"known/default": 1}, `appfigures_token_valid`, "job", "token")

	server.Stop() // so that only what follows could make a probe
	client := clientTrusting(t, ca.File)
	for _, path := range []string{"/", "/metrics", "/probe?target=default", "/sd", "/-/healthy"} {
		before := api.TotalRequests()
		response, err := client.Get("https://" + watcher.Address + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without a password: %s, want 401", path, response.Status)
		}
		if api.TotalRequests() != before {
			t.Errorf("%s without a password made a probe", path)
		}
	}
}

// TestOpenMetrics asks for each format as clients do.
func TestOpenMetrics(t *testing.T) {
	t.Parallel()
	const secret = "pat_in_open_metrics"
	ca := simulated.NewAuthority(t)
	api := simulated.Start(t, ca, simulator.New(simulator.Options{}), nil)
	api.Set(secret, simulator.Valid)
	watcher := exporter.Start(t, exporter.Build(t), exporter.AnyPort, []string{
		"APPFIGURES_API_KEY=" + secret, "APPFIGURES_API_BASE_URL=" + api.URL(), "SSL_CERT_FILE=" + ca.File,
	})
	for _, path := range []string{"/metrics", "/probe?target=default"} {
		text := get(t, http.DefaultClient, "http://"+watcher.Address+path, "text/plain;version=0.0.4")
		testLint(t, text)
		open := get(t, http.DefaultClient, "http://"+watcher.Address+path, "application/openmetrics-text;version=1.0.0")
		if !strings.HasSuffix(open, "\n# EOF\n") {
			t.Errorf("%s in OpenMetrics does not end in # EOF", path)
		}
		if strings.Contains(text, "# EOF") {
			t.Errorf("%s is in OpenMetrics although it was not asked for", path)
		}
	}
}

func clientTrusting(t *testing.T, caFile string) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
