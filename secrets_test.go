package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// planted is the token that no output may show, nor eight characters of it in a row.
const planted = "pat_Q7sentinelZ9x4W2"

// TestTokensShowUpNowhere plants a token through every source, lets the API echo it in every way that an answer has,
// and looks for it in all that the program puts out.
func TestTokensShowUpNowhere(t *testing.T) {
	answers := map[string]http.HandlerFunc{
		"JSON": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"status":403,"message":"You sent %s","additional":"%s"}`, r.Header.Get("Authorization"), strings.ToUpper(planted))
		},
		"text": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, r.Header.Get("Authorization"), http.StatusUnauthorized)
		},
		"HTML": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "<html>%s</html>", r.Header.Get("Authorization"))
		},
		"headers": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/"+planted)
			w.WriteHeader(http.StatusFound)
		},
		"quota": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Request-Limit", planted)
			w.Header().Set("Retry-After", planted)
			w.WriteHeader(http.StatusTooManyRequests)
		},
		"encoding": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", planted)
			fmt.Fprint(w, planted)
		},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			api := httptest.NewServer(answer)
			defer api.Close()
			dir := t.TempDir()
			overwrite(t, filepath.Join(dir, "from-file"), planted+"\n")
			overwrite(t, filepath.Join(dir, "with-space"), planted+" "+planted)
			t.Setenv("APPFIGURES_SENTINEL", planted)
			config := "api_url: " + api.URL + "/\ntoken_dir: " + dir + "\ntokens:\n  - {name: inline, token: " + planted + "}\n  - {name: env, token_env: APPFIGURES_SENTINEL}\n"
			path := writeConfig(t, config)
			exporter := start(t, "--config.file", path, "--log.level=debug", "--web.enable-pprof")

			var out strings.Builder
			for _, page := range []string{"/metrics", "/", "/sd", "/probe?target=inline", "/probe?target=" + planted[:4], "/-/healthy", "/-/ready", "/nowhere", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline"} {
				body, _ := exporter.get(page)
				out.WriteString(body)
			}
			for _, mistake := range []string{"  - " + planted + "\n", "  - {name: x, token: [" + planted + "]}\n", "  - {name: x, " + planted + ": y}\n", "\t" + planted, "  - *" + planted} {
				overwrite(t, path, config+mistake)
				body, code := exporter.request(http.MethodPost, "/-/reload")
				if code != http.StatusInternalServerError {
					t.Errorf("the mistake %q answers %d", mistake, code)
				}
				out.WriteString(body)
			}
			page, _ := exporter.get("/")
			out.WriteString(page)
			overwrite(t, path, config)
			for _, look := range []string{"--output=table", "--output=json", "--config.check"} {
				var stdout, stderr bytes.Buffer
				run(t.Context(), []string{"check", look, "--config.file", path}, &stdout, &stderr)
				out.WriteString(stdout.String() + stderr.String())
			}
			out.WriteString(exporter.stdout.String() + exporter.stderr.String())
			if out.Len() < 10_000 {
				t.Fatalf("only %d bytes of output were looked at", out.Len())
			}
			low := strings.ToLower(out.String())
			for i := 4; i+8 <= len(planted); i++ { // "pat_" stands in the documentation too
				if part := strings.ToLower(planted[i : i+8]); strings.Contains(low, part) {
					at := strings.Index(low, part)
					t.Errorf("%q shows up: …%s…", part, out.String()[max(0, at-200):min(len(low), at+200)])
					break
				}
			}
		})
	}
}
