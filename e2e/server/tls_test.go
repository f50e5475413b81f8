package server

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

// TestWebConfigs requests metrics under each kind of web configuration by Go's client, by curl, and by healthcheck.
func TestWebConfigs(t *testing.T) {
	curl := harness.Tool(t, "curl", "apt-get install curl")
	for name, test := range map[string]struct {
		tls      string // the least version; "" without TLS
		password bool
	}{
		"plain":            {},
		"password":         {password: true},
		"TLS":              {tls: "TLS12"},
		"TLS and password": {tls: "TLS12", password: true},
		"TLS 1.3 only":     {tls: "TLS13"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := prepare(t, "--web.config.file=web.yml")
			var config string
			if test.tls != "" {
				config += harness.TLSConfig(x.api.CA.Issue(t, "127.0.0.1"), test.tls)
				x.TLS = x.api.CA.ClientConfig(t)
			}
			if test.password {
				config += harness.PasswordConfig
			}
			harness.Write(t, x.Dir+"/web.yml", config)
			x.Start()

			t.Run("Go", func(t *testing.T) { testGoClient(t, x, test.password) })
			t.Run("curl", func(t *testing.T) { testCurl(t, curl, x, test.password) })
			t.Run("healthcheck", func(t *testing.T) {
				// It needs no web configuration: any response proves that the exporter works.
				x.Args = nil
				out, err := x.Command("healthcheck", "--web.listen-address="+x.Address).CombinedOutput()
				if err != nil {
					t.Errorf("healthcheck: %v\n%s", err, out)
				}
				if err := x.Command("healthcheck", "--web.listen-address=127.0.0.1:1").Run(); err == nil {
					t.Error("healthcheck succeeds although nothing listens")
				}
			})
		})
	}
}

func testGoClient(t *testing.T, x *target, needsPassword bool) {
	transport := &http.Transport{TLSClientConfig: x.TLS.Clone(), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: harness.ResponseTimeout}
	for _, password := range []string{"", harness.Password, "wrong"} {
		want := http.StatusOK
		if needsPassword && password != harness.Password {
			want = http.StatusUnauthorized
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, x.URL("/metrics"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			request.SetBasicAuth(harness.User, password)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != want {
			t.Errorf("with the password %q: %s, %v, want %d", password, response.Status, err, want)
		}
		if strings.Contains(string(body), "appfigures_token_valid") != (want == http.StatusOK) {
			t.Errorf("with the password %q, the body is %.100q", password, body)
		}
	}
}

func testCurl(t *testing.T, curl string, x *target, needsPassword bool) {
	get := func(args ...string) string {
		args = append(args, "--silent", "--max-time", "10",
			"--output", os.DevNull, "--write-out", "%{http_code} %{exitcode}")
		out, _ := exec.Command(curl, append(args, x.URL("/metrics"))...).Output()
		return string(out)
	}
	without := "200 0"
	if needsPassword {
		without = "401 0"
	}
	trust, user := []string{"--cacert", x.api.CA.File}, []string{"--user", harness.User + ":" + harness.Password}
	for _, test := range []struct {
		want string
		args []string
	}{
		{"200 0", append(user, trust...)},
		{"200 0", append([]string{"--http1.1", user[0], user[1]}, trust...)},
		{without, append([]string{"--user", harness.User + ":wrong"}, trust...)},
		{without, trust},
	} {
		if got := get(test.args...); got != test.want {
			t.Errorf("curl %q returns %q, want %q", test.args, got, test.want)
		}
	}
	const notTrusted = "000 60"
	if got := get(user...); (x.TLS != nil) != (got == notTrusted) {
		t.Errorf("curl without the authority's certificate returns %q", got)
	}
}
