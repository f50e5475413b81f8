package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// badCase is a configuration that is refused, and its whole error.
type badCase struct{ name, yaml, err string }

// badCases returns those of testdata/bad.txt.
func badCases(t testing.TB) (cases []badCase) {
	t.Helper()
	for _, text := range strings.Split(readFile(t, "testdata/bad.txt"), "\n== ")[1:] {
		name, rest, _ := strings.Cut(text, "\n")
		i := strings.Index("\n"+rest, "\nconfig.yml:")
		if i < 0 {
			t.Fatalf("%s has no error", name)
		}
		cases = append(cases, badCase{name, rest[:i], strings.TrimSuffix(rest[i:], "\n")})
	}
	return cases
}

// unprintable are cases that a text file cannot have.
var unprintable = []badCase{
	{"empty", "", "config.yml: empty; it must list tokens, as config.yml.example does"},
	{"escape", "# \x1b[31m\n" + oneToken, "config.yml:1: " + notText},
	{"latin1", "# Caf\xe9\n" + oneToken, "config.yml:1: " + notText},
	{"NUL", "# one\n# two \x00\n" + oneToken, "config.yml:2: " + notText},
	{"UTF-16", "\xff\xfet\x00o\x00k\x00e\x00n\x00s\x00:\x00\n\x00", "config.yml:1: " + notText},
}

const notText = "not plain text; save the file as UTF-8, without control characters"

func TestParseRefuses(t *testing.T) {
	cases := append(badCases(t), unprintable...)
	if len(cases) < 150 {
		t.Fatalf("found only %d cases", len(cases))
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			config, err := Parse("config.yml", strings.NewReader(test.yaml), "testdata")
			if err == nil || config != nil {
				t.Fatalf("got %v and error %v, want only an error", config, err)
			}
			if err.Error() != test.err {
				t.Errorf("got:\n%v\nwant:\n%s", err, test.err)
			}
		})
	}
}

func TestEverySyntaxAdviceIsSeen(t *testing.T) {
	all := readFile(t, "testdata/bad.txt")
	for message, advice := range syntaxAdvice {
		if !strings.Contains(all, "not valid YAML: "+advice+"\n") {
			t.Errorf("no case leads to the advice for %q", message)
		}
	}
}

const oneToken = "tokens: [{name: etl, token_env: ETL}]\n"

