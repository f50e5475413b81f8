package simulator

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

// TestDemo checks that the API knows each configured token, in its account, and that some change and change back.
func TestDemo(t *testing.T) {
	d := startDemo(t)
	cfg, err := d.Load()
	if err != nil || len(cfg.Tokens) != len(actors) {
		t.Fatalf("%d tokens, want %d: %v", len(cfg.Tokens), len(actors), err)
	}
	for i, token := range cfg.Tokens {
		secret, err := token.Source.Read()
		if isMissing := token.Name == missing; isMissing != (err != nil) ||
			!isMissing && secret.Digest(nil) != config.NewSecret(actors[i].secret()).Digest(nil) {
			t.Errorf("%s: its source has another token, or says %v", token.Name, err)
		}
		left := time.Until(token.ExpiresAt)
		if expires := token.Name == expiring; expires != (left > 5*24*time.Hour && left < 6*24*time.Hour) {
			t.Errorf("%s: expires at %v", token.Name, token.ExpiresAt)
		}
		for _, changed := range []bool{false, true, false} {
			d.set(changed)
			want := actors[i].behavior
			if changed && actors[i].then != Valid {
				want = actors[i].then
			}
			if behavior, owner := d.api.count(actors[i].secret()); behavior != want || owner.name != token.Account {
				t.Errorf("%s, changed: %t: the API knows it as %s of %s", token.Name, changed, behavior, owner.name)
			}
		}
	}
}

// TestBanner checks that two demos run at the same time, and that a request as the banner shows it is answered.
func TestBanner(t *testing.T) {
	startDemo(t)
	banner := startDemo(t).Banner("http://localhost:10187/")
	api := regexp.MustCompile(`(?m)^  Simulated API  (\S+) with the token (\S+)$`).FindStringSubmatch(banner)
	if api == nil || !regexp.MustCompile(`(?m)^  Metrics        http://localhost:10187/metrics$`).MatchString(banner) {
		t.Fatalf("the banner is\n%s", banner)
	}
	request, err := http.NewRequestWithContext(t.Context(), "GET", api[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+api[2])
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("got %v, %v", response, err)
	}
	response.Body.Close()
}

func startDemo(t *testing.T) *Demo {
	t.Helper()
	d, err := StartDemo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}
