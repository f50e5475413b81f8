package demo

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestTimeline(t *testing.T) {
	tests := map[string][]struct {
		at   time.Duration
		want simulator.Behavior
	}{
		"pat_demo_reporting": {{0, simulator.Valid}, {time.Hour, simulator.Valid}},
		"pat_demo_etl": {
			{0, simulator.Valid}, {19 * time.Second, simulator.Valid},
			{20 * time.Second, simulator.Revoked}, {79 * time.Second, simulator.Revoked},
			{80 * time.Second, simulator.Valid}, {99 * time.Second, simulator.Valid}, {100 * time.Second, simulator.Revoked},
			{20*80*time.Second + 10*time.Second, simulator.Valid}, {20*80*time.Second + 50*time.Second, simulator.Revoked},
		},
		"pat_demo_nightly": {
			{9 * time.Second, simulator.Valid}, {10 * time.Second, simulator.ServerError},
			{59 * time.Second, simulator.ServerError}, {time.Minute, simulator.Valid},
		},
		"pat_demo_webhooks": {
			{24 * time.Second, simulator.Valid}, {25 * time.Second, simulator.SlowDown},
			{119 * time.Second, simulator.SlowDown}, {2 * time.Minute, simulator.Valid},
		},
		"pat_demo_backup": { // nobody makes the request that ends RevokedOnce
			{14 * time.Second, simulator.Valid}, {15 * time.Second, simulator.RevokedOnce},
			{29 * time.Second, simulator.RevokedOnce}, {30 * time.Second, simulator.Valid},
		},
		"pat_demo_bulk-import": {
			{59 * time.Second, simulator.Valid}, {time.Minute, simulator.DailyLimit}, {time.Hour, simulator.DailyLimit},
		},
	}
	for secret, moments := range tests {
		t.Run(secret, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := simulator.New(simulator.Options{DailyLimit: plenty})
				start := time.Now()
				changes := newScenario(api, start)
				ctx, cancel := context.WithCancel(t.Context())
				go changes.run(ctx)
				for _, moment := range moments {
					time.Sleep(time.Until(start.Add(moment.at)))
					synctest.Wait()
					if got, known := api.Behavior(secret); !known || got != moment.want {
						t.Errorf("after %v: %v (known: %t), want %v", moment.at, got, known, moment.want)
					}
				}
				cancel()
			})
		})
	}
}

// Other programs use their accounts' quota evenly over the UTC day, which starts at 0, and never all of it.
func TestOtherPrograms(t *testing.T) {
	midnight := time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		account string
		at      time.Duration // after midnight; each follows the one before
		want    int64
	}{
		{"growth", 6 * time.Hour, 3_000},
		{"growth", 6*time.Hour + time.Minute, 3_008},
		{"studio", 6*time.Hour + time.Minute, 120},
		{"crunch", 6*time.Hour + time.Minute, 183_000},
		{"acme", 6*time.Hour + time.Minute, 60_166},
		{"growth", 24*time.Hour - time.Second, 11_999},
		{"growth", 24 * time.Hour, 0},
		{"crunch", 24 * time.Hour, 0},
		{"growth", 36 * time.Hour, 6_000},
		{"studio", 36 * time.Hour, 240},
	}
	now := midnight.Add(6 * time.Hour)
	api := simulator.New(simulator.Options{DailyLimit: plenty, Now: func() time.Time { return now }})
	changes := newScenario(api, now)
	for _, test := range tests {
		now = midnight.Add(test.at)
		changes.advance(now)
		if used, limit := api.Quota(test.account); used != test.want || used >= limit {
			t.Errorf("%s at %v: %d of %d used, want %d", test.account, test.at, used, limit, test.want)
		}
	}
}

// Other programs leave the probes their budget, a quarter of the limit.
func TestCustomersLeaveRoomForProbes(t *testing.T) {
	for _, c := range customers {
		if c.dayTotal+c.limit/4 > c.limit {
			t.Errorf("%s: other programs' %d and probes' %d requests are more than the %d of a day",
				c.account, c.dayTotal, c.limit/4, c.limit)
		}
	}
}

func TestConfig(t *testing.T) {
	d := start(t)
	cfg := d.Config()
	if got := cfg.APIURL.String(); got != d.APIURL() || !strings.HasSuffix(got, "/v2/") {
		t.Errorf("got API URL %s, want %s", got, d.APIURL())
	}
	if len(cfg.Tokens) != len(actors) || len(cfg.Warnings) != 0 {
		t.Fatalf("got %d tokens and warnings %q, want %d and none", len(cfg.Tokens), cfg.Warnings, len(actors))
	}
	names := map[string]bool{}
	for _, token := range cfg.Tokens {
		if token.Account == "" || len(token.Labels) == 0 || names[token.Name] {
			t.Errorf("token %q: no account, no label, or not its only one", token.Name)
		}
		names[token.Name] = true
		secret, err := token.Source.Read()
		if missing := token.Name == "forgotten"; missing != (err != nil) {
			t.Errorf("token %q: got error %v from its source", token.Name, err)
		} else if !missing && !secret.Equal(config.NewSecret("pat_demo_"+token.Name)) {
			t.Errorf("token %q: the API knows another secret", token.Name)
		}
		if soon := token.Name == "partner-feed"; soon != !token.ExpiresAt.IsZero() {
			t.Errorf("token %q: expires at %v", token.Name, token.ExpiresAt)
		} else if left := time.Until(token.ExpiresAt); soon && (left < 5*day || left > 6*day) {
			t.Errorf("token %q: expires in %v, want 5 days", token.Name, left)
		}
	}
	other := d.Config()
	other.APIURL.Host = "changed"
	if cfg.APIURL.Host == "changed" {
		t.Error("two configurations share their URL")
	}
}

