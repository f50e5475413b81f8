package web

import (
	"errors"
	"html"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/collector"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

var (
	tableRow = regexp.MustCompile(`(?s)<tr role="row" id="([^"]*)".*?</tr>`)
	tag      = regexp.MustCompile(`<[^>]*>`)
)

// rows returns the rows of the page by id, in order, and the words of each as a person reads them without CSS.
func rows(page string) (ids []string, words map[string]string) {
	words = make(map[string]string)
	for _, found := range tableRow.FindAllStringSubmatch(page, -1) {
		id := html.UnescapeString(found[1])
		ids = append(ids, id)
		text := html.UnescapeString(tag.ReplaceAllString(strings.ReplaceAll(found[0], "</td>", "</td> "), ""))
		words[id] = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\n' }), " ")
	}
	return ids, words
}

// TestRows checks what the page says about a token in each state, and about accounts. Spaces before units are no-break.
func TestRows(t *testing.T) {
	page := ask(newHandler(t, testOptions(&fakeScraper{snapshot: everyState()})), "GET", "/").Body.String()
	ids, words := rows(page)
	for id, want := range map[string]string{
		"token-reporting": "reporting account acme · env=prod · team=growth valid for at least 46_h 50_min " +
			"valid 200 · 83_ms · 2_min ago next in 4_min 46_h 50_min ago – 2_min ago",
		"token-mobile-old": "mobile-old account acme · team=mobile denied for 20_h 26_min The API rejected the token: it " +
			"was revoked, has expired, or never existed. Invalid access token Create a new token at " +
			"appfigures.com/developers/keys and replace this one with it. Runbook rejected 401 · 83_ms · 2_min ago " +
			"next in 4_min 46_h 50_min ago – 2_min ago",
		"token-lost": "lost account acme unknown for 2_min The token could not be read, so no request was made. reading " +
			"token file /run/secrets/lost: no such file or directory Last known: valid, 1_h 14_min ago. Check that the " +
			"token's file or variable exists, is readable by the exporter, and contains only the token. Runbook " +
			"no_token 2_min ago next in 4_min 9_h 38_min ago – 2_min ago",
		"token-newcomer": "newcomer account acme unknown for 1_h The token has not been probed yet. Wait for its turn; " +
			"tokens are probed only by scrapes and by runs of check. none yet next in 4_min no result yet",
		"token-blip": "blip account acme valid for at least 46_h 50_min Last probe: timeout, 2_min ago (no response " +
			"within 10s); valid as of 1_h 14_min ago. timeout 83_ms · 2_min ago next in 4_min 46_h 50_min ago – 2_min ago",
		"token-billing": "billing account acme · team=finance warning for at least 46_h 50_min Its expires_at is " +
			"2026-05-09 03:00 UTC, in 5_days. Replace the token, or correct its expires_at. Runbook valid 200 · 83_ms · " +
			"2_min ago next in 4_min 46_h 50_min ago – 2_min ago",
		`token-<script>alert("x")</script>`: `<script>alert("x")</script> account acme denied for at least 1_h 14_min ` +
			"The API rejected the token: it was revoked, has expired, or never existed. Invalid access token Create a new " +
			"token at appfigures.com/developers/keys and replace this one with it. Runbook rejected 401 · 83_ms · 2_min " +
			"ago next in 4_min 1_h 14_min ago – 2_min ago",
		"account-globex": "globex tokens: 1 quota today: 800 of 800 requests probes today: 40 of 200 requests each token: " +
			"every 9_min Not probed until 2026-05-05 00:00 UTC, in 21_h: the account's requests of today (UTC) are used up.",
		"account-initech%20eu": "initech eu tokens: 1 quota today: not reported probes today: 3 of 250 requests each " +
			"token: every 7_min The API has not reported the account's limit yet: 1000 requests per day are assumed.",
	} {
		if got := strings.ReplaceAll(words[id], "\u00a0", "_"); got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", id, got, want)
		}
	}
	if worst := []string{ids[0], ids[19]}; !slices.Equal(worst, []string{"token-export", "token-shop%20export"}) {
		t.Errorf("the first and the last token are %q", worst)
	}
	for _, want := range []string{
		`<a href="https://appfigures.com/developers/keys">appfigures.com/developers/keys</a>`, `href="#account-globex"`,
		`href="#accounts"`, `<section id="accounts">`, `href="#token-mobile-old"`, `href="./metrics"`,
		`role="img" aria-label="23 results, 26 h 26 min ago – 2 min ago: 3 quota_exhausted, 20 valid"`,
		`<i class="valid" title="valid, 2026-05-04 02:58 UTC"></i>`, `<i class="none" title="no_token, `,
		`<i class="denied" title="rejected, `, `<i class="undecided" title="timeout, `,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

func TestFilterAndRefresh(t *testing.T) {
	handler := newHandler(t, testOptions(&fakeScraper{snapshot: everyState()}))
	const refreshes = `http-equiv="refresh"`
	for _, test := range []struct {
		target string
		tokens int
		has    []string
		lacks  string
	}{
		{"/", 20, []string{refreshes, `href="./?refresh=off"`, `<b>5</b> denied`, `href="./?state=denied"`}, `aria-current="true"`},
		{"/?refresh=off", 20, []string{`href="./"`, `href="./?refresh=off&amp;state=valid"`}, refreshes},
		{"/?state=warning", 3, []string{`aria-current="true"><b>3</b> warning`, `<a href="./"><b>20</b> in all`}, `id="token-reporting"`},
	} {
		page := ask(handler, "GET", test.target).Body.String()
		if n := strings.Count(page, `id="token-`); n != test.tokens {
			t.Errorf("%s: %d tokens, want %d", test.target, n, test.tokens)
		}
		for _, want := range test.has {
			if !strings.Contains(page, want) {
				t.Errorf("%s lacks %s", test.target, want)
			}
		}
		if strings.Contains(page, test.lacks) {
			t.Errorf("%s has %s", test.target, test.lacks)
		}
	}
	answer := ask(handler, "GET", "/?state=<b>")
	if body := answer.Body.String(); answer.Code != 400 || body != "invalid state: use one of [denied unknown warning valid]\n" {
		t.Errorf("status %d: %s", answer.Code, body)
	}
}

// TestNotices checks what stands above the table, and how the headline is colored.
func TestNotices(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Options, *monitor.Snapshot)
		want   []string
	}{
		"a token denied": {func(*Options, *monitor.Snapshot) {}, []string{
			`<h1 class="denied">5 of 20 tokens are denied</h1>`, "<strong>Account globex:</strong> <span>Not probed until",
			"State file: saved 7\u00a0s ago."}},
		"the API down": {func(_ *Options, s *monitor.Snapshot) {
			s.Tokens = s.Tokens[:1]
			s.Unanswered = monitor.Unanswered{Probes: 3, Since: threeAtNight.Add(-12 * time.Minute)}
		}, []string{`<h1 class="warning">`, "The API has not answered for 12\u00a0min."}},
		"a reload failed": {func(o *Options, _ *monitor.Snapshot) {
			o.LastReload = func() (time.Time, error) { return threeAtNight.Add(-time.Hour), errors.New("config.yml:3: <none>") }
		}, []string{`class="notice denied"`, "Tried 1\u00a0h ago: config.yml:3: &lt;none&gt;"}},
		"a full disk": {func(o *Options, _ *monitor.Snapshot) {
			file := monitor.StateFile{Enabled: true, Errors: 3, Saved: threeAtNight.Add(-time.Hour)}
			o.Exporter = func() collector.Exporter { return collector.Exporter{StateFile: file} }
		}, []string{"The state file cannot be written."}},
		"no state file": {func(o *Options, _ *monitor.Snapshot) {
			o.Exporter = func() collector.Exporter { return collector.Exporter{} }
		}, []string{"No state file: a restart forgets"}},
	} {
		scraper := &fakeScraper{snapshot: everyState()}
		options := testOptions(scraper)
		test.change(&options, &scraper.snapshot)
		page := ask(newHandler(t, options), "GET", "/").Body.String()
		for _, want := range test.want {
			if !strings.Contains(page, want) {
				t.Errorf("%s: the page lacks %q", name, want)
			}
		}
	}
}

// TestTableRoles checks that every part of a table has a role: where CSS lays a row out as a block, browsers hide that
// it is one from screen readers.
func TestTableRoles(t *testing.T) {
	page := ask(newHandler(t, testOptions(&fakeScraper{snapshot: everyState()})), "GET", "/").Body.String()
	for _, found := range regexp.MustCompile(`<(table|thead|tbody|tr|td|th)[ >][^>]*`).FindAllString(page, -1) {
		if !strings.Contains(found, ` role="`) {
			t.Errorf("%s has no role", found)
		}
	}
}

// TestRunbooks checks that the anchors exist.
func TestRunbooks(t *testing.T) {
	text, err := os.ReadFile("../../docs/runbooks.md")
	if err != nil {
		t.Fatal(err)
	}
	for cause, anchor := range runbooks {
		if !strings.Contains(strings.ToLower(string(text)), "\n## "+anchor+"\n") {
			t.Errorf("%s: no runbook %s", cause, anchor)
		}
	}
}
