package web

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/advice"
	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// compareGolden compares with a file in testdata. With UPDATE_GOLDEN=1 in the environment it writes the file instead,
// for somebody to read the difference.
func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; UPDATE_GOLDEN=1 go test ./internal/web writes it anew. Got:\n%s", path, got)
	}
}

// withoutStyle cuts out the style sheet, which has a file of its own, and the policy's hash of it.
func withoutStyle(page string) string {
	return regexp.MustCompile(`(?s)<style>.*</style>`).ReplaceAllString(page, "<style></style>")
}

func TestPages(t *testing.T) {
	quiet := monitor.Snapshot{Time: threeAtNight, Tokens: []monitor.TokenState{unprobed("etl"), unprobed("reporting")}}
	quiet.Accounts = []monitor.AccountState{{Name: "acme"}}
	for name, test := range map[string]struct {
		snapshot monitor.Snapshot
		reloaded bool
	}{
		"every_state.html": {everyState(), false},
		"not_probed.html":  {quiet, true},
	} {
		options := testOptions(&fakeScraper{snapshot: test.snapshot})
		options.LastReload = func() (bool, time.Time) { return test.reloaded, threeAtNight.Add(-time.Hour) }
		page := ask(newHandler(t, options), "GET", "/").Body.String()
		compareGolden(t, name, withoutStyle(page))
		if strings.Contains(page, sentinel) {
			t.Errorf("%s shows a secret", name)
		}
	}
}

func TestDiscovery(t *testing.T) {
	answer := ask(newHandler(t, testOptions(&fakeScraper{snapshot: everyState()})), "GET", "/sd")
	if got := answer.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	compareGolden(t, "discovery.json", answer.Body.String())

	none := ask(newHandler(t, testOptions(&fakeScraper{})), "GET", "/sd")
	if got := none.Body.String(); got != "[]\n" {
		t.Errorf("without tokens: %q, want an empty list", got)
	}
}

func TestStandings(t *testing.T) {
	dated := func(result probe.Result, left time.Duration) monitor.TokenState {
		token := probed("t", result, 0, "")
		token.ExpiresAt = threeAtNight.Add(left)
		return token
	}
	const day = 24 * time.Hour
	for _, test := range []struct {
		name  string
		token monitor.TokenState
		want  standing
	}{
		{"never probed", unprobed("t"), waiting},
		{"accepted", probed("t", probe.Valid, 200, ""), valid},
		{"rejected", probed("t", probe.Rejected, 401, ""), denied},
		{"locked", probed("t", probe.Locked, 403, ""), denied},
		{"forbidden", probed("t", probe.Forbidden, 403, ""), denied},
		{"no verdict ever", probed("t", probe.Timeout, 0, ""), unknown},
		{"no secret", probed("t", probe.NoToken, 0, ""), unknown},
		{"accepted, then an outage", judged(probed("t", probe.ServerError, 500, ""), probe.VerdictValid), unconfirmed},
		{"accepted, then a limit", judged(probed("t", probe.RateLimited, 420, ""), probe.VerdictValid), unconfirmed},
		{"rejected, then an outage", judged(probed("t", probe.Timeout, 0, ""), probe.VerdictDenied), denied},
		{"expires in 14 days", dated(probe.Valid, 14*day), valid},
		{"expires before", dated(probe.Valid, 14*day-1), expiring},
		{"expired", dated(probe.Valid, -day), expiring},
		{"rejected and expired", dated(probe.Rejected, -day), denied},
		{"no verdict and expired", dated(probe.Timeout, -day), unknown},
	} {
		if got := standingOf(test.token, threeAtNight); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, standings[got].word, standings[test.want].word)
		}
	}
}

func TestADenialKeepsItsReason(t *testing.T) {
	token := judged(probed("t", probe.ServerError, 503, "Service Unavailable"), probe.VerdictDenied)
	got := newRow(token, threeAtNight)
	if got.Why != probe.Locked.Meaning() || got.Action != probe.Locked.Advice() || got.Message != token.Ground.Message {
		t.Errorf("the reason is lost: %q, %q, %q", got.Why, got.Message, got.Action)
	}
	for _, want := range []string{"4 h ago", "no verdict", probe.ServerError.Meaning(), "Service Unavailable"} {
		if !strings.Contains(got.Note, want) {
			t.Errorf("the note %q lacks %q", got.Note, want)
		}
	}
}