// TestTokensAtTheStart checks the response to each token right after the start.
func TestTokensAtTheStart(t *testing.T) {
	d := start(t)
	want := map[string]int{ // HTTP statuses, without those of silent
		"reporting": 200, "etl": 200, "partner-feed": 200, "nightly": 200, "backup": 200, "mobile-old": 403, "intern": 403,
		"office": 403, "forgotten": 401, "old-campaign": 403, "webhooks": 200, "bulk-import": 200, "dashboards": 200,
		"studio-ios": 200,
	}
	silent := map[string]bool{"export": true, "vpn": true, "warehouse": true} // no response, or a slow one
	for _, a := range actors {
		if silent[a.name] {
			continue
		}
		status, body := get(t, d.APIURL(), "Bearer "+a.secret())
		if status != want[a.name] {
			t.Errorf("%s: got status %d, want %d: %s", a.name, status, want[a.name], body)
		}
	}
	if got := len(want) + len(silent); got != len(actors) {
		t.Errorf("%d tokens are tested, there are %d", got, len(actors))
	}
}

// TestEveryKindOfBehaviorIsShown checks that the tokens show every behavior but variants of others.
func TestEveryKindOfBehaviorIsShown(t *testing.T) {
	variants := []simulator.Behavior{simulator.Unmetered, simulator.RevokedQuotingEmail, simulator.RevokedOAuth,
		simulator.RevokedBare, simulator.Disabled, simulator.SlowDownUntimed, simulator.Maintenance, simulator.Redirect}
	shown := map[simulator.Behavior]bool{}
	for _, a := range actors {
		for _, p := range a.phases {
			shown[p.behavior] = true
		}
	}
	for _, behavior := range simulator.Behaviors() {
		if shown[behavior] == slices.Contains(variants, behavior) {
			t.Errorf("%v: shown is %t", behavior, shown[behavior])
		}
	}
}

func TestBanner(t *testing.T) {
	d := &Demo{url: &url.URL{Scheme: "http", Host: "127.0.0.1:10188", Path: "/v2/"}}
	got := d.Banner("http://localhost:10187/")
	const golden = "testdata/banner.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if len(lines) > 22 {
		t.Errorf("%d lines, want at most 22", len(lines))
	}
	for _, line := range lines {
		if columns := utf8.RuneCountInString(line); columns > 80 {
			t.Errorf("%d columns, want at most 80: %s", columns, line)
		}
	}
	for _, a := range actors {
		if !regexp.MustCompile(`(^|\s)` + a.name + `(,|\s)`).MatchString(got) {
			t.Errorf("does not mention %s", a.name)
		}
	}
}

// The curl line of the banner works, with this demo's own port.
func TestCurlLineOfTheBanner(t *testing.T) {
	d := start(t)
	line := regexp.MustCompile(`(?m)^  curl -H "Authorization: (.*)" (\S+)$`)
	curl := line.FindStringSubmatch(d.Banner("http://localhost:10187"))
	if curl == nil {
		t.Fatal("no such line")
	}
	status, body := get(t, curl[2], curl[1])
	var answer struct {
		Status string
		User   map[string]any
	}
	err := json.Unmarshal([]byte(body), &answer)
	if err != nil || status != 200 || answer.Status != "200" || answer.User == nil {
		t.Errorf("got %d %s (%v)", status, body, err)
	}
}

func TestSecondDemoTakesAnotherPort(t *testing.T) {
	first, second := start(t), start(t)
	if first.APIURL() == second.APIURL() {
		t.Errorf("both listen at %s", first.APIURL())
	}
	for _, d := range []*Demo{first, second} {
		if ip := net.ParseIP(d.url.Hostname()); !ip.IsLoopback() {
			t.Errorf("listens at %s, not on loopback", d.url.Host)
		}
	}
}

func TestCloseCutsOffWhatHangs(t *testing.T) {
	d, err := Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		request, err := http.NewRequest("GET", d.APIURL(), nil)
		if err == nil {
			request.Header.Set("Authorization", "Bearer pat_demo_export")
			_, err = new(http.Transport).RoundTrip(request)
		}
		ended <- err
	}()
	for d.api.Requests("pat_demo_export") == 0 {
		runtime.Gosched()
	}
	d.Close()
	if err := <-ended; err == nil {
		t.Error("a request that hangs got a response")
	}
}

func TestScrapeEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 22*time.Second)
		defer cancel()
		var starts, deadlines []time.Duration
		ScrapeEvery(ctx, 5*time.Second, func(ctx context.Context) {
			starts = append(starts, time.Since(begin))
			deadline, _ := ctx.Deadline()
			deadlines = append(deadlines, deadline.Sub(begin))
			if len(starts) == 2 {
				time.Sleep(7 * time.Second) // longer than the interval
			}
		})
		const s = time.Second
		if want := []time.Duration{0, 5 * s, 12 * s, 15 * s, 20 * s}; !slices.Equal(starts, want) {
			t.Errorf("scraped at %v, want %v", starts, want)
		}
		if want := []time.Duration{5 * s, 10 * s, 17 * s, 20 * s, 22 * s}; !slices.Equal(deadlines, want) {
			t.Errorf("scrapes had to end at %v, want %v", deadlines, want)
		}
		if got := time.Since(begin); got != 22*s {
			t.Errorf("returned after %v, want 22s", got)
		}
	})
}

// start starts a demo that ends with the test.
func start(t *testing.T) *Demo {
	t.Helper()
	d, err := Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func get(t *testing.T, target, authorization string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", target, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", authorization)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(data)
}
