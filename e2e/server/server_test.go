// Package server tests the real exporter from outside: TLS and passwords; requests that are ambiguous, too large or
// slow; what it writes; and its verdicts, budget and state through restarts, outages, proxies and full disks.
package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

func TestMain(m *testing.M) { harness.Main(m) }

const secret = "pat_s3cret0fTheServersTests"

// target is an exporter that watches one token.
type target struct {
	*harness.Exporter
	api *harness.API
}

// start starts an exporter over a simulated API.
func start(t *testing.T, args ...string) *target {
	t.Helper()
	x := prepare(t, args...)
	x.Start()
	return x
}

// prepare returns an exporter that does not run yet. All that it reads is in its directory.
func prepare(t *testing.T, args ...string) *target {
	t.Helper()
	api := harness.NewAPI(t, simulator.Options{})
	api.Set(secret, simulator.Valid)
	x := harness.NewExporter(t, args...)
	harness.Write(t, x.Dir+"/ca.pem", harness.Read(t, api.CA.File))
	harness.Write(t, x.Dir+"/token", secret+"\n")
	x.WriteConfig("api_url: " + api.URL() + "\ntls_config: {ca_file: ca.pem}\n" + harness.Unpaced +
		"tokens: [{name: watched, token_file: token}]\n")
	return &target{x, api}
}

// checkScraped checks that an ordinary scrape gets the verdict.
func (x *target) checkScraped(t *testing.T) {
	t.Helper()
	if err := harness.Expect(x.Scrape(), `appfigures_token_valid{token="watched"} 1`); err != nil {
		t.Error(err)
	}
}

// TestSecurityHeaders checks that browsers may do nothing with a response but show it.
func TestSecurityHeaders(t *testing.T) {
	x := start(t)
	for _, path := range []string{
		"/", "/metrics", "/probe?target=watched", "/probe?target=<script>", "/sd", "/api/v1/status",
		"/-/healthy", "/-/ready", "/-/reload", "/nowhere",
	} {
		response, body := x.Get(path)
		for header, want := range map[string]string{
			"X-Content-Type-Options":  "nosniff",
			"Referrer-Policy":         "no-referrer",
			"Cache-Control":           "no-store",
			"Content-Security-Policy": "default-src 'none'",
		} {
			if got := response.Header.Get(header); !strings.Contains(got, want) {
				t.Errorf("%s: %s is %q, want %q", path, header, got, want)
			}
		}
		if got := response.Header.Get("Content-Security-Policy"); !strings.Contains(got, "frame-ancestors 'none'") {
			t.Errorf("%s may be shown in a frame: %q", path, got)
		}
		if strings.Contains(body, "<script") || strings.Contains(body, secret) {
			t.Errorf("%s contains a script or the token:\n%s", path, body)
		}
	}
}

// TestPprof checks that profiles, which show what is in memory, are served only with the flag.
func TestPprof(t *testing.T) {
	paths := []string{
		"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline",
		"/debug/pprof/profile?seconds=1", "/debug/pprof/trace?seconds=1", "/debug/vars",
	}
	without := start(t)
	for _, path := range paths {
		if response, _ := without.Get(path); response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s, want 404", path, response.Status)
		}
	}
	with := start(t, "--web.enable-pprof")
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile?seconds=1"} {
		if response, _ := with.Get(path); response.StatusCode != http.StatusOK {
			t.Errorf("%s with the flag: %s, want 200", path, response.Status)
		}
	}
	if _, dump := with.Get("/debug/pprof/goroutine?debug=2"); strings.Contains(dump, secret) {
		t.Error("the dump of goroutines contains the token")
	}
}
