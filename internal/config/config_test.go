package config

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestMain takes away what the environment of the test may set for the network.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY",
		"all_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		_ = os.Unsetenv(name)
	}
	os.Exit(m.Run())
}

const oneToken = "tokens: [{name: etl, token_env: ETL}]\n"

// badCase is a configuration that is refused, and its whole error.
type badCase struct{ name, yaml, err string }

// badCases returns those of testdata/bad.txt, and some that a text file cannot have.
func badCases(t testing.TB) []badCase {
	t.Helper()
	const unreadable = ": contains a control or invisible character, such as a no-break space, or is not UTF-8; type the line again"
	cases := []badCase{
		{"empty", "", "config.yml: empty; it must list tokens, as config.yml.example does"},
		{"escape", "# \x1b[31m\n" + oneToken, "config.yml:1" + unreadable},
		{"latin1", "# Caf\xe9\n" + oneToken, "config.yml:1" + unreadable},
		{"NUL within", "# one\n# two \x00\n" + oneToken, "config.yml:2" + unreadable},
		{"UTF-16", "\xff\xfet\x00o\x00k\x00e\x00n\x00s\x00:\x00\n\x00", "config.yml:1" + unreadable},
	}
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

// parseIn parses a configuration as that of a file config.yml in dir.
func parseIn(t testing.TB, dir, yaml string) (*Config, error) {
	t.Helper()
	return parse(filepath.Join(absolute(dir), "config.yml"), []byte(yaml))
}

// inText returns the text of err, or "<nil>", with the paths below dir made relative.
func inText(t testing.TB, dir string, err error) string {
	t.Helper()
	return strings.ReplaceAll(fmt.Sprint(err), absolute(dir)+string(filepath.Separator), "")
}

func TestParseRefuses(t *testing.T) {
	for _, test := range badCases(t) {
		t.Run(test.name, func(t *testing.T) {
			if _, err := parseIn(t, "testdata", test.yaml); inText(t, "testdata", err) != test.err {
				t.Errorf("got error:\n%v\nwant:\n%s", err, test.err)
			}
		})
	}
}

func TestParseAccepts(t *testing.T) {
	token := func(change func(*Token)) func(*Config) {
		return func(c *Config) { change(&c.Tokens[0]) }
	}
	apiURL := func(text string) func(*Config) { return func(c *Config) { c.APIURL = mustURL(text) } }
	for _, test := range []struct {
		name, yaml string
		change     func(*Config) // of the defaults with the one token etl
	}{
		{"defaults", oneToken, func(*Config) {}},
		{"byte order mark", "\ufeff" + oneToken, func(*Config) {}},
		{"Windows lines", strings.ReplaceAll("timeout: 5s\n"+oneToken, "\n", "\r\n"), func(c *Config) { c.Timeout = 5 * time.Second }},
		{"JSON", `{"timeout":"5s","tokens":[{"name":"etl","token_env":"ETL"}]}`, func(c *Config) { c.Timeout = 5 * time.Second }},
		{"aliases", "timeout: &t 5s\npacing: {min_interval: *t}\n" + oneToken, func(c *Config) {
			c.Timeout, c.Pacing.MinInterval = 5*time.Second, 5*time.Second
		}},
		{"merged keys", "tokens:\n- &etl {name: etl, token_env: ETL, account: acme}\n- {<<: *etl, name: two}\n", func(c *Config) {
			c.Tokens = []Token{{Name: "etl", Account: "acme", Source: EnvSource("ETL")}, {Name: "two", Account: "acme", Source: EnvSource("ETL")}}
		}},
		{"empty mappings", "pacing:\ntls_config:\n" + oneToken, func(*Config) {}},
		{"http allowed", "api_url: http://api.example/\nallow_insecure_http: true\n" + oneToken, apiURL("http://api.example/")},
		{"longest durations", "timeout: 5m\npacing: {min_interval: 168h}\n" + oneToken, func(c *Config) {
			c.Timeout, c.Pacing.MinInterval = 5*time.Minute, 168*time.Hour
		}},
		{"pacing", "pacing: {quota_share: 1, assumed_daily_limit: 5000, reserve: 0}\n" + oneToken, func(c *Config) {
			c.Pacing = Pacing{QuotaShare: 1, AssumedDailyLimit: 5000}
		}},
		{"proxy with a password", "proxy_url: socks5h://me:p%25ss@proxy.example:1080\n" + oneToken, func(c *Config) {
			c.ProxyURL = mustURL("socks5h://me:p%25ss@proxy.example:1080")
		}},
		{"date", "tokens: [{name: etl, token_env: ETL, expires_at: 9999-12-31}]\n", token(func(t *Token) {
			t.ExpiresAt = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
		})},
		{"time with a zone", "tokens: [{name: etl, token_env: ETL, expires_at: 2027-01-31T02:00:00+02:00}]\n", token(func(t *Token) {
			t.ExpiresAt = time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)
		})},
		{"labels, sorted", "tokens: [{name: etl, token_env: ETL, labels: {team: growth, env: 1}}]\n", token(func(t *Token) {
			t.Labels = []Label{{"env", "1"}, {"team", "growth"}}
		})},
		{"relative file", "tokens: [{name: etl, token_file: ../etl}]\n", token(func(t *Token) { t.Source = FileSource("/etc/etl") })},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := defaultConfig()
			test.change(&want)
			got, err := parseIn(t, "/etc/af", test.yaml)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*got, want) {
				t.Errorf("got %s\nwant %s", show(*got), show(want))
			}
		})
	}
}

// defaultConfig returns what oneToken stands for.
func defaultConfig() Config {
	return Config{
		APIURL: mustURL("https://api.appfigures.com/v2/"), Timeout: 10 * time.Second, MaxConcurrency: 10,
		Pacing: Pacing{QuotaShare: 0.25, AssumedDailyLimit: 1000, Reserve: 0.05},
		Tokens: []Token{{Name: "etl", Account: "default", Source: EnvSource("ETL")}},
	}
}

func mustURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u
}

// show returns all of a configuration, as Config's own methods do not.
func show(c Config) string {
	type bare Config
	var text strings.Builder
	fmt.Fprintf(&text, "%+v", bare(c))
	for _, token := range c.Tokens {
		fmt.Fprintf(&text, "\n\t%s: %s %q", token.Name, token.Source, token.Source.text.Reveal())
	}
	return text.String()
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// writeFile writes a file that only its owner can read, and returns its path.
func writeFile(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
