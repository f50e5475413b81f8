package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain takes away what the environment of the test may set for the network.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"} {
		_ = os.Unsetenv(name)
	}
	os.Exit(m.Run())
}

const oneToken = "tokens: [{name: etl, token_env: ETL}]\n"

// TestParseRefuses checks the whole errors of configurations: those of testdata/bad.txt, and some that a text file cannot
// have.
func TestParseRefuses(t *testing.T) {
	type badCase struct{ name, yaml, err string }
	const unreadable = ": contains a control or invisible character, such as a no-break space, or is not UTF-8; type the line again"
	cases := []badCase{
		{"empty", "", "config.yml: empty; it must list tokens, as config.yml.example does"},
		{"escape", "# \x1b[31m\n" + oneToken, "config.yml:1" + unreadable},
		{"latin1", "# Caf\xe9\n" + oneToken, "config.yml:1" + unreadable},
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
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			if _, err := parseIn(t, "testdata", test.yaml); inText(t, "testdata", err) != test.err {
				t.Errorf("got error:\n%v\nwant:\n%s", err, test.err)
			}
		})
	}
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

func TestParseAccepts(t *testing.T) {
	type changes []string // of the defaults with the one token etl, as show has them: what becomes what
	for _, test := range []struct {
		yaml string
		changes
	}{
		{oneToken, nil},
		{"\ufeff" + oneToken, nil},
		{"pacing:\ntls_config:\n" + oneToken, nil},
		{strings.ReplaceAll("timeout: 5s\n"+oneToken, "\n", "\r\n"), changes{"Timeout:10s", "Timeout:5s"}},
		{"timeout: &t 5s\npacing: {min_interval: *t}\n" + oneToken, changes{"Timeout:10s", "Timeout:5s", "MinInterval:0s", "MinInterval:5s"}},
		{"timeout: 5m\npacing: {min_interval: 168h}\n" + oneToken, changes{"Timeout:10s", "Timeout:5m0s", "MinInterval:0s", "MinInterval:168h0m0s"}},
		{"pacing: {quota_share: 1, assumed_daily_limit: 5000, reserve: 0}\n" + oneToken, changes{"QuotaShare:0.25 AssumedDailyLimit:1000 Reserve:0.05", "QuotaShare:1 AssumedDailyLimit:5000 Reserve:0"}},
		{"api_url: http://api.example/\nallow_insecure_http: true\n" + oneToken, changes{"https://api.appfigures.com/v2/", "http://api.example/"}},
		{"proxy_url: socks5h://me:p%25ss@p.example:1\n" + oneToken, changes{"ProxyURL:<nil>", "ProxyURL:socks5h://me:p%25ss@p.example:1"}},
		{"tokens: [{name: etl, token_env: ETL, account: \"\"}]\n", nil},
		{"tokens: [{name: etl, token_env: ETL, expires_at: 9999-12-31}]\n", changes{"0001-01-01", "9999-12-31"}},
		{"tokens: [{name: etl, token_env: ETL, expires_at: 2027-01-31T02:00:00+02:00}]\n", changes{"0001-01-01", "2027-01-31"}},
		{"tokens: [{name: etl, token_env: ETL, labels: {team: growth, env: 1}}]\n", changes{"Labels:[]", "Labels:[{Name:env Value:1} {Name:team Value:growth}]"}},
		{"tokens: [{name: etl, token_file: ../etl}]\n", changes{"token_env", "token_file", `"ETL"`, `"/etc/etl"`}},
	} {
		got, err := parseIn(t, "/etc/af", test.yaml)
		if want := strings.NewReplacer(test.changes...).Replace(show(defaultConfig())); err != nil || show(*got) != want {
			t.Errorf("%s:\ngot  %s, error %v\nwant %s", test.yaml, show(*got), err, want)
		}
	}
}

// defaultConfig returns what oneToken stands for.
func defaultConfig() Config {
	return Config{
		APIURL: parseURL("https://api.appfigures.com/v2/", "https"), Timeout: 10 * time.Second, MaxConcurrency: 10,
		Pacing: Pacing{QuotaShare: 0.25, AssumedDailyLimit: 1000, Reserve: 0.05},
		Tokens: []Token{{Name: "etl", Account: "default", Source: EnvSource("ETL")}},
	}
}

// show returns all of a configuration but TLS, as Config's own methods do not.
func show(c Config) string {
	type bare Config
	c.TLS = nil
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
