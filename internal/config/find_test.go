package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFind checks which of several configurations is used, and what is reported about the others.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	defer func(files []string) { defaultFiles = files }(defaultFiles)
	system := filepath.Join(dir, "etc/config.yml")
	defaultFiles = []string{"config.yml", system}
	unused := func(file string) []string {
		return []string{file + " is used and $APPFIGURES_API_KEY is not, although it is set; unset it, or set --config.file=" + file}
	}
	here := filepath.Join(dir, "config.yml")
	for _, test := range []struct {
		name, flag, env string
		files           []string // that exist
		location, token string
		warnings        []string
	}{
		{"a named file", "named.yml", "pat_x", []string{"named.yml", "config.yml"}, filepath.Join(dir, "named.yml"), "named.yml", nil},
		{"config.yml", "", "", []string{"config.yml", "etc/config.yml"}, here, "config.yml", nil},
		{"config.yml and the variable", "", "pat_x", []string{"config.yml"}, here, "config.yml", unused(here)},
		{"config.yml, named", "./config.yml", "pat_x", []string{"config.yml"}, here, "config.yml", nil},
		{"the system's", "", "pat_x", []string{"etc/config.yml"}, system, "etc/config.yml", unused(system)},
		{"the variable", "", "pat_x", nil, "$APPFIGURES_API_KEY", "default", nil},
	} {
		t.Setenv(EnvToken, test.env)
		for _, name := range test.files {
			writeFile(t, dir, name, "tokens: [{name: "+name+", token_env: PATH}]\n")
		}
		location := Find(test.flag)
		cfg, err := location.Load()
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Tokens[0].Name != test.token || !slices.Equal(cfg.Warnings, test.warnings) || location.String() != test.location {
			t.Errorf("%s: got %v from %s, warnings %q", test.name, cfg, location, cfg.Warnings)
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
		{"pat_x", "", "", "default token_env APPFIGURES_API_KEY https://api.appfigures.com/v2/"},
		{"pat_x", "", "https://api.appfigures.com/v2", "default token_env APPFIGURES_API_KEY https://api.appfigures.com/v2/"},
		{"", "token", "http://127.0.0.1:81/v2/", "default token_file " + dir + "/token http://127.0.0.1:81/v2/"},
		{"", "", "", "no tokens to watch: name a configuration with --config.file=FILE (or put config.yml into the working " +
			"directory or /etc/appfigures_exporter), or set APPFIGURES_API_KEY, or APPFIGURES_API_KEY_FILE to a file, to watch " +
			"one token; `appfigures_exporter demo` needs neither"},
		{"pat_x", "token", "", "both $APPFIGURES_API_KEY and $APPFIGURES_API_KEY_FILE are set; unset one"},
		{"Bearer pat_x", "", "", `environment: $APPFIGURES_API_KEY: starts with "Bearer"; put only the token there`},
		{"", "pat_x", "", "environment: $APPFIGURES_API_KEY_FILE: contains pat_, with which tokens start; write a text that can " +
			"be shown, and the token itself only where it is read"},
		{"pat_x", "", "pat_x", "environment: $APPFIGURES_API_BASE_URL: not an http or https URL of scheme, host and path only; " +
			"write one such as https://api.appfigures.com/v2/"},
		{"pat_x", "", "http://api.example/v2", "environment: $APPFIGURES_API_BASE_URL: http would send tokens in the clear; use " +
			"https, or set allow_insecure_http: true"},
	} {
		t.Setenv(EnvToken, test.token)
		t.Setenv(EnvTokenFile, test.file)
		t.Setenv(envAPIURL, test.api)
		cfg, err := Location{}.Load()
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
	writeFile(t, dir, "tokens/etl", "pat_1")
	write := func(name, text string) func() { return func() { writeFile(t, dir, name, text) } }
	location := Find(writeFile(t, dir, "config.yml", "token_dir: [tokens]\n"))
	seen := make(map[string]string)
	for _, step := range []struct {
		name    string
		do      func()
		changes bool
	}{
		{"first look", func() {}, true},
		{"a token comes", write("tokens/reporting", "pat_3"), true},
		{"a token changes", write("tokens/reporting", "pat_33"), false},
		{"a hidden file comes", write("tokens/.tmp", "x"), false},
		{"the directory goes", func() { _ = os.RemoveAll(filepath.Join(dir, "tokens")) }, true},
		{"the file breaks", write("config.yml", "token_dir: [\n"), true},
		{"the file is mended", write("config.yml", oneToken), true},
	} {
		step.do()
		got, err := location.Fingerprint()
		if earlier, known := seen[got]; err != nil || known == step.changes {
			t.Errorf("%s: changed %t, want %t (seen at %q), error %v", step.name, !known, step.changes, earlier, err)
		}
		seen[got] = step.name
	}
	if got, err := (Location{}).Fingerprint(); got != "" || err != nil {
		t.Errorf("of the environment: %q, error %v", got, err)
	}
}
