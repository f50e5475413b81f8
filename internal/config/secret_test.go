package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// sentinel is a token that must never come out. Its beginning is as bad.
const sentinel = "pat_SENTINEL0123456789abcdefABCDEF"

// leaks reports whether text gives away the sentinel, as it is or in hexadecimal.
func leaks(text string) bool {
	const start = "SENTINEL"
	return strings.Contains(text, start) || strings.Contains(strings.ToLower(strings.ReplaceAll(text, " ", "")), fmt.Sprintf("%x", start))
}

// renderings returns all that a careless programmer may make of v.
func renderings(t *testing.T, v any) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "% x", "%t"} {
		out[verb] = fmt.Sprintf(verb, v)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out["json"] = string(text)
	if text, err = yaml.Marshal(v); err != nil {
		t.Fatal(err)
	}
	out["yaml"] = string(text)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("made", "v", v, slog.Group("g", "v", v))
	slog.New(slog.NewJSONHandler(&log, nil)).Info("made", "v", v, slog.Group("g", "v", v))
	out["slog"] = log.String()
	return out
}

func TestNothingRendersASecret(t *testing.T) {
	for how, text := range renderings(t, struct{ Token string }{sentinel}) {
		if !leaks(text) && how != "%t" {
			t.Errorf("%s: a leak is not noticed in %s", how, text)
		}
	}
	secret := NewSecret(sentinel)
	sources := []Source{InlineSource(secret), FileSource(sentinel), FileSource("/run/" + sentinel), EnvSource(sentinel)}
	values := []any{secret, &secret, []Secret{secret}, map[string]Secret{"a": secret}, struct{ S Secret }{secret}, struct{ s Secret }{secret}}
	for _, source := range sources {
		token := Token{Name: "etl", Source: source}
		config := Config{APIURL: parseURL(defaultAPIURL, "https"), ProxyURL: parseURL("http://me:"+sentinel+"@proxy.example", "http"), Tokens: []Token{token}}
		values = append(values,
			source, &source, []Source{source}, struct{ S Source }{source}, struct{ s Source }{source},
			token, &token, []Token{token}, struct{ T Token }{token}, struct{ t Token }{token}, struct{ Token }{token},
			config, &config, struct{ C Config }{config}, struct{ C *Config }{&config},
		)
	}
	for _, v := range values {
		for how, text := range renderings(t, v) {
			if leaks(text) {
				t.Errorf("%T as %s: %s", v, how, text)
			}
		}
	}
}

// places returns configurations with a $ where a token may be put wrongly.
func places() []string {
	all := []string{
		"$\n", "- $\n", oneToken + "---\n$\n", oneToken + "# $\n", "%$\n---\n" + oneToken, "%TAG ! $\n---\n" + oneToken,
		"tokens: $\n", "tokens:\n  $: 1\n", "tokens:\n  - $\n", "tokens:\n  - token: $\n",
		"tokens:\n  - name: etl\n    token: \"$\n", "tokens:\n  - name: etl\n    token: |\n      $\n     x\n",
		"tokens:\n  - name: $\n    token_env: A\n  - name: $\n    token_env: B\n", "token_dir: [$]\n",
	}
	for _, key := range []string{"$", "api_url", "allow_insecure_http", "timeout", "max_concurrency", "pacing", "proxy_url",
		"tls_config", "token_dir", "pacing:\n  $", "pacing:\n  reserve", "pacing:\n  <<", "timeout: &$ 5s\n$",
		"tls_config:\n  $", "tls_config:\n  ca_file", "tls_config:\n  cert_file: $\n  key_file", "tls_config:\n  server_name",
		"tls_config:\n  min_version", "tls_config:\n  key", "tls_config:\n  insecure_skip_verify",
		"token_dir:\n  $", "token_dir:\n  path", "token_dir:\n  path: dirs/two\n  account"} {
		all = append(all, key+": $\n"+oneToken)
	}
	for _, key := range []string{"$", "token", "token_file", "token_env", "account", "expires_at", "labels", "labels:\n      $",
		"labels:\n      team", "token: $\n    token", "token_env: ETL\n    account", "token_env: ETL\n    labels"} {
		all = append(all, "tokens:\n  - name: etl\n    "+key+": $\n")
	}
	return all
}

// spellings are ways to write a token into a place, with % for the token.
var spellings = []string{
	"%", `"%"`, "'%'", "% %", " %", "%\t", "\t%", "[%]", "{%: %}", "{%}", "- %", "|\n      %", "\n        - %", "\n        %: %",
	`"%`, "'%", "[%", "{%", "%]", "%}", "*%", "&% x", "&%", "&a %", "&% [*%]", "!% x", "!%", "!!% x", "!<%> x", "!!binary %", "!!int %", "!!str %",
	"%: %", "%:", "? %", "@%", "`%", "%%", "|%", ">%", "#%", `"\%"`, `"\x00%"`, `"%\n"`, "%\x00", "%\xff", "\xef\xbb\xbf%", "%\r", "%\u0085%", "%\u2028%",
	"http://%@api.example/", "http://me:%@127.0.0.1/", "http://%/", "https://%:99999/", "https://%:%/", "https://api.example/?%", "https://api.example/#%", "https://%\x7f/", "https://[%]/", "%://api.example/", "https://api.example/%zz%",
	"/%", "./%", "%/%", "%.pem", "../testdata/dirs/%", "${%}", "$%", "-%", "%5s", "5s%", "0.%", "1%", "%=x", "2027-01-31T%",
}

// TestNoMistakeQuotesASecret plants the sentinel in every place, in every spelling.
func TestNoMistakeQuotesASecret(t *testing.T) {
	accepted, refused := 0, 0
	for _, place := range places() {
		for _, spelling := range spellings {
			text := strings.ReplaceAll(place, "$", strings.ReplaceAll(spelling, "%", sentinel))
			cfg, err := parseIn(t, "testdata", text)
			if err != nil {
				refused++
				if leaks(err.Error()) || leaks(fmt.Sprintf("%+v %#v", err, err)) {
					t.Errorf("%q: the error is %v", text, err)
				}
				for line := range strings.Lines(inText(t, "testdata", err)) {
					if !strings.HasPrefix(line, "config.yml:") {
						t.Errorf("%q: a line of the error is %q", text, line)
					}
				}
				continue
			}
			accepted++
			for how, rendering := range renderings(t, cfg) {
				if leaks(rendering) {
					t.Errorf("%q: the configuration as %s is %s", text, how, rendering)
				}
			}
		}
	}
	if accepted < 100 || refused < 1000 {
		t.Errorf("only %d accepted and %d refused: most places are not reached", accepted, refused)
	}
}

// TestRedact checks that tokens are left out of errors, and that what explains them is not.
func TestRedact(t *testing.T) {
	const advice = "starts with pat_, as tokens do (./pat_... for a file); compat_mode"
	if got := Redact(`"/run/pat_abc.def" ` + advice); got != `"/run/<secret>" `+advice {
		t.Errorf("got %s", got)
	}
}
