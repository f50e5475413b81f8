package check

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

const password = "pa55/word"

// fixed returns a function that loads the report.
func fixed(report status.Report) func(context.Context) (status.Report, error) {
	return func(context.Context) (status.Report, error) { return report, nil }
}

func TestFromExporter(t *testing.T) {
	snapshot := at(valid("a"), token("b", probe.Rejected, 401, ""))
	report, err := json.Marshal(status.NewReport(snapshot, status.DefaultThresholds))
	if err != nil {
		t.Fatal(err)
	}
	const notState = "the response is not the state of an appfigures_exporter"
	for _, test := range []struct {
		name        string
		path        string // of the URL
		status      int
		contentType string
		body        []byte
		want        string // the error without what all have in common; empty for a report
	}{
		{"the state", "", 200, "application/json; charset=utf-8", report, ""},
		{"the state, with a slash", "/", 200, "application/json", report, ""},
		{"the state, under a prefix", "/appfigures/", 200, "application/json", report, ""},
		{"a page", "", 200, "text/html", []byte("<html>"), notState},
		{"the state as text", "", 200, "text/plain", report, notState},
		{"other JSON", "", 200, "application/json", []byte(`{"status":"success"}`), notState},
		{"broken JSON", "", 200, "application/json", report[:len(report)-1], notState},
		{"too much", "", 200, "application/json", bytes.Repeat([]byte(" "), maxReport+1),
			"the response is larger than 64 MiB"},
		{"another server", "", 404, "text/plain", nil, "/api/v1/status responded with status 404 Not Found"},
		{"a redirect", "", 302, "text/plain", nil, "/api/v1/status responded with status 302 Found"},
		{"wrong password", "", 401, "text/plain", nil,
			"it requires a user and a password; use --exporter=http://USER:PASSWORD@HOST"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var path, user, secret string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				path = r.URL.Path
				user, secret, _ = r.BasicAuth()
				w.Header().Set("Content-Type", test.contentType)
				w.Header().Set("Location", "/login")
				w.WriteHeader(test.status)
				_, _ = w.Write(test.body)
			}))
			defer server.Close()
			host := strings.TrimPrefix(server.URL, "http://")
			load, err := FromExporter("http://monitoring:pa55%2Fword@" + host + test.path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := load(t.Context())
			want := strings.TrimSuffix(test.path, "/") + "/api/v1/status"
			if path != want || user != "monitoring" || secret != password {
				t.Errorf("requested %s as %q with %q, want %s as monitoring with %q", path, user, secret, want, password)
			}
			switch {
			case test.want == "" && (err != nil || len(got.Tokens) != 2 || got.State != "denied"):
				t.Errorf("got %+v and error %v", got, err)
			case test.want != "" && (err == nil || err.Error() != "loading the state from the exporter at "+host+": "+test.want):
				t.Errorf("got error %v, want %q", err, test.want)
			}
		})
	}
}

func TestFromExporterBadURL(t *testing.T) {
	for _, exporter := range []string{
		"", "localhost:10187", "ftp://u:pa55/word@host", "http://", "http://u:pa55/word@host:port", "http://host:1\x7f",
	} {
		_, err := FromExporter(exporter)
		const want = "--exporter is not an http or https URL; use one such as http://localhost:10187"
		if err == nil || err.Error() != want {
			t.Errorf("%q: got error %v, want %q", exporter, err, want)
		}
	}
}

func TestFromExporterUnreachable(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	load, err := FromExporter(strings.Replace(server.URL, "http://", "http://u:pa55%2Fword@", 1))
	if err != nil {
		t.Fatal(err)
	}
	_, err = load(t.Context())
	if err == nil || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "pa55") {
		t.Errorf("got error %v", err)
	}
}

// An untrusted certificate is an error; nothing is sent.
func TestFromExporterUntrusted(t *testing.T) {
	requested := false
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requested = true }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	load, err := FromExporter(strings.Replace(server.URL, "https://", "https://u:p@", 1))
	if err != nil {
		t.Fatal(err)
	}
	_, err = load(t.Context())
	if err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") || requested {
		t.Errorf("requested: %t; error %v", requested, err)
	}
}

// silence never responds.
type silence struct{}

func (silence) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}

func TestFromExporterTimeout(t *testing.T) {
	before := http.DefaultTransport
	http.DefaultTransport = silence{}
	defer func() { http.DefaultTransport = before }()
	synctest.Test(t, func(t *testing.T) {
		load, err := FromExporter("http://exporter:10187")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = load(t.Context())
		const want = "loading the state from the exporter at exporter:10187: no complete response within 10s"
		if err == nil || err.Error() != want || time.Since(start) != exporterTimeout {
			t.Errorf("got error %v after %v, want %q", err, time.Since(start), want)
		}
	})
}