func TestHeadlines(t *testing.T) {
	for _, test := range []struct {
		counts [numStandings]int
		tone   string
		want   string
	}{
		{[numStandings]int{}, "idle", "Nothing has been probed yet"},
		{[numStandings]int{waiting: 3}, "idle", "Nothing has been probed yet"},
		{[numStandings]int{valid: 1}, "good", "The token is valid"},
		{[numStandings]int{valid: 12}, "good", "All tokens are valid"},
		{[numStandings]int{valid: 11, waiting: 1}, "good", "All tokens probed so far are valid"},
		{[numStandings]int{denied: 1}, "bad", "The token needs attention"},
		{[numStandings]int{denied: 1, valid: 11}, "bad", "1 of 12 tokens needs attention"},
		{[numStandings]int{denied: 1, unknown: 1, valid: 10}, "bad", "2 of 12 tokens need attention"},
		{[numStandings]int{unconfirmed: 2, valid: 9998}, "warn", "2 of 10,000 tokens need attention"},
		{[numStandings]int{expiring: 1, waiting: 1}, "warn", "1 of 2 tokens needs attention"},
	} {
		if tone, got := headline(test.counts); got != test.want || tone != test.tone {
			t.Errorf("%v: %s %q, want %s %q", test.counts, tone, got, test.tone, test.want)
		}
	}
}

func TestNotices(t *testing.T) {
	at := func(token monitor.TokenState, last, due time.Duration) monitor.TokenState {
		token.Last.Start = threeAtNight.Add(last)
		token.NextDue = threeAtNight.Add(due)
		return token
	}
	good, slow := probed("a", probe.Valid, 200, ""), probed("b", probe.Timeout, 0, "")
	lost := probed("c", probe.NoToken, 0, "")
	busy := func(account string, used int64) monitor.TokenState {
		token := good
		token.Account, token.Quota.Used = account, used
		return token
	}
	held := func(name string) monitor.AccountState {
		return monitor.AccountState{Name: name, HeldUntil: threeAtNight.Add(15 * time.Minute), HeldFor: probe.SlowDown}
	}
	for _, test := range []struct {
		name     string
		tokens   []monitor.TokenState
		accounts []monitor.AccountState
		want     []string // beginnings of titles
	}{
		{"all is well", []monitor.TokenState{good}, nil, nil},
		{"some time out", []monitor.TokenState{good, slow, slow}, nil, nil},
		{"all time out", []monitor.TokenState{slow, slow, lost}, nil, []string{"The API answers no token"}},
		{"the only one times out", []monitor.TokenState{slow, lost}, nil, nil},
		{"nothing probed", []monitor.TokenState{unprobed("a")}, nil, []string{"The exporter probes when"}},
		{"quiet, something due", []monitor.TokenState{at(good, -16*time.Minute, -time.Minute)}, nil, []string{"Nobody seems to scrape"}},
		{"quiet, nothing due", []monitor.TokenState{at(good, -16*time.Minute, time.Minute)}, nil, nil},
		{"not quiet for long", []monitor.TokenState{at(good, -14*time.Minute, -time.Minute)}, nil, nil},
		{"a pause", []monitor.TokenState{good}, []monitor.AccountState{{Name: "x"}, held("acme")}, []string{"Account acme is not probed until 2026-05-04 03:15 UTC"}},
		{"pauses", []monitor.TokenState{good}, []monitor.AccountState{held("acme"), held("x")}, []string{"2 accounts are not probed"}},
		{"a quota of which nine tenths are used", []monitor.TokenState{busy("x", 900)}, []monitor.AccountState{{Name: "x"}}, nil},
		{"one of which more is used", []monitor.TokenState{busy("x", 901), busy("x", 3)}, []monitor.AccountState{{Name: "x"}, {Name: "y"}}, []string{"Account x has used 901 of 1,000 requests today"}},
		{"several", []monitor.TokenState{busy("x", 901), busy("y", 1000)}, []monitor.AccountState{{Name: "x"}, {Name: "y"}}, []string{"2 accounts have used"}},
		{"used up, and a pause", []monitor.TokenState{busy("x", 1000)}, []monitor.AccountState{held("x")}, []string{"Account x is not probed"}},
		{"a pause that is over", []monitor.TokenState{good}, []monitor.AccountState{{Name: "x", HeldUntil: threeAtNight}}, nil},
	} {
		got := newView(monitor.Snapshot{Time: threeAtNight, Tokens: test.tokens, Accounts: test.accounts}, usualRows).Notices
		if !slices.EqualFunc(got, test.want, func(n notice, beginning string) bool { return strings.HasPrefix(n.Title, beginning) }) {
			t.Errorf("%s: %+v, want %q", test.name, got, test.want)
		}
	}
}

