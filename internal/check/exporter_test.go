package check

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

func TestFromExporter(t *testing.T) {
	snapshot := at(valid("a"), token("b", probe.Rejected, 401, ""))
	report, err := json.Marshal(status.NewReport(snapshot, status.DefaultThresholds))
	if err != nil {
		t.Fatal(err)
	}
	const notState = "the response is not the state of an appfigures_exporter"
	for _, test := range []struct {
		name   string
		path   string // of the URL
		status int
		body   []byte
		want   string // the error without what all have in common; empty for a report
	}{
		{"the state", "", 200, report, ""},
		{"the state, with a slash", "/", 200, report, ""},
		{"the state, under a prefix", "/appfigures/", 200, report, ""},
		{"a page", "", 200, []byte("<html>"), notState},
		{"other JSON", "", 200, []byte(`{"status":"success"}`), notState},
		{"a token without a state", "", 200, []byte(`{"state":"valid","tokens":[{"name":"a"}]}`), notState},
		{"a state that does not exist", "", 200, []byte(`{"state":"valid","tokens":[{"state":"fine"}]}`), notState},
		{"control characters", "", 200, []byte(`{"state":"valid","tokens":[],"headline":"\u009b31m"}`), notState},
		{"broken JSON", "", 200, report[:len(report)-1], notState},
		{"too much", "", 200, bytes.Repeat([]byte(" "), maxReport+1), "the response is larger than 64 MiB"},
		{"another server", "", 404, nil, "/api/v1/status responded with status 404"},
		{"wrong password", "", 401, nil, "it requires other credentials; put them into a file for --http.config.file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var path, user, password string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				path = r.URL.Path
				user, password, _ = r.BasicAuth()
				w.WriteHeader(test.status)
				_, _ = w.Write(test.body)
			}))
			defer server.Close()
			host := strings.TrimPrefix(server.URL, "http://")
			load, err := FromExporter("http://monitoring:pa55%2Fword@"+host+test.path, "")
			if err != nil {
				t.Fatal(err)
			}
			got, families, err := load(t.Context())
			want := strings.TrimSuffix(test.path, "/") + "/api/v1/status"
			if path != want || user != "monitoring" || password != "pa55/word" {
				t.Errorf("requested %s as %q with %q, want %s as monitoring with pa55/word", path, user, password, want)
			}
			switch {
			case test.want == "" && (err != nil || len(got.Tokens) != 2 || got.State != status.Denied || families != nil):
				t.Errorf("got %+v and error %v", got, err)
			case test.want != "" && (err == nil || err.Error() != "loading the state from the exporter at "+host+": "+test.want):
				t.Errorf("got error %v, want %q", err, test.want)
			}
		})
	}
}

func TestFromExporterBadOptions(t *testing.T) {
	for _, exporter := range []string{
		"", "localhost:10187", "ftp://u:pa55/word@host", "http://", "http://u:pa55/word@host:port", "http://host:1\x7f",
	} {
		_, err := FromExporter(exporter, "")
		const want = "--exporter is not an http or https URL; use one such as http://localhost:10187"
		if err == nil || err.Error() != want {
			t.Errorf("%q: got error %v, want %q", exporter, err, want)
		}
	}
	for content, want := range map[string]string{
		"basic_auth: [pa55word]":                     "reading --http.config.file: ",
		"basic_auth: pa55word":                       "reading --http.config.file: ",
		"tls_config: {ca_file: /does/not/exist.pem}": "using --http.config.file: ",
	} {
		_, err := FromExporter("http://localhost:10187", file(t, content))
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "pa55") {
			t.Errorf("%s: got error %v", content, err)
		}
	}
}

// file returns the path of a file with this content.
func file(t *testing.T, content string) string {
	path := filepath.Join(t.TempDir(), "http.yml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestHTTPConfigFile checks that an exporter behind TLS and a password gets nothing without the file, and answers
// with it.
func TestHTTPConfigFile(t *testing.T) {
	requests := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		if user, password, _ := r.BasicAuth(); user != "monitoring" || password != "pa55word" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(status.NewReport(at(valid("a")), status.DefaultThresholds))
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	ca := file(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	for _, test := range []struct {
		config   string
		requests int
		want     string // part of the error; empty for a report
	}{
		{"basic_auth: {username: monitoring, password: pa55word}", 0, "certificate signed by unknown authority"},
		{"tls_config: {ca_file: " + ca + "}", 1, "it requires other credentials"},
		{"tls_config: {ca_file: " + ca + "}\nbasic_auth: {username: monitoring, password: pa55word}", 1, ""},
	} {
		load, err := FromExporter(server.URL, file(t, test.config))
		if err != nil {
			t.Fatal(err)
		}
		requests = 0
		report, _, err := load(t.Context())
		if test.want == "" && (err != nil || len(report.Tokens) != 1) ||
			test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) || requests != test.requests {
			t.Errorf("%s: %d requests, error %v; want %d, %q", test.config, requests, err, test.requests, test.want)
		}
	}
}

// TestFromExporterTimeout checks an exporter that accepts connections and is silent, or is gone.
func TestFromExporterTimeout(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for _, test := range []struct {
		ctx  context.Context
		want string
	}{
		{ctx, "no complete response in time; --timeout sets how long to wait"},
		{t.Context(), "connection refused"},
	} {
		load, err := FromExporter(strings.Replace(server.URL, "http://", "http://u:pa55@", 1), "")
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = load(test.ctx)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "pa55") {
			t.Errorf("got error %v, want %q", err, test.want)
		}
		server.Close()
	}
}
