package web

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for the page's files
	"encoding/base64"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"nobreak": nobreak, "minute": status.Minute, "ago": status.Ago, "anchor": anchor, "states": status.States,
}).Parse(pageHTML))

// styleHash allows the page's style in a Content-Security-Policy.
var styleHash = func() string {
	digest := sha256.Sum256([]byte(pageCSS))
	return "sha256-" + base64.StdEncoding.EncodeToString(digest[:])
}()

const (
	keysPage    = "appfigures.com/developers/keys" // as in advice
	runbookPage = "https://github.com/appfigures-exporter/appfigures_exporter/blob/main/docs/runbooks.md#"
)

// runbooks are the anchors in the runbooks by the cause of a token's state. There is none for what only needs time.
var runbooks = map[string]string{
	"rejected":     "appfigurestokenrejected",
	"locked":       "appfiguresaccountlocked",
	"forbidden":    "appfigurestokenforbidden",
	"unverified":   "appfigurestokenunverified",
	"no_token":     "appfigurestokensecretunavailable",
	"expiry":       "appfigurestokenexpiringsoon",
	"quota":        "appfiguresquotanearlyexhausted",
	"server_error": "appfiguresapidown", "unexpected": "appfiguresapidown",
	"timeout": "appfiguresapidown", "unreachable": "appfiguresapidown",
	"quota_exhausted": "appfiguresquotaexhausted", "rate_limited": "appfigurestokenunverified",
}

// view is what page.html renders: a report, and what stands around it.
type view struct {
	status.Report
	Style       template.CSS
	Filter      filter
	Rows        []row // those that the filter shows, worst first
	Notices     []notice
	StateFile   string
	MetricsPath string // relative to the page, so that it works behind a proxy that strips a prefix
	Version     string
}

// notice concerns more than one token. Its link is empty if there is none.
type notice struct{ Tone, Title, Text, Link string }

// statusPage shows the state of all tokens to people. It never probes.
func statusPage(options Options) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f, err := parseFilter(r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		report := status.NewReport(options.Scraper.Snapshot(), status.DefaultThresholds)
		var body bytes.Buffer
		if err := pageTemplate.Execute(&body, newView(report, options, f)); err != nil {
			panic(err) // impossible: tests execute all of the template
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = body.WriteTo(w) // fails if the client is gone
	}
}

func newView(report status.Report, options Options, f filter) *view {
	v := &view{
		Report:      report,
		Style:       template.CSS(pageCSS),
		Filter:      f,
		MetricsPath: strings.TrimPrefix(options.TelemetryPath, "/"),
		Version:     options.Version,
	}
	for _, token := range report.WorstFirst() {
		if f.State == "" || f.State == token.State {
			v.Rows = append(v.Rows, row{token})
		}
	}
	exporter := options.Exporter()
	if err := exporter.ReloadError; err != nil {
		v.Notices = append(v.Notices, notice{"denied", "Reloading the configuration failed; the old one stays in use.",
			fmt.Sprintf("Tried %s: %v", status.Ago(exporter.ReloadTime, report.Time), err),
			runbookPage + "appfiguresexporterconfigreloadfailed"})
	}
	switch {
	case !exporter.StateKept:
		v.StateFile = "No state file: a restart forgets verdicts, budgets and holds."
	case exporter.StateSaved.IsZero():
		v.StateFile = "State file: not saved yet."
	default:
		v.StateFile = "State file: saved " + status.Ago(exporter.StateSaved, report.Time) + "."
	}
	if exporter.StateFailing {
		v.Notices = append(v.Notices, notice{"warning", "The state file cannot be written.",
			"A restart would forget what was learned since it was last saved. The exporter's log has the error.", ""})
	}
	for _, account := range report.Accounts {
		if account.Held != nil {
			v.Notices = append(v.Notices, notice{"warning", "Account " + account.Name + ":",
				strings.Join(account.Notes, " "), "#" + anchor("account", account.Name)})
		}
	}
	return v
}

// filter is what the page's query asks for.
type filter struct {
	State     status.State // empty: all
	NoRefresh bool         // the page does not refresh itself
}

// parseFilter reads a filter from a query. The error is for the user and quotes nothing.
func parseFilter(query url.Values) (filter, error) {
	f := filter{status.State(query.Get("state")), query.Get("refresh") == "off"}
	if f.State != "" && !slices.Contains(status.States(), f.State) {
		return filter{}, fmt.Errorf("invalid state: use one of %v", status.States())
	}
	return f, nil
}

// With returns the filter for a state; empty: all.
func (f filter) With(state status.State) filter { f.State = state; return f }

// Toggled returns the filter of the page that refreshes itself if this one does not, and the reverse.
func (f filter) Toggled() filter { f.NoRefresh = !f.NoRefresh; return f }

// Link returns the relative URL of the page with this filter.
func (f filter) Link() string {
	query := make(url.Values)
	if f.State != "" {
		query.Set("state", string(f.State))
	}
	if f.NoRefresh {
		query.Set("refresh", "off")
	}
	if len(query) == 0 {
		return "./"
	}
	return "./?" + query.Encode()
}

// row is one token.
type row struct{ status.Token }

// Latency returns how long the last probe took; empty if there was none.
func (r row) Latency() string {
	if r.DurationSeconds == nil {
		return ""
	}
	return fmt.Sprintf("%.0f ms", 1000**r.DurationSeconds)
}

// LabelList returns the token's labels, sorted.
func (r row) LabelList() []string {
	var labels []string
	for _, name := range slices.Sorted(maps.Keys(r.Labels)) {
		labels = append(labels, name+"="+r.Labels[name])
	}
	return labels
}

// ToDo returns the advice with the vendor's page as a link.
func (r row) ToDo() template.HTML {
	if r.Advice == nil {
		return ""
	}
	link := `<a href="https://` + keysPage + `">` + keysPage + `</a>`
	return template.HTML(strings.ReplaceAll(template.HTMLEscapeString(*r.Advice), keysPage, link))
}

// Runbook returns the link to the runbook of the token's cause; empty if there is none.
func (r row) Runbook() string {
	if runbooks[r.Cause] == "" {
		return ""
	}
	return runbookPage + runbooks[r.Cause]
}

// Span returns from when to when the history reaches: "4 h 40 min ago – 4 min ago".
func (r row) Span(now time.Time) string {
	first, last := r.History[0].Time, r.History[len(r.History)-1].Time
	if first.Equal(last) {
		return status.Ago(last, now)
	}
	return status.Ago(first, now) + " – " + status.Ago(last, now)
}

// Summary describes the history in words: "40 results, 4 h 40 min ago – 4 min ago: 22 valid, 18 rejected".
func (r row) Summary(now time.Time) string {
	counts := make(map[string]int)
	for _, past := range r.History {
		counts[past.Result]++
	}
	var words []string
	for _, result := range slices.Sorted(maps.Keys(counts)) {
		words = append(words, fmt.Sprintf("%d %s", counts[result], result))
	}
	return status.Plural(len(r.History), "result") + ", " + r.Span(now) + ": " + strings.Join(words, ", ")
}

// anchor returns the id of an element: the name as it is, so that #token-NAME works as a link, but for spaces, which an
// id cannot have and which a link has as %20.
func anchor(kind, name string) string { return kind + "-" + strings.ReplaceAll(name, " ", "%20") }

// unit is a number and the space before its unit.
var unit = regexp.MustCompile(`(\d) (ms|s|min|h|days?)\b`)

// nobreak keeps numbers and their units on one line.
func nobreak(words string) string { return unit.ReplaceAllString(words, "$1\u00a0$2") }
