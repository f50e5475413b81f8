package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFind checks which of several configurations is used.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv(EnvToken, "pat_x")
	defer func(files []string) { defaultFiles = files }(defaultFiles)
	defaultFiles = []string{"config.yml", filepath.Join(dir, "etc/config.yml")}
	for _, test := range []struct {
		flag  string
		files []string // that exist
		want  string   // what the location is called
	}{
		{"named.yml", []string{"named.yml", "config.yml"}, dir + "/named.yml"},
		{"", []string{"config.yml", "etc/config.yml"}, dir + "/config.yml"},
		{"", []string{"etc/config.yml"}, dir + "/etc/config.yml"},
		{"", nil, "environment"},
	} {
		for _, name := range test.files {
			writeFile(t, dir, name, oneToken)
		}
		location := Find(test.flag)
		if _, err := location.Load(); err != nil || location.String() != test.want {
			t.Errorf("got %s, want %s, error %v", location, test.want, err)
		}
		for _, name := range test.files {
			_ = os.Remove(name)
		}
	}
}

func TestFromEnvironment(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, test := range []struct{ token, file, api, want string }{
		{"pat_x", "", "https://api.appfigures.com/v2", "default token_env APPFIGURES_API_KEY https://api.appfigures.com/v2/"},
		{"", "token", "http://127.0.0.1:81/v2/", "default token_file " + dir + "/token http://127.0.0.1:81/v2/"},
		{"", "", "", "no tokens to watch: name a configuration with --config.file=FILE (or put config.yml into the working " +
			"directory or /etc/appfigures_exporter), or set APPFIGURES_API_KEY, or APPFIGURES_API_KEY_FILE to a file, to watch " +
			"one token; `appfigures_exporter demo` needs neither"},
		{"pat_x", "token", "", "both $APPFIGURES_API_KEY and $APPFIGURES_API_KEY_FILE are set; unset one"},
		{"", "pat_x", "", "environment: $APPFIGURES_API_KEY_FILE: contains pat_, with which tokens start, and would be shown; the key token " +
			"takes a token itself, token_file the path of a file with it, token_env the name of a variable"},
		{"pat_x", "", "http://api.example/v2", "environment: $APPFIGURES_API_BASE_URL: http would send tokens in the clear; use " +
			"https, or set allow_insecure_http: true"},
	} {
		t.Setenv(EnvToken, test.token)
		t.Setenv(EnvTokenFile, test.file)
		t.Setenv(envAPIURL, test.api)
		cfg, err := Location("").Load()
		got := fmt.Sprint(err)
		if err == nil {
			token := cfg.Tokens[0]
			got = strings.Join([]string{token.Name, token.Source.String(), token.Source.text.Reveal(), cfg.APIURL.String()}, " ")
		}
		if got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

func TestFingerprint(t *testing.T) {
	dir := t.TempDir()
	location := Find(writeFile(t, dir, "config.yml", "token_dir: [tokens]\n"))
	seen := make(map[string]string)
	for _, step := range []struct {
		name, file, text string
		changes          bool
	}{
		{"first look", "tokens/etl", "pat_1", true},
		{"a token comes", "tokens/reporting", "pat_3", true},
		{"a token changes", "tokens/reporting", "pat_33", false},
		{"the file breaks", "config.yml", "token_dir: [\n", true},
		{"the file is mended", "config.yml", oneToken, true},
	} {
		writeFile(t, dir, step.file, step.text)
		got, err := location.Fingerprint()
		if earlier, known := seen[got]; err != nil || known == step.changes {
			t.Errorf("%s: changed %t, want %t (seen at %q), error %v", step.name, !known, step.changes, earlier, err)
		}
		seen[got] = step.name
	}
	t.Setenv(EnvToken, "pat_1")
	got, err := Location("").Fingerprint()
	t.Setenv(EnvToken, "pat_2")
	if again, _ := Location("").Fingerprint(); err != nil || again != got {
		t.Errorf("of the environment: %q, then %q, error %v", got, again, err)
	}
}
