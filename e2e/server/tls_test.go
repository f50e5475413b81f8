package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

// The user that the exporter lets in. The hash is bcrypt's, at its lowest cost.
const (
	user         = "prometheus"
	password     = "scrape it"
	passwordHash = "$2a$04$igXPfm11L/k2aq5nwMqtc.9Xo.bYedLzF405Gt4MO2LdNBz9tGvj6"
)

// fronts are web configurations. %[1]s and %[2]s stand for the certificate's file and its key's.
var fronts = map[string]struct {
	config   string
	tls      bool
	password bool
}{
	"plain":            {},
	"password":         {config: "basic_auth_users: {" + user + ": " + passwordHash + "}\n", password: true},
	"TLS":              {config: "tls_server_config: {cert_file: %[1]s, key_file: %[2]s}\n", tls: true},
	"TLS and password": {config: "tls_server_config: {cert_file: %[1]s, key_file: %[2]s}\nbasic_auth_users: {" + user + ": " + passwordHash + "}\n", tls: true, password: true},
	"TLS 1.3 only":     {config: "tls_server_config: {cert_file: %[1]s, key_file: %[2]s, min_version: TLS13}\n", tls: true},
}

// TestFronts asks the exporter through each front by Go's client, by curl, and by its own health check.
func TestFronts(t *testing.T) {
	curl := harness.Tool(t, "curl", "apt-get install curl")
	for name, front := range fronts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := harness.NewAuthority(t)
			identity := ca.Issue(t, "127.0.0.1")
			file := filepath.Join(t.TempDir(), "web.yml")
			write(t, file, expand(front.config, identity))
			x := start(t, "--web.config.file="+file)
			scheme := "http"
			if front.tls {
				scheme = "https"
			}
			url := scheme + "://" + x.address + "/metrics"

			t.Run("Go", func(t *testing.T) { testGoClient(t, url, ca.File, front.password) })
			t.Run("curl", func(t *testing.T) { testCurl(t, curl, url, ca.File, front.password) })
			t.Run("healthcheck", func(t *testing.T) {
				check := func(args ...string) error {
					return exec.Command(binary, append([]string{"healthcheck"}, args...)...).Run()
				}
				if err := check("--web.listen-address="+x.address, "--web.config.file="+file); err != nil {
					t.Errorf("the health check fails: %v", err)
				}
				if err := check("--web.listen-address=127.0.0.1:1", "--web.config.file="+file); err == nil {
					t.Error("the health check of nothing succeeds")
				}
				if err := check("--web.listen-address=" + x.address); (err == nil) != (!front.tls && !front.password) {
					t.Errorf("without the web configuration the health check says: %v", err)
				}
			})
		})
	}
}

func expand(config string, identity harness.Identity) string {
	if !strings.Contains(config, "%") {
		return config
	}
	return fmt.Sprintf(config, identity.CertFile, identity.KeyFile)
}

func testGoClient(t *testing.T, url, caFile string, wantsPassword bool) {
	transport := &http.Transport{TLSClientConfig: trusting(t, caFile), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	for _, with := range []string{"", password, "wrong"} {
		want := http.StatusOK
		if wantsPassword && with != password {
			want = http.StatusUnauthorized
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if with != "" {
			request.SetBasicAuth(user, with)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != want {
			t.Errorf("with the password %q: %s, %v, want %d", with, response.Status, err, want)
		}
		if told := strings.Contains(string(body), "appfigures_token_valid"); told != (want == http.StatusOK) {
			t.Errorf("with the password %q the answer tells of tokens: %t", with, told)
		}
	}
}

// trusting returns what a client needs to trust an authority.
func trusting(t *testing.T, caFile string) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: pool}
}

func testCurl(t *testing.T, curl, url, caFile string, wantsPassword bool) {
	ask := func(args ...string) string {
		out, _ := exec.Command(curl, append(args, "--silent", "--max-time", "10", "--output", os.DevNull, "--write-out", "%{http_code} %{exitcode}", url)...).Output()
		return string(out)
	}
	refused := "200 0"
	if wantsPassword {
		refused = "401 0"
	}
	for _, test := range []struct {
		want string
		args []string
	}{
		{"200 0", []string{"--cacert", caFile, "--user", user + ":" + password}},
		{"200 0", []string{"--cacert", caFile, "--user", user + ":" + password, "--http1.1"}},
		{refused, []string{"--cacert", caFile, "--user", user + ":wrong"}},
		{refused, []string{"--cacert", caFile}},
	} {
		if got := ask(test.args...); got != test.want {
			t.Errorf("curl %q says %q, want %q", test.args, got, test.want)
		}
	}
	const notTrusted = "000 60"
	if got := ask("--user", user+":"+password); strings.HasPrefix(url, "https") != (got == notTrusted) {
		t.Errorf("curl without the authority's certificate says %q", got)
	}
}
