package web

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for the page's files
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

//go:embed status.html
var statusHTML string

//go:embed status.css
var statusCSS string

// pagePolicy allows the page's own style, icon and form, and nothing else.
var pagePolicy = fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; img-src data:; base-uri 'none'; "+
	"form-action 'self'; frame-ancestors 'none'", base64.StdEncoding.EncodeToString(sum(statusCSS)))

func sum(text string) []byte {
	digest := sha256.Sum256([]byte(text))
	return digest[:]
}

// icons are dots in the color of a tone, for the browser's tab.
var icons = map[string]template.URL{
	"bad":  icon("c8261d"),
	"warn": icon("d98a00"),
	"idle": icon("808890"),
	"good": icon("2a8c4f"),
}

func icon(color string) template.URL {
	return template.URL("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E" +
		"%3Ccircle cx='8' cy='8' r='7' fill='%23" + color + "'/%3E%3C/svg%3E")
}

// filter is what the page's query asks for.
type filter struct {
	Text      string // part of the name of a token or account, in any case
	State     string // name of a state; empty: all
	NoRefresh bool   // the page does not refresh itself
	All       bool   // no limit of rows
}

// parseFilter reads a filter from a query. The error is for the user and quotes nothing.
func parseFilter(query url.Values) (filter, error) {
	f := filter{
		Text:      strings.TrimSpace(query.Get("q")),
		State:     query.Get("state"),
		NoRefresh: query.Get("refresh") == "off",
		All:       query.Has("all"),
	}
	if f.State != "" {
		if _, err := status.ParseState(f.State); err != nil {
			return filter{}, fmt.Errorf("invalid state: use one of %v", status.States())
		}
	}
	return f, nil
}

// Active reports whether the filter leaves tokens out.
func (f filter) Active() bool { return f.Text != "" || f.State != "" }

// link returns the relative URL of the page with this filter.
func (f filter) link() string {
	query := make(url.Values)
	if f.Text != "" {
		query.Set("q", f.Text)
	}
	if f.State != "" {
		query.Set("state", f.State)
	}
	if f.NoRefresh {
		query.Set("refresh", "off")
	}
	if f.All {
		query.Set("all", "1")
	}
	if len(query) == 0 {
		return "./"
	}
	return "./?" + query.Encode()
}

// statusPage shows the state of all tokens to people. It never probes.
type statusPage struct {
	Options
	template *template.Template
}

func newStatusPage(options Options) (*statusPage, error) {
	parsed, err := template.New("status").Parse(statusHTML)
	if err != nil {
		return nil, fmt.Errorf("parsing the status page: %w", err)
	}
	return &statusPage{options, parsed}, nil
}

func (p *statusPage) serve(w http.ResponseWriter, r *http.Request) {
	f, err := parseFilter(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	snapshot := p.Scraper.Snapshot()
	v := newView(snapshot, f)
	v.Style, v.Icon = template.CSS(statusCSS), icons[v.Tone]
	v.Version, v.MetricsPath = p.Version, strings.TrimPrefix(p.TelemetryPath, "/")
	if at, err := p.LastReload(); err != nil {
		v.Notices = append([]notice{reloadFailed(at, snapshot.Time, err)}, v.Notices...)
	}

	var body bytes.Buffer
	if err := p.template.Execute(&body, v); err != nil {
		panic(err) // impossible: tests execute all of the template
	}
	if w.Header().Get("Content-Security-Policy") == strictPolicy {
		w.Header().Set("Content-Security-Policy", pagePolicy)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	response := newBufferedResponse(w.Header(), r)
	_, _ = body.WriteTo(response)
	response.send(w)
}

func reloadFailed(at, now time.Time, err error) notice {
	return notice{"bad", "Reloading the configuration failed; the old one stays in use.",
		fmt.Sprintf("Tried %s (%s): %v", status.Ago(at, now), status.Minute(at), err)}
}
