package web

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for the page's files
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"
)

//go:embed status.html
var statusHTML string

//go:embed status.css
var statusCSS string

// usualRows is how many tokens the page shows unless asked for all: the worst, and enough to scroll through.
const usualRows = 500

// pagePolicy lets the browser apply the page's own style and show its icon, and nothing else.
var pagePolicy = fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	base64.StdEncoding.EncodeToString(sum(statusCSS)))

func sum(text string) []byte {
	digest := sha256.Sum256([]byte(text))
	return digest[:]
}

// icons are dots in the colour of a tone, for the browser's tab.
var icons = map[string]template.URL{
	"bad":  icon("c8261d"),
	"warn": icon("d98a00"),
	"idle": icon("808890"),
	"good": icon("2a8c4f"),
}

func icon(colour string) template.URL {
	return template.URL("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E" +
		"%3Ccircle cx='8' cy='8' r='7' fill='%23" + colour + "'/%3E%3C/svg%3E")
}

// statusPage shows people how the tokens stand. It never probes.
type statusPage struct {
	scraper     Scraper
	lastReload  func() (ok bool, at time.Time)
	version     string
	metricsPath string
	template    *template.Template
}

func newStatusPage(options Options) (*statusPage, error) {
	parsed, err := template.New("status").Parse(statusHTML)
	if err != nil {
		return nil, fmt.Errorf("parsing the status page: %w", err)
	}
	return &statusPage{
		scraper:     options.Scraper,
		lastReload:  options.LastReload,
		version:     options.Version,
		metricsPath: strings.TrimPrefix(options.TelemetryPath, "/"),
		template:    parsed,
	}, nil
}

func (p *statusPage) serve(w http.ResponseWriter, r *http.Request) {
	snapshot := p.scraper.Snapshot()
	rows := usualRows
	if r.URL.Query().Has("all") {
		rows = len(snapshot.Tokens)
	}
	v := newView(snapshot, rows)
	v.Style, v.Icon = template.CSS(statusCSS), icons[v.Tone]
	v.Version, v.MetricsPath = p.version, p.metricsPath
	if ok, at := p.lastReload(); !ok {
		v.Notices = append([]notice{reloadFailed(momentAt(at, snapshot.Time))}, v.Notices...)
	}

	var body bytes.Buffer
	if err := p.template.Execute(&body, v); err != nil {
		panic(err) // the template does not fit the view; survive logs it
	}
	if w.Header().Get("Content-Security-Policy") == strictPolicy {
		w.Header().Set("Content-Security-Policy", pagePolicy)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	compressed := newAnswer(w.Header(), r)
	_, _ = body.WriteTo(compressed)
	compressed.send(w)
}

func reloadFailed(at moment) notice {
	return notice{"bad", "The configuration could not be reloaded.",
		fmt.Sprintf("The attempt of %s (%s) failed, and the configuration before it stays in use. The exporter's log says why.", at.Relative, at.Absolute)}
}