func TestParseAccepts(t *testing.T) {
	etl := Token{Name: "etl", Account: "default", Source: EnvSource("ETL")}
	token := func(change func(*Token)) func(*Config) {
		return func(c *Config) { change(&c.Tokens[0]) }
	}
	for _, test := range []struct {
		name, yaml string
		change     func(*Config) // of the defaults with the one token etl
	}{
		{"defaults", oneToken, func(*Config) {}},
		{"byte order mark", "\ufeff" + oneToken, func(*Config) {}},
		{"Windows lines", strings.ReplaceAll("timeout: 5s\n"+oneToken, "\n", "\r\n"), func(c *Config) { c.Timeout = 5 * time.Second }},
		{"document marks", "---\n" + oneToken + "...\n", func(*Config) {}},
		{"JSON", `{"timeout":"5s","tokens":[{"name":"etl","token_env":"ETL"}]}`, func(c *Config) { c.Timeout = 5 * time.Second }},
		{"aliases", "timeout: &t 5s\npacing: {min_interval: *t}\n" + oneToken, func(c *Config) {
			c.Timeout, c.Pacing.MinInterval = 5*time.Second, 5*time.Second
		}},
		{"empty mappings", "pacing:\ntls_config:\n" + oneToken, func(*Config) {}},
		{"URL without a slash", "api_url: https://api.example/v2\n" + oneToken, apiURL("https://api.example/v2/")},
		{"URL without a path", "api_url: https://api.example\n" + oneToken, apiURL("https://api.example/")},
		{"URL with a port", "api_url: https://api.example:8443/v2/\n" + oneToken, apiURL("https://api.example:8443/v2/")},
		{"http to localhost", "api_url: http://LOCALHOST:81/v2/\n" + oneToken, apiURL("http://LOCALHOST:81/v2/")},
		{"http to 127.0.0.2", "api_url: http://127.0.0.2/\n" + oneToken, apiURL("http://127.0.0.2/")},
		{"http to ::1", "api_url: http://[::1]:81/\n" + oneToken, apiURL("http://[::1]:81/")},
		{"http allowed", "api_url: http://api.example/\nallow_insecure_http: true\n" + oneToken, apiURL("http://api.example/")},
		{"Prometheus' duration", "timeout: 1m30s\n" + oneToken, func(c *Config) { c.Timeout = 90 * time.Second }},
		{"a day", "pacing: {min_interval: 1d}\n" + oneToken, func(c *Config) { c.Pacing.MinInterval = 24 * time.Hour }},
		{"Go's duration", "timeout: 1.5s\n" + oneToken, func(c *Config) { c.Timeout = 1500 * time.Millisecond }},
		{"no floor", "pacing: {min_interval: 0}\n" + oneToken, func(*Config) {}},
		{"all of the quota", "pacing: {quota_share: 1}\n" + oneToken, func(c *Config) { c.Pacing.QuotaShare = 1 }},
		{"max_concurrency", "max_concurrency: 1000\n" + oneToken, func(c *Config) { c.MaxConcurrency = 1000 }},
		{"proxy with a password", "proxy_url: socks5h://me:pass@proxy.example:1080\n" + oneToken, func(c *Config) {
			c.ProxyURL = parseURL("socks5h://me:pass@proxy.example:1080")
		}},
		{"number as a name", "tokens: [{name: 007, token_env: ETL}]\n", token(func(t *Token) { t.Name = "007" })},
		{"tagged name", "tokens: [{name: !!str 007, token_env: ETL}]\n", token(func(t *Token) { t.Name = "007" })},
		{"date as a name", "tokens: [{name: 2027-01-31, token_env: ETL}]\n", token(func(t *Token) { t.Name = "2027-01-31" })},
		{"quoted null as a name", "tokens: [{name: \"null\", token_env: ETL}]\n", token(func(t *Token) { t.Name = "null" })},
		{"name in another script", "tokens: [{name: 報告 🚀, token_env: ETL}]\n", token(func(t *Token) { t.Name = "報告 🚀" })},
		{"account", "tokens: [{name: etl, token_env: ETL, account: acme}]\n", token(func(t *Token) { t.Account = "acme" })},
		{"date", "tokens: [{name: etl, token_env: ETL, expires_at: 2027-01-31}]\n", token(func(t *Token) {
			t.ExpiresAt = time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)
		})},
		{"time with a zone", "tokens: [{name: etl, token_env: ETL, expires_at: 2027-01-31T02:00:00+02:00}]\n", token(func(t *Token) {
			t.ExpiresAt = time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)
		})},
		{"labels, sorted", "tokens: [{name: etl, token_env: ETL, labels: {team: growth, env: 1}}]\n", token(func(t *Token) {
			t.Labels = []Label{{"env", "1"}, {"team", "growth"}}
		})},
		{"relative file", "tokens: [{name: etl, token_file: secrets/etl}]\n", token(func(t *Token) { t.Source = fileSource("/etc/af/secrets/etl", "secrets/etl") })},
		{"pacing", "pacing: {quota_share: 0.5, assumed_daily_limit: 5000, reserve: 0, min_interval: 5m}\n" + oneToken, func(c *Config) {
			c.Pacing = Pacing{QuotaShare: 0.5, AssumedDailyLimit: 5000, MinInterval: 5 * time.Minute}
		}},
		{"accounts that differ in case", "tokens: [{name: a, account: Acme, token_env: A}, {name: b, account: 'acme ', token_env: B}]\n", func(c *Config) {
			c.Tokens = []Token{{Name: "a", Account: "Acme", Source: EnvSource("A")}, {Name: "b", Account: "acme ", Source: EnvSource("B")}}
			c.Warnings = []string{`config.yml:1: tokens[0].account: the accounts "Acme", "acme " differ only in case or white space, and each has a budget of its own; use one name`}
		}},
		{"absolute file", "tokens: [{name: etl, token_file: /secrets/etl}]\n", token(func(t *Token) { t.Source = FileSource("/secrets/etl") })},
		{"inline", "tokens:\n  - name: etl\n    token: pat_x\n", func(c *Config) {
			c.Tokens[0].Source = InlineSource(NewSecret("pat_x"))
			c.Warnings = []string{`config.yml:3: tokens[0].token: the configuration itself contains the token "etl"; token_file or token_env keep tokens out of its copies`}
		}},
		{"inline, folded", "tokens:\n  - name: etl\n    token: |\n      pat_x\n", func(c *Config) {
			c.Tokens[0].Source = InlineSource(NewSecret("pat_x"))
			c.Warnings = []string{`config.yml:3: tokens[0].token: the configuration itself contains the token "etl"; token_file or token_env keep tokens out of its copies`}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := newBuilder("").Config
			want.Tokens = []Token{etl}
			test.change(&want)
			got, err := Parse("config.yml", strings.NewReader(test.yaml), "/etc/af")
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(plain(*got), want) {
				t.Errorf("got %s\nwant %s", show(*got), show(want))
			}
		})
	}
}

