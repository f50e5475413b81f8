package simulator

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

// TestAdvance checks that the API changes as the banner promises, and that backup is denied once a cycle.
func TestAdvance(t *testing.T) {
	d := startDemo(t)
	from := time.Duration(0)
	for _, step := range []struct {
		to                time.Duration
		etl, backup, bulk int // HTTP statuses
	}{
		{15 * time.Second, 200, 401, 200},
		{19 * time.Second, 200, 200, 200},
		{20 * time.Second, 401, 200, 200},
		{44 * time.Second, 401, 200, 200},
		{45 * time.Second, 401, 401, 200},
		{60 * time.Second, 401, 200, 420},
		{80 * time.Second, 200, 401, 420},
	} {
		d.advance(from, step.to)
		from = step.to
		for token, want := range map[string]int{"etl": step.etl, "backup": step.backup, "bulk-import": step.bulk} {
			response, _ := get(t, d.api, "GET", "/v2/", "Bearer pat_demo_"+token)
			if response.StatusCode != want {
				t.Errorf("%s after %v: %d, want %d", token, step.to, response.StatusCode, want)
			}
		}
	}
}

// TestDemoTokens checks that the API knows the configured tokens as they are at the start, and each in its account.
func TestDemoTokens(t *testing.T) {
	d := startDemo(t)
	if len(d.Config.Tokens) != len(actors) {
		t.Fatalf("%d tokens, want %d", len(d.Config.Tokens), len(actors))
	}
	for i, token := range d.Config.Tokens {
		secret, err := token.Source.Read()
		if isMissing := token.Name == missing; isMissing || err != nil {
			if isMissing != (err != nil) {
				t.Errorf("%s: its source says %v", token.Name, err)
			}
			continue
		}
		if !secret.Equal(config.NewSecret(actors[i].secret())) {
			t.Errorf("%s: its secret is not the actor's", token.Name)
		}
		d.api.mu.Lock()
		known := d.api.tokens[actors[i].secret()]
		d.api.mu.Unlock()
		if known == nil || known.behavior != actors[i].behavior || known.account.name != token.Account {
			t.Errorf("%s: the API knows it as %+v", token.Name, known)
		}
		left := time.Until(token.ExpiresAt)
		if expires := token.Name == "partner-feed"; expires != (left > 5*24*time.Hour && left < 6*24*time.Hour) {
			t.Errorf("%s: expires at %v", token.Name, token.ExpiresAt)
		}
	}
}

// TestBanner checks that the banner fits a terminal, explains every token, and that its curl line works.
func TestBanner(t *testing.T) {
	d := startDemo(t)
	banner := d.Banner("http://localhost:10187/")
	lines := strings.Split(strings.TrimSuffix(banner, "\n"), "\n")
	if len(lines) > 23 {
		t.Errorf("%d lines, want at most 23", len(lines))
	}
	for _, line := range lines {
		if columns := utf8.RuneCountInString(line); columns > 80 {
			t.Errorf("%d columns, want at most 80: %s", columns, line)
		}
	}
	for _, want := range []string{"  Status page    http://localhost:10187/\n", "  etl          valid for 20 s"} {
		if !strings.Contains(banner, want) {
			t.Errorf("%q is missing in\n%s", want, banner)
		}
	}
	curl := regexp.MustCompile(`(?m)^  curl -H "Authorization: (.*)" (\S+)$`).FindStringSubmatch(banner)
	if curl == nil {
		t.Fatalf("no curl line in\n%s", banner)
	}
	request, err := http.NewRequestWithContext(t.Context(), "GET", curl[2], nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", curl[1])
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("got %v, %v", response, err)
	}
	response.Body.Close()
}

// TestSecondDemo checks that two demos run at the same time.
func TestSecondDemo(t *testing.T) {
	if first, second := startDemo(t), startDemo(t); first.Config.APIURL.Host == second.Config.APIURL.Host {
		t.Errorf("both listen at %s", first.Config.APIURL.Host)
	}
}

// TestHang checks that closing the demo aborts a request that hangs, and that other requests do not wait for it.
func TestHang(t *testing.T) {
	d := startDemo(t)
	server := httptest.NewServer(d.api)
	ended := make(chan error)
	go func() {
		request, err := http.NewRequest("GET", server.URL+"/v2/", nil)
		if err == nil {
			request.Header.Set("Authorization", "Bearer pat_demo_export")
			_, err = http.DefaultTransport.RoundTrip(request)
		}
		ended <- err
	}()
	for d.api.Requests("pat_demo_export") == 0 {
		time.Sleep(time.Millisecond)
	}
	if response, _ := get(t, d.api, "GET", "/v2/", "Bearer pat_demo_reporting"); response.StatusCode != http.StatusOK {
		t.Errorf("another token: %d", response.StatusCode)
	}
	server.CloseClientConnections()
	if err := <-ended; err == nil {
		t.Error("a request that hangs got a response")
	}
	server.Close() // waits for its handlers
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
