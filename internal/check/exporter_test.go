package check

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
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
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for _, test := range []struct {
		name   string
		ctx    context.Context
		prefix string // of the path
		status int
		body   string
		want   string // the error without what all have in common; empty for a report
	}{
		{"the state", t.Context(), "", 200, string(report), ""},
		{"the state, under a prefix", t.Context(), "/appfigures/", 200, string(report), ""},
		{"a page", t.Context(), "", 200, "<html>", notState},
		{"other JSON", t.Context(), "", 200, `{"state":"valid"}`, notState},
		{"a state that does not exist", t.Context(), "", 200, `{"tokens":[{"state":"fine"}]}`, notState},
		{"no password", t.Context(), "", 401, "", "/api/v1/status responded with 401 Unauthorized; --http.config.file gives the password"},
		{"too late", late, "", 200, "", "no complete response in time; --timeout sets how long to wait"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, password, _ := r.BasicAuth()
			want := strings.TrimSuffix(test.prefix, "/") + "/api/v1/status"
			if r.URL.Path != want || user != "monitoring" || password != "pa55/word" {
				t.Errorf("%s: requested %s as %q with %q", test.name, r.URL.Path, user, password)
			}
			w.WriteHeader(test.status)
			_, _ = io.WriteString(w, test.body)
		}))
		host := strings.TrimPrefix(server.URL, "http://")
		load, err := FromExporter("http://monitoring:pa55%2Fword@"+host+test.prefix, "")
		if err != nil {
			t.Fatal(err)
		}
		got, families, err := load(test.ctx)
		server.Close()
		switch {
		case test.want == "" && (err != nil || len(got.Tokens) != 2 || got.State != status.Denied || families != nil):
			t.Errorf("%s: got %+v and error %v", test.name, got, err)
		case test.want != "" && (err == nil || err.Error() != "loading the state from the exporter at "+host+": "+test.want):
			t.Errorf("%s: got error %v, want %q", test.name, err, test.want)
		}
	}
}

// TestFromExporterBadOptions checks that errors say what is wrong, and no password.
func TestFromExporterBadOptions(t *testing.T) {
	const good, notURL = "http://localhost:10187", "--exporter is not an http or https URL; "
	for _, test := range []struct{ exporter, config, want string }{
		{"localhost:10187", "", notURL},
		{"ftp://u:pa55/word@host", "", notURL},
		{"http://u:pa55/word@host:port", "", notURL},
		{good, "basic_auth: pa55word", "reading --http.config.file: "},
		{good, "tls_config: {ca_file: /does/not/exist.pem}", "using --http.config.file: "},
	} {
		_, err := FromExporter(test.exporter, file(t, test.config))
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "pa55") {
			t.Errorf("%s, %s: got error %v", test.exporter, test.config, err)
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

func TestHTTPConfigFile(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		_ = json.NewEncoder(w).Encode(status.NewReport(at(valid(user+" "+password)), status.DefaultThresholds))
	}))
	defer server.Close()
	ca := file(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	config := "tls_config: {ca_file: " + ca + "}\nbasic_auth: {username: monitoring, password: pa55word}"
	load, err := FromExporter(server.URL, file(t, config))
	if err != nil {
		t.Fatal(err)
	}
	report, _, err := load(t.Context())
	if err != nil || report.Tokens[0].Name != "monitoring pa55word" {
		t.Errorf("got %+v, error %v", report.Tokens, err)
	}
}