func TestAPageOfManyTokensShowsTheWorst(t *testing.T) {
	snapshot := monitor.Snapshot{Time: threeAtNight}
	for i := range 2 * usualRows {
		snapshot.Tokens = append(snapshot.Tokens, probed(fmt.Sprintf("token-%04d", i), probe.Valid, 200, ""))
	}
	snapshot.Tokens = append(snapshot.Tokens, probed("zz-last", probe.Rejected, 401, ""))
	handler := newHandler(t, testOptions(&fakeScraper{snapshot: snapshot}))

	page := ask(handler, "GET", "/").Body.String()
	if rows := strings.Count(page, `scope="row"`); rows != usualRows {
		t.Errorf("%d rows, want %d", rows, usualRows)
	}
	for _, want := range []string{"zz-last", "501 more tokens", `href="?all"`, "1 of 1,001 tokens needs attention"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	page = ask(handler, "GET", "/?all").Body.String()
	if rows := strings.Count(page, `scope="row"`); rows != len(snapshot.Tokens) || strings.Contains(page, "more tokens") {
		t.Errorf("%d rows of %d when asked for all", rows, len(snapshot.Tokens))
	}
}

func TestMoments(t *testing.T) {
	for offset, want := range map[time.Duration]string{
		0:                       "now",
		-999 * time.Millisecond: "now",
		-time.Second:            "1 s ago",
		-59 * time.Second:       "59 s ago",
		-90 * time.Second:       "1 min ago",
		-3 * time.Hour:          "3 h ago",
		-47 * time.Hour:         "47 h ago",
		-48 * time.Hour:         "2 days ago",
		5 * time.Minute:         "in 5 min",
		300 * 24 * time.Hour:    "in 300 days",
	} {
		if got := momentAt(threeAtNight.Add(offset), threeAtNight).Relative; got != want {
			t.Errorf("%v: %q, want %q", offset, got, want)
		}
	}
	berlin := time.FixedZone("CEST", 2*3600)
	got := momentAt(threeAtNight.In(berlin), threeAtNight)
	want := moment{"now", "a moment", "2026-05-04 03:00:00 UTC", "2026-05-04 03:00 UTC", "2026-05-04T03:00:00Z"}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if never := momentAt(time.Time{}, threeAtNight); never != (moment{}) {
		t.Errorf("never: %+v", never)
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 12345: "12,345", 1234567: "1,234,567", -1000: "-1,000", -999: "-999",
		math.MinInt64: "-9,223,372,036,854,775,808",
	} {
		if got := number(n); got != want {
			t.Errorf("number(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0 ms", 83 * time.Millisecond: "83 ms", 1234 * time.Millisecond: "1.2 s", 10 * time.Second: "10.0 s"} {
		if got := latency(d); got != want {
			t.Errorf("latency(%v) = %q, want %q", d, got, want)
		}
	}
}

// minContrast is what WCAG 2 level AA asks for between text and its ground.
const minContrast = 4.5

func TestColoursContrast(t *testing.T) {
	schemes := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllStringSubmatch(statusCSS, -1)
	if len(schemes) != 2 {
		t.Fatalf("%d colour schemes, want light and dark", len(schemes))
	}
	for _, scheme := range schemes {
		colours := make(map[string]float64) // relative luminance by name
		for _, found := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6});`).FindAllStringSubmatch(scheme[1], -1) {
			colours[found[1]] = luminance(t, found[2])
		}
		for text, grounds := range map[string][]string{
			"text":  {"page", "card", "bad-wash", "warn-wash"},
			"quiet": {"page", "card"},
			"link":  {"page", "card"},
			"bad":   {"page", "card", "bad-wash"},
			"warn":  {"page", "card", "warn-wash"},
			"good":  {"page", "card"},
			"idle":  {"page", "card"},
		} {
			for _, ground := range grounds {
				a, foundText := colours[text]
				b, foundGround := colours[ground]
				if !foundText || !foundGround {
					t.Fatalf("no colour %s or %s", text, ground)
				}
				if contrast := (max(a, b) + 0.05) / (min(a, b) + 0.05); contrast < minContrast {
					t.Errorf("%s on %s: contrast %.2f, want at least %v", text, ground, contrast, minContrast)
				}
			}
		}
	}
}

// luminance is the relative luminance of a colour, by WCAG 2's formula.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	var sum float64
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		channel, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(channel) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