func TestSeveralTokensKeepTheirOrder(t *testing.T) {
	const yaml = "tokens:\n  - {name: zeta, token_env: Z}\n  - {name: alpha, token_env: A, account: acme}\ntoken_dir: dirs/two\n"
	config, err := Parse("config.yml", strings.NewReader(yaml), "testdata")
	if err != nil {
		t.Fatal(err)
	}
	want := []Token{
		{Name: "zeta", Account: "default", Source: EnvSource("Z")},
		{Name: "alpha", Account: "acme", Source: EnvSource("A")},
		{Name: "etl", Account: "default", Source: FileSource("testdata/dirs/two/etl")},
		{Name: "reporting", Account: "default", Source: FileSource("testdata/dirs/two/reporting")},
	}
	if got := plain(*config).Tokens; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestHostileFilesAreCheap parses files that make naive readers work for minutes.
func TestHostileFilesAreCheap(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("tokens:\n  - &a0 [x, x, x, x, x, x, x, x, x]\n")
	for i := range 12 {
		n := string(rune('a' + i))
		previous := "a0"
		if i > 0 {
			previous = string(rune('a'+i-1)) + "1"
		}
		bomb.WriteString("  - &" + n + "1 [" + strings.Repeat("*"+previous+", ", 9) + "]\n")
	}
	manyLabels := "tokens:\n  - {name: a, token_env: A, labels: &l {" + strings.Repeat("x: x, ", 20_000) + "}}\n" +
		strings.Repeat("  - {name: a, token_env: A, labels: *l}\n", 20_000)
	for _, test := range []struct{ name, yaml, firstLine string }{
		{"nested aliases", bomb.String(), "config.yml:2: tokens[0]: not a mapping; write a token as name: NAME with one of token_file, token_env and token"},
		{"large aliased mapping", manyLabels, "config.yml:2: tokens[0].labels: more than 30 labels; keep those that queries use"},
		{"unclosed quote above many lines", "timeout: \"5s\n" + strings.Repeat("tokens: 1\n", 20_000), "config.yml:1: not valid YAML: a quote is not closed; close it"},
		{"deep nesting", "tokens: " + strings.Repeat("[", 50_000), "config.yml:1: not valid YAML"},
		{"many anchors", "tokens:\n" + strings.Repeat("- &a x\n", 50_000), "config.yml:2: tokens[0]: not a mapping; write a token as name: NAME with one of token_file, token_env and token"},
		{"too large", strings.Repeat("#", maxFileBytes+1), "config.yml: larger than 16 MiB; give the path of a configuration file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse("config.yml", strings.NewReader(test.yaml), "")
			if err == nil {
				t.Fatal("no error")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) > maxProblems+1 {
				t.Errorf("%d lines of errors", len(lines))
			}
			if lines[0] != test.firstLine {
				t.Errorf("got  %s\nwant %s", lines[0], test.firstLine)
			}
		})
	}
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
