package web

import (
	"errors"
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

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// compareGolden compares with a file in testdata. With UPDATE_GOLDEN=1 in the environment it writes the file instead,
// for review.
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
		t.Errorf("%s differs; UPDATE_GOLDEN=1 go test ./internal/web writes it again. Got:\n%s", path, got)
	}
}

// withoutStyle cuts out the style sheet, which has a file of its own, and the policy's hash of it.
func withoutStyle(page string) string {
	return regexp.MustCompile(`(?s)<style>.*</style>`).ReplaceAllString(page, "<style></style>")
}

func TestPages(t *testing.T) {
	quiet := monitor.Snapshot{Time: threeAtNight, Tokens: []monitor.TokenState{unprobed("etl"), unprobed("reporting")}}
	quiet.Accounts = []monitor.AccountState{{Name: "acme", Tokens: 2, Limit: 1000, LimitAssumed: true, Budget: 250}}
	for name, test := range map[string]struct {
		snapshot  monitor.Snapshot
		target    string
		reloadErr error
	}{
		"every_state.html": {everyState(), "/", errors.New("config.yml:3: tokens: none")},
		"filtered.html":    {manyTokens(300), "/?q=STORE-4&state=denied&refresh=off", nil},
		"not_probed.html":  {quiet, "/", nil},
	} {
		options := testOptions(&fakeScraper{snapshot: test.snapshot})
		options.LastReload = func() (time.Time, error) { return threeAtNight.Add(-time.Hour), test.reloadErr }
		page := ask(newHandler(t, options), "GET", test.target).Body.String()
		compareGolden(t, name, withoutStyle(page))
		if strings.Contains(page, sentinel) {
			t.Errorf("%s contains a secret", name)
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

func TestHeadlines(t *testing.T) {
	valid, denied := probed("t", probe.Valid, 200, ""), probed("t", probe.Rejected, 401, "")
	unknown, waiting := probed("t", probe.Timeout, 0, ""), unprobed("t")
	many := func(n int, tokens ...monitor.TokenState) []monitor.TokenState {
		return append(slices.Repeat([]monitor.TokenState{valid}, n), tokens...)
	}
	for _, test := range []struct {
		tokens []monitor.TokenState
		tone   string
		want   string
	}{
		{nil, "idle", "Nothing has been probed yet"},
		{many(0, waiting, waiting), "idle", "Nothing has been probed yet"},
		{many(1), "good", "The token is valid"},
		{many(12), "good", "All tokens are valid"},
		{many(11, waiting), "good", "All tokens probed so far are valid"},
		{many(0, denied), "bad", "The token needs attention"},
		{many(11, denied), "bad", "1 of 12 tokens needs attention"},
		{many(10, unknown, denied), "bad", "2 of 12 tokens need attention"},
		{many(9998, unknown, unknown), "warn", "2 of 10,000 tokens need attention"},
		{many(0, unknown, waiting), "warn", "1 of 2 tokens needs attention"},
	} {
		v := newView(monitor.Snapshot{Time: threeAtNight, Tokens: test.tokens}, filter{})
		if v.Headline != test.want || v.Tone != test.tone {
			t.Errorf("%s %q, want %s %q", v.Tone, v.Headline, test.tone, test.want)
		}
	}
}

func TestNotices(t *testing.T) {
	at := func(token monitor.TokenState, last, due time.Duration) monitor.TokenState {
		token.Last.Start = threeAtNight.Add(last)
		token.NextProbe = threeAtNight.Add(due)
		return token
	}
	good, slow := probed("a", probe.Valid, 200, ""), probed("b", probe.Timeout, 0, "")
	lost := probed("c", probe.NoToken, 0, "")
	tokens := func(tokens ...monitor.TokenState) monitor.Snapshot { return monitor.Snapshot{Tokens: tokens} }
	accounts := func(accounts ...monitor.AccountState) monitor.Snapshot {
		return monitor.Snapshot{Tokens: []monitor.TokenState{good}, Accounts: accounts}
	}
	used := func(name string, used int64) monitor.AccountState {
		return monitor.AccountState{Name: name, Quota: reported(used, 1000)}
	}
	held := func(account monitor.AccountState) monitor.AccountState {
		account.Held, account.HeldUntil = monitor.SlowDown, threeAtNight.Add(15*time.Minute)
		return account
	}
	file := func(errors uint64, saved time.Duration) monitor.Snapshot {
		snapshot := tokens(good)
		snapshot.StateFile = monitor.StateFile{Enabled: true, Errors: errors, Saved: threeAtNight.Add(-saved)}
		return snapshot
	}
	for _, test := range []struct {
		name     string
		snapshot monitor.Snapshot
		want     []string // beginnings of titles
	}{
		{"all valid", tokens(good), nil},
		{"some time out", tokens(good, slow, slow), nil},
		{"all time out", tokens(slow, slow, lost), []string{"The API answers for no token"}},
		{"the only one times out", tokens(slow, lost), nil},
		{"nothing probed", tokens(unprobed("a")), []string{"The exporter probes when"}},
		{"quiet, something due", tokens(at(good, -16*time.Minute, -time.Minute)), []string{"Nothing seems to scrape"}},
		{"quiet, nothing due", tokens(at(good, -16*time.Minute, time.Minute)), nil},
		{"not quiet for long", tokens(at(good, -14*time.Minute, -time.Minute)), nil},
		{"one hold", accounts(used("x", 1), held(used("acme", 1))), []string{"Account acme is on hold"}},
		{"two holds", accounts(held(used("acme", 1)), held(used("x", 1))), []string{"2 accounts are on hold"}},
		{"90 % used", accounts(used("x", 900)), nil},
		{"more used", accounts(used("x", 901), used("y", 1)), []string{"Account x has used 901 of 1,000 requests today"}},
		{"more used by two", accounts(used("x", 901), used("y", 1000)), []string{"2 accounts have used"}},
		{"used up and held", accounts(held(used("x", 1000))), []string{"Account x is on hold"}},
		{"shared user", accounts(monitor.AccountState{Name: "x", SameUserAs: []string{"y"}}), []string{"1 account share"}},
		{"state saved late", file(0, time.Hour), nil},
		{"state saved after an error", file(3, time.Minute), nil},
		{"state not saved", file(3, time.Hour), []string{"The state file cannot be written"}},
	} {
		test.snapshot.Time = threeAtNight
		got := newView(test.snapshot, filter{}).Notices
		if !slices.EqualFunc(got, test.want, func(n notice, start string) bool { return strings.HasPrefix(n.Title, start) }) {
			t.Errorf("%s: %+v, want %q", test.name, got, test.want)
		}
	}
}

func TestLongPageShowsTheWorst(t *testing.T) {
	handler := newHandler(t, testOptions(&fakeScraper{snapshot: manyTokens(1000)}))
	for _, test := range []struct {
		target string
		rows   int
		has    []string
		lacks  []string
	}{
		{"/", maxRows, []string{"500 more tokens", `href="./?all=1"`,
			"of 1,000 tokens need attention", `id="token-store-8"`}, nil},
		{"/?all=1", 1000, nil, []string{"more token"}},
		{"/?q=store-999", 1, []string{"1 of 1,000 tokens", `id="token-store-999"`, `id="account-acct100"`},
			[]string{"acct99"}},
		{"/?q=ACCT3&state=denied", 12, []string{`value="ACCT3"`}, nil},
		{"/?q=nobody", 0, []string{"No token matches"}, []string{"more token"}},
	} {
		page := ask(handler, "GET", test.target).Body.String()
		if rows := strings.Count(page, `id="token-`); rows != test.rows {
			t.Errorf("%s: %d rows, want %d", test.target, rows, test.rows)
		}
		for _, want := range test.has {
			if !strings.Contains(page, want) {
				t.Errorf("%s: no %q", test.target, want)
			}
		}
		for _, bad := range test.lacks {
			if strings.Contains(page, bad) {
				t.Errorf("%s: %q", test.target, bad)
			}
		}
	}
}

// TestGroupsSayOnce checks that 300 tokens need one explanation per cause, worst first and in natural order.
func TestGroupsSayOnce(t *testing.T) {
	v := newView(manyTokens(300), filter{})
	var got []string
	for _, g := range v.Groups {
		names := make([]string, min(3, len(g.Rows)))
		for i := range names {
			names[i] = g.Rows[i].Name
		}
		got = append(got, fmt.Sprint(g.State(), " ", g.Cause(), " ", g.Count, " ", names, " ", g.Message))
	}
	want := []string{
		"denied rejected 8 [store-8 store-48 store-88] Invalid access token",
		"denied locked 10 [store-21 store-22 store-23] No API Access: this account is locked due to an unpaid balance.",
		"valid server_error 11 [store-4 store-54 store-79] Service Unavailable",
		"valid valid 271 [store-1 store-2 store-3] ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("groups:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if names := fmt.Sprint(v.Accounts[0].Name, v.Accounts[1].Name, v.Accounts[9].Name); names != "acct1acct2acct10" {
		t.Errorf("accounts are not in natural order: %s", names)
	}
}

// TestAnchors checks that the anchors work in links with and without percent-encoding.
func TestAnchors(t *testing.T) {
	for name, want := range map[string]string{
		"store-1": "token-store-1", "a b": "token-a%20b", "報告/x": "token-報告/x",
	} {
		if got := anchor("token", name); got != want {
			t.Errorf("anchor of %q: %q, want %q", name, got, want)
		}
	}
}

func TestInvalidFilter(t *testing.T) {
	answer := ask(newHandler(t, testOptions(&fakeScraper{})), "GET", "/?state=<b>")
	text := answer.Body.String()
	if answer.Code != 400 || strings.Contains(text, "<b>") || !strings.Contains(text, "denied unknown warning valid") {
		t.Errorf("status %d: %s", answer.Code, text)
	}
}

// TestTableRoles checks that every part of a table has a role: where CSS lays a table out as cards, browsers hide that
// it is one from screen readers.
func TestTableRoles(t *testing.T) {
	page := ask(newHandler(t, testOptions(&fakeScraper{snapshot: everyState()})), "GET", "/").Body.String()
	for tag, role := range map[string]string{
		"table": "table", "thead": "rowgroup", "tbody": "rowgroup", "tr": "row", "td": "cell",
		`th scope="col"`: "columnheader", `th scope="row"`: "rowheader",
	} {
		tags := regexp.MustCompile("<"+regexp.QuoteMeta(tag)+"[ >]").FindAllString(page, -1)
		if roles := strings.Count(page, "<"+tag+` role="`+role+`"`); len(tags) == 0 || roles != len(tags) {
			t.Errorf("%d of %d <%s> have the role %s", roles, len(tags), tag, role)
		}
	}
	if captions := strings.Count(page, "<caption>"); captions != strings.Count(page, "<table") {
		t.Errorf("%d captions", captions)
	}
}

// minContrast is what WCAG 2 level AA requires between text and background.
const minContrast = 4.5

func TestColorsContrast(t *testing.T) {
	schemes := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllStringSubmatch(statusCSS, -1)
	if len(schemes) != 2 {
		t.Fatalf("%d color schemes, want light and dark", len(schemes))
	}
	for _, scheme := range schemes {
		colors := make(map[string]float64) // relative luminance by name
		for _, found := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6});`).FindAllStringSubmatch(scheme[1], -1) {
			colors[found[1]] = luminance(t, found[2])
		}
		for text, backgrounds := range map[string][]string{
			"text":  {"page", "card", "bad-wash", "warn-wash"},
			"quiet": {"page", "card", "warn-wash"},
			"link":  {"page", "card"},
			"bad":   {"page", "card", "bad-wash"},
			"warn":  {"page", "card", "warn-wash"},
			"good":  {"page", "card"},
			"idle":  {"page", "card"},
		} {
			for _, background := range backgrounds {
				a, foundText := colors[text]
				b, foundBackground := colors[background]
				if !foundText || !foundBackground {
					t.Fatalf("no color %s or %s", text, background)
				}
				if contrast := (max(a, b) + 0.05) / (min(a, b) + 0.05); contrast < minContrast {
					t.Errorf("%s on %s: contrast %.2f, want at least %v", text, background, contrast, minContrast)
				}
			}
		}
	}
}

// luminance is the relative luminance of a color, by WCAG 2's formula.
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
