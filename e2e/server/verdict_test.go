package server

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// box is a proxy or gateway before the API, which responds in its place when it wants to.
type box struct {
	respond atomic.Pointer[http.HandlerFunc]
}

func (b *box) set(respond http.HandlerFunc) { b.respond.Store(&respond) }

func (b *box) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if respond := b.respond.Load(); respond != nil && *respond != nil {
			(*respond)(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// startBehind starts an exporter over an API behind a box, and waits until its token is valid.
func startBehind(t *testing.T, b *box) *target {
	t.Helper()
	simulated := simulator.New(simulator.Options{DailyLimit: harness.Plenty})
	simulated.Set(secret, simulator.Valid)
	api := harness.ServeAPI(t, harness.NewAuthority(t), simulated, b.wrap)
	config := api.Config() + harness.Unpaced + "tokens: [{name: watched, token: " + secret + "}]\n"
	x := &target{harness.StartExporter(t, config), api}
	x.checkScraped(t)
	return x
}

// TestProxyDenials checks that what boxes on the way to the API respond with changes no verdict.
func TestProxyDenials(t *testing.T) {
	const text, jsonType = "text/plain", "application/json"
	b := new(box)
	x := startBehind(t, b)
	for name, response := range map[string]struct {
		status          int
		kind, challenge string
		body            string
	}{
		"Envoy":             {403, text, "", "RBAC: access denied"},
		"AWS":               {403, jsonType, "", `{"message":"Forbidden"}`},
		"Cloudflare":        {403, text, "", "error code: 1020"},
		"Cloudflare's JSON": {403, "application/problem+json", "", `{"title":"Access denied","status":403}`},
		"Squid":             {403, text, "", "Access Denied by policy"},
		"OPA":               {403, jsonType, "", `{"allowed":false,"reason":"egress"}`},
		"empty":             {403, "", "", ""},
		"HTML":              {403, "text/html", "", "<!DOCTYPE html><html><body>Access denied</body></html>"},
		"Basic":             {401, "text/html", `Basic realm="maintenance"`, "<html>Authorization Required</html>"},
		"Negotiate":         {401, text, "Negotiate", "Authentication required"},
	} {
		t.Run(name, func(t *testing.T) {
			b.set(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", response.kind)
				if response.challenge != "" {
					w.Header().Set("WWW-Authenticate", response.challenge)
				}
				w.WriteHeader(response.status)
				_, _ = io.WriteString(w, response.body)
			})
			for range 3 {
				if err := harness.Expect(x.Scrape(), `appfigures_token_valid{token="watched"} 1`,
					`appfigures_probe_result{result="unexpected",token="watched"} 1`,
					`appfigures_up{token="watched"} 0`); err != nil {
					t.Error(err)
				}
			}
		})
	}
	b.set(nil)
	if err := harness.Expect(x.Scrape(), `appfigures_up{token="watched"} 1`); err != nil {
		t.Error(err)
	}
}

// TestOddDenial checks that one 401 changes no verdict, whether the token is valid again or an outage follows.
func TestOddDenial(t *testing.T) {
	unauthorized := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"status":401,"message":"Could not authenticate"}`)
	}
	for name, then := range map[string]http.HandlerFunc{
		"between valid answers": nil,
		"before an outage": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := new(box)
			x := startBehind(t, b)
			b.set(func(w http.ResponseWriter, r *http.Request) {
				b.set(then)
				unauthorized(w, r)
			})
			deadline := time.Now().Add(4 * time.Second) // the second probe follows the first denial after a second
			for time.Now().Before(deadline) {
				exposition := x.Scrape()
				x.checkValid(t, exposition)
				once := `appfigures_probes_total{result="rejected",token="watched"} 1`
				if err := harness.Expect(exposition, once); err != nil {
					t.Fatal(err)
				}
			}
			if log := x.Log(); !strings.Contains(log, "Token was denied; probing again to confirm") ||
				strings.Contains(log, "Token is denied") {
				t.Error("the log must have one denial that is not confirmed")
			}
		})
	}
}

// checkValid checks that the exposition has a valid verdict.
func (x *target) checkValid(t *testing.T, exposition string) {
	t.Helper()
	if err := harness.Expect(exposition, `appfigures_token_valid{token="watched"} 1`,
		`appfigures_token_denied{reason="rejected",token="watched"} 0`); err != nil {
		t.Error(err)
	}
}

// TestImpatientScraper scrapes sixty times with a timeout of a millisecond, beside a scraper that waits: no probe times
// out, and the other scraper finds the API up.
func TestImpatientScraper(t *testing.T) {
	t.Parallel()
	const up, impatient = `appfigures_up{token="watched"} 1`, 60
	for name, test := range map[string]struct {
		limit  int64
		pacing string
		most   float64 // requests
	}{
		"paced":   {simulator.DefaultDailyLimit, "", budget/10 + 1},
		"unpaced": {harness.Plenty, harness.Unpaced, 2 * impatient},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := harness.NewAPI(t, simulator.Options{DailyLimit: test.limit, Latency: 50 * time.Millisecond})
			api.Set(secret, simulator.Valid)
			x := harness.StartExporter(t, api.Config()+test.pacing+"tokens: [{name: watched, token: "+secret+"}]\n")
			x.Until(10*time.Second, func(exposition string) error { return harness.Expect(exposition, up) })
			for i := range impatient {
				response, _ := x.Get("/metrics", "X-Prometheus-Scrape-Timeout-Seconds", "0.001")
				if response.StatusCode != http.StatusOK {
					t.Errorf("an impatient scrape: %s", response.Status)
				}
				if i%10 == 0 {
					if err := harness.Expect(x.Scrape(), up); err != nil {
						t.Error(err)
					}
				}
			}
			exposition := x.Scrape()
			noTimeout := `appfigures_probes_total{result="timeout",token="watched"} 0`
			if err := harness.Expect(exposition, up, noTimeout); err != nil {
				t.Error(err)
			}
			used, _ := harness.Sum(exposition, `appfigures_account_budget_used_requests\{.*\}`)
			if used > test.most {
				t.Errorf("%v requests, want at most %v", used, test.most)
			}
		})
	}
}
