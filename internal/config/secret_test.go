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

func TestLeaksNoticesALeak(t *testing.T) {
	for how, text := range renderings(t, struct{ Token string }{sentinel}) {
		if !leaks(text) && how != "%t" {
			t.Errorf("%s: not noticed in %s", how, text)
		}
	}
}

func TestNothingRendersASecret(t *testing.T) {
	secret := NewSecret(sentinel)
	sources := []Source{InlineSource(secret), FileSource(sentinel), FileSource("/run/" + sentinel), EnvSource(sentinel)}
	values := []any{secret, &secret, []Secret{secret}, map[string]Secret{"a": secret}, struct{ S Secret }{secret}, struct{ s Secret }{secret}}
	for _, source := range sources {
		token := Token{Name: "etl", Source: source}
		config := Config{APIURL: parseURL(defaultAPIURL), ProxyURL: parseURL("http://me:" + sentinel + "@proxy.example"), Tokens: []Token{token}}
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

// places are configurations with a $ where a token may be put by mistake. Names, accounts and labels are public: they
// are in every metric, and warnings quote names; only errors do not.
var places = []struct {
	yaml   string
	public bool
}{
	{yaml: "$\n"},
	{yaml: "$: 1\n" + oneToken},
	{yaml: "- $\n"},
	{yaml: "api_url: $\n" + oneToken},
	{yaml: "allow_insecure_http: $\n" + oneToken},
	{yaml: "timeout: $\n" + oneToken},
	{yaml: "max_concurrency: $\n" + oneToken},
	{yaml: "pacing: $\n" + oneToken},
	{yaml: "pacing:\n  $: 1\n" + oneToken},
	{yaml: "pacing:\n  quota_share: $\n" + oneToken},
	{yaml: "pacing:\n  assumed_daily_limit: $\n" + oneToken},
	{yaml: "pacing:\n  reserve: $\n" + oneToken},
	{yaml: "pacing:\n  min_interval: $\n" + oneToken},
	{yaml: "proxy_url: $\n" + oneToken},
	{yaml: "proxy_url: http://me:$@proxy.example\n" + oneToken},
	{yaml: "tls_config: $\n" + oneToken},
	{yaml: "tls_config:\n  $: 1\n" + oneToken},
	{yaml: "tls_config:\n  ca_file: $\n" + oneToken},
	{yaml: "tls_config:\n  cert_file: $\n  key_file: $\n" + oneToken},
	{yaml: "tls_config:\n  server_name: $\n" + oneToken},
	{yaml: "tls_config:\n  min_version: $\n" + oneToken},
	{yaml: "tls_config:\n  insecure_skip_verify: $\n" + oneToken},
	{yaml: "tokens: $\n"},
	{yaml: "tokens:\n  $: 1\n"},
	{yaml: "tokens:\n  - $\n"},
	{yaml: "tokens:\n  - name: etl\n    $: 1\n    token_env: ETL\n"},
	{yaml: "tokens:\n  - name: etl\n    token: $\n"},
	{yaml: "tokens:\n  - name: etl\n    token: $\n    token: $\n"},
	{yaml: "tokens:\n  - name: etl\n    token: $\n    timeout: 5s\n"},
	{yaml: "tokens:\n  - token: $\n"},
	{yaml: "tokens:\n  - name: etl\n    token:\n      $\n"},
	{yaml: "tokens:\n  - name: etl\n    token: x $\n"},
	{yaml: "tokens:\n  - name: etl\n    token: \"$\n"},
	{yaml: "tokens:\n  - name: etl\n    token: |\n      $\n     x\n"},
	{yaml: "tokens:\n  - name: etl\n    token_env: $\n"},
	{yaml: "tokens:\n  - name: etl\n    token_file: $\n"},
	{yaml: "tokens:\n  - name: etl\n    token_env: ETL\n    expires_at: $\n"},
	{yaml: "tokens:\n  - name: etl\n    token_env: ETL\n    labels: $\n", public: true},
	{yaml: "tokens:\n  - name: etl\n    token_env: ETL\n    labels:\n      $: x\n", public: true},
	{yaml: "tokens:\n  - name: etl\n    token_env: ETL\n    labels:\n      $: x\n      $: x\n", public: true},
	{yaml: "tokens:\n  - name: etl\n    token_env: ETL\n    labels:\n      team: $\n", public: true},
	{yaml: "tokens:\n  - name: etl\n    token_env: ETL\n    account: $\n", public: true},
	{yaml: "tokens:\n  - name: $\n    token_env: ETL\n", public: true},
	{yaml: "tokens:\n  - name: $\n    token: $\n", public: true},
	{yaml: "tokens:\n  - name: $\n    token_env: A\n  - name: $\n    token_env: B\n", public: true},
	{yaml: "token_dir: $\n"},
	{yaml: "token_dir: [$]\n"},
	{yaml: "token_dir:\n  path: $\n"},
	{yaml: "token_dir:\n  $: 1\n"},
	{yaml: "token_dir:\n  path: dirs/two\n  account: $\n", public: true},
	{yaml: oneToken + "---\n$\n"},
	{yaml: oneToken + "$\n"},
	{yaml: oneToken + "# $\n"},
	{yaml: "%$\n---\n" + oneToken},
	{yaml: "%TAG ! $\n---\n" + oneToken},
	{yaml: "timeout: &$ 5s\npacing: {min_interval: *$}\n" + oneToken},
	{yaml: "pacing: {<<: $}\n" + oneToken},
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
	for _, place := range places {
		for _, spelling := range spellings {
			text := strings.ReplaceAll(place.yaml, "$", strings.ReplaceAll(spelling, "%", sentinel))
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
			if !place.public && leaks(fmt.Sprint(cfg.Warnings)) {
				t.Errorf("%q: the warnings are %q", text, cfg.Warnings)
			}
		}
	}
	if accepted < 100 || refused < 1000 {
		t.Errorf("only %d accepted and %d refused: most places are not reached", accepted, refused)
	}
}

// FuzzParse checks that no file makes the parser panic, that it returns either a configuration or errors of the promised
// form, and that no error quotes the sentinel, which stands where the fuzzer wrote a $.
func FuzzParse(f *testing.F) {
	for _, test := range badCases(f) {
		f.Add(test.yaml)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "SENTINEL") {
			return
		}
		cfg, err := parseIn(t, "testdata", strings.ReplaceAll(text, "$", sentinel))
		if (cfg == nil) == (err == nil) || err != nil && (leaks(err.Error()) || !strings.HasPrefix(inText(t, "testdata", err), "config.yml:")) {
			t.Fatalf("got configuration %v and error %v", cfg, err)
		}
	})
}

// TestRedact checks that tokens are left out of errors, and that what explains them is not.
func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"unexpected pat_abc.def; use one":                                    "unexpected <secret>; use one",
		`no token is named "pat_abc"`:                                        `no token is named "<secret>"`,
		"open /run/pat_abc: no such file":                                    "open /run/<secret>: no such file",
		"starts with pat_, as tokens do (./pat_... for a file); compat_mode": "starts with pat_, as tokens do (./pat_... for a file); compat_mode",
	} {
		if got := Redact(text); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
