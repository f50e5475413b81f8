package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestLoadStartsPathsAtTheFile(t *testing.T) {
	dir := t.TempDir()
	path := writeFile(t, dir, "etc/config.yml", "tokens: [{name: etl, token_file: ../secrets/etl}]\ntoken_dir: ../more\n")
	writeFile(t, dir, "secrets/etl", "pat_etl\n")
	writeFile(t, dir, "more/other", "pat_other\n")
	config, err := loadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, token := range config.Tokens {
		secret, err := token.Source.Read()
		got = append(got, fmt.Sprint(token.Name, " ", secret.Reveal(), " ", err))
	}
	if want := []string{"etl pat_etl <nil>", "other pat_other <nil>"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(config.Warnings) != 0 {
		t.Errorf("got warnings %q", config.Warnings)
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	path := writeFile(t, dir, "config.yml", "timeout: 5\n")
	_, err := loadFile(path)
	if err == nil || !strings.Contains(err.Error(), "\n"+path+":1: timeout: ") {
		t.Errorf("got %v, want the path and line", err)
	}
	missing := filepath.Join(dir, "missing.yml")
	if _, err := loadFile(missing); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("got %v, want that %s does not exist", err, missing)
	}
	if _, err := loadFile(dir); fmt.Sprint(err) != "reading "+dir+": is a directory" {
		t.Errorf("got %v, want that it is a directory", err)
	}
}

// TestFind checks which of several configurations is used, and what is reported about the others.
func TestFind(t *testing.T) {
	t.Chdir(t.TempDir())
	const unused = "config.yml is used and $APPFIGURES_API_KEY is not, although it is set; unset it, or set --config.file=config.yml"
	fromDefault, fromNamed := "tokens: [{name: default-file, token_env: PATH}]\n", "tokens: [{name: named, token_env: PATH}]\n"
	fromVariable := "tokens: [{name: variable, token_env: APPFIGURES_API_KEY}]\n"
	for _, test := range []struct {
		name, flag, file, env string
		token, location       string // the name of the token; the end of the location
		warnings              []string
	}{
		{"a named file", "named.yml", fromDefault, "pat_x", "named", "/named.yml", nil},
		{"config.yml", "", fromDefault, "", "default-file", "/config.yml", nil},
		{"config.yml and the variable", "", fromDefault, "pat_x", "default-file", "/config.yml", []string{unused}},
		{"config.yml with the variable", "", fromVariable, "pat_x", "variable", "/config.yml", nil},
		{"config.yml, named", "config.yml", fromDefault, "pat_x", "default-file", "/config.yml", nil},
		{"the variable", "", "", "pat_x", "default", "$APPFIGURES_API_KEY", nil},
	} {
		t.Setenv(EnvToken, test.env)
		writeFile(t, ".", "named.yml", fromNamed)
		if test.file != "" {
			writeFile(t, ".", "config.yml", test.file)
		}
		location := Find(test.flag)
		config, warnings, err := location.Load()
		if err != nil || config.Tokens[0].Name != test.token || !slices.Equal(warnings, test.warnings) {
			t.Errorf("%s: got %v, warnings %q, error %v", test.name, config.Tokens, warnings, err)
		}
		if got := location.String(); !strings.HasSuffix(got, test.location) || !strings.HasPrefix(got, "$") && !filepath.IsAbs(got) {
			t.Errorf("%s: location %s, want %s", test.name, got, test.location)
		}
		if first, err := location.Fingerprint(); (first == "") != (location.Path == "") || err != nil {
			t.Errorf("%s: fingerprint %q, error %v", test.name, first, err)
		}
		_ = os.Remove("config.yml")
	}
}

func TestFromEnvironment(t *testing.T) {
	nothing := func(state string) string {
		return "no tokens to watch: name a configuration with --config.file=FILE (or put config.yml into the working " +
			"directory), or set APPFIGURES_API_KEY to watch one token (it " + state + "); `appfigures_exporter demo` needs neither"
	}
	for _, test := range []struct {
		name    string
		env     map[string]string
		apiURL  string
		wantErr string
	}{
		{"token", map[string]string{EnvToken: "pat_x"}, "https://api.appfigures.com/v2/", ""},
		{"the vendor's own base URL", map[string]string{EnvToken: "pat_x", EnvAPIURL: "https://api.appfigures.com/v2"}, "https://api.appfigures.com/v2/", ""},
		{"base URL with a slash", map[string]string{EnvToken: "pat_x", EnvAPIURL: "http://127.0.0.1:81/v2/"}, "http://127.0.0.1:81/v2/", ""},
		{"empty base URL", map[string]string{EnvToken: "pat_x", EnvAPIURL: ""}, "https://api.appfigures.com/v2/", ""},
		{"nothing", nil, "", nothing("is not set")},
		{"only a base URL", map[string]string{EnvAPIURL: "http://127.0.0.1:81/v2"}, "", nothing("is not set")},
		{"empty token", map[string]string{EnvToken: ""}, "", nothing("is set, but empty")},
		{"malformed token", map[string]string{EnvToken: "Bearer pat_x"}, "", `APPFIGURES_API_KEY starts with "Bearer"; put only the token there`},
		{"bad base URL", map[string]string{EnvToken: "pat_x", EnvAPIURL: "pat_x"}, "", "APPFIGURES_API_BASE_URL: not an http or https URL; write one such as https://api.appfigures.com/v2/"},
		{"http to a stranger", map[string]string{EnvToken: "pat_x", EnvAPIURL: "http://api.example/v2"}, "", "APPFIGURES_API_BASE_URL: http would send the token in the clear; use https"},
	} {
		t.Run(test.name, func(t *testing.T) {
			config, err := fromEnvironment(func(name string) (string, bool) { text, ok := test.env[name]; return text, ok })
			if test.wantErr != "" {
				if config != nil || fmt.Sprint(err) != test.wantErr {
					t.Errorf("got %v and error %v, want error %s", config, err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := newBuilder("").Config
			apiURL(test.apiURL)(&want)
			want.Tokens = []Token{{Name: "default", Account: "default", Source: EnvSource(EnvToken)}}
			if !reflect.DeepEqual(plain(*config), want) {
				t.Errorf("got %s\nwant %s", show(*config), show(want))
			}
		})
	}
}
