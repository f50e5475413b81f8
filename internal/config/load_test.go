package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestLoadStartsPathsAtTheFile(t *testing.T) {
	dir := t.TempDir()
	path := writeFile(t, dir, "etc/config.yml", "tokens: [{name: etl, token_file: ../secrets/etl}]\ntoken_dir: ../more\n")
	writeFile(t, dir, "secrets/etl", "pat_etl\n")
	writeFile(t, dir, "more/other", "pat_other\n")
	config, err := Load(path)
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
	_, err := Load(path)
	if err == nil || !strings.Contains(err.Error(), "\n"+path+":1: timeout: ") {
		t.Errorf("got %v, want the path and line", err)
	}
	missing := filepath.Join(dir, "missing.yml")
	if _, err := Load(missing); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("got %v, want that %s does not exist", err, missing)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("got %v, want that it is a directory", err)
	}
}

// TestTokenDirOfKubernetes lays secrets out as the kubelet does.
func TestTokenDirOfKubernetes(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "tokens/..2026_11_23_19_00_00.1/etl", "pat_etl")
	writeFile(t, dir, "tokens/..2026_11_23_19_00_00.1/reporting", "pat_reporting")
	writeFile(t, dir, "tokens/.hidden", "pat_hidden")
	writeFile(t, dir, "tokens/directory/etl2", "pat_etl2")
	for name, target := range map[string]string{
		"..data":    "..2026_11_23_19_00_00.1",
		"etl":       "..data/etl",
		"reporting": "..data/reporting",
		"gone":      "..data/gone",
		"linked":    "directory",
	} {
		if err := os.Symlink(target, filepath.Join(dir, "tokens", name)); err != nil {
			t.Fatal(err)
		}
	}
	config, err := Load(writeFile(t, dir, "config.yml", "token_dir: tokens\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, token := range config.Tokens {
		secret, err := token.Source.Read()
		got = append(got, fmt.Sprint(token.Name, " ", token.Account, " ", secret.Reveal(), " ", err == nil))
	}
	want := []string{"etl default pat_etl true", "gone default  false", "reporting default pat_reporting true"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTokenDirRefusesNamesThatNoLabelTakes(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "tokens/bad\nname", "pat_x")
	writeFile(t, dir, "tokens/bad\xffname", "pat_x")
	path := writeFile(t, dir, "config.yml", "timeout: 5s\ntoken_dir: tokens\n")
	_, err := Load(path)
	line := path + ":2: token_dir: a file's name holds a control character, or is not UTF-8; rename the file"
	if want := line + "\n" + line; fmt.Sprint(err) != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestWarnings(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"open", "tokens/a", "tokens/b", "tokens/c"} {
		path := writeFile(t, dir, name, "pat_x")
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "tokens/a"), 0o640); err != nil {
		t.Fatal(err)
	}
	path := writeFile(t, dir, "config.yml", "token_dir: tokens\ntokens:\n  - name: one\n    token_file: open\n  - name: two\n    token: pat_y\n")
	config, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		path + `:1: token_dir: every user of this machine can read the tokens of 2 files, "b" the first; take the right from others (chmod o-r)`,
		path + `:4: tokens[0].token_file: every user of this machine can read the token "one"; take the right from others (chmod o-r)`,
		path + `:6: tokens[1].token: the token "two" stands in the configuration itself; token_file or token_env keep it out of copies of this file`,
	}
	if !reflect.DeepEqual(config.Warnings, want) {
		t.Errorf("got  %q\nwant %q", config.Warnings, want)
	}
}

func TestFromEnv(t *testing.T) {
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
		{"nothing", nil, "", "APPFIGURES_API_KEY is not set"},
		{"only a base URL", map[string]string{EnvAPIURL: "http://127.0.0.1:81/v2"}, "", "APPFIGURES_API_KEY is not set"},
		{"empty token", map[string]string{EnvToken: ""}, "", "APPFIGURES_API_KEY is not set"},
		{"malformed token", map[string]string{EnvToken: "Bearer pat_x"}, "", `APPFIGURES_API_KEY holds white space within; it must hold one token and nothing else, no "Bearer" either`},
		{"bad base URL", map[string]string{EnvToken: "pat_x", EnvAPIURL: "pat_x"}, "", "APPFIGURES_API_BASE_URL: not an http or https URL; write one such as https://api.appfigures.com/v2/"},
		{"http to a stranger", map[string]string{EnvToken: "pat_x", EnvAPIURL: "http://api.example/v2"}, "", "APPFIGURES_API_BASE_URL: http would send the token in the clear; use https"},
	} {
		t.Run(test.name, func(t *testing.T) {
			config, err := FromEnv(func(name string) (string, bool) { text, ok := test.env[name]; return text, ok })
			if test.wantErr != "" {
				if config != nil || fmt.Sprint(err) != test.wantErr {
					t.Errorf("got %v and error %v, want error %s", config, err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := newDraft("").Config
			apiURL(test.apiURL)(&want)
			want.Tokens = []Token{{Name: "default", Account: "default", Source: EnvSource(EnvToken)}}
			if !reflect.DeepEqual(*config, want) {
				t.Errorf("got %s\nwant %s", show(*config), show(want))
			}
		})
	}
	if _, err := FromEnv(func(string) (string, bool) { return "", false }); !errors.Is(err, ErrNoToken) {
		t.Errorf("got %v, want ErrNoToken", err)
	}
}

func TestFingerprint(t *testing.T) {
	dir := t.TempDir()
	path := writeFile(t, dir, "config.yml", "token_dir: tokens\n")
	writeFile(t, dir, "tokens/etl", "pat_1")
	seen := make(map[string]string)
	for _, step := range []struct {
		name    string
		do      func()
		changes bool
	}{
		{"first look", func() {}, true},
		{"nothing", func() {}, false},
		{"a secret rotates", func() { writeFile(t, dir, "tokens/etl", "pat_2") }, false},
		{"a token comes", func() { writeFile(t, dir, "tokens/reporting", "pat_3") }, true},
		{"a dot file comes", func() { writeFile(t, dir, "tokens/.tmp", "x") }, false},
		{"a token goes", func() { _ = os.Remove(filepath.Join(dir, "tokens/etl")) }, true},
		{"the directory goes", func() { _ = os.RemoveAll(filepath.Join(dir, "tokens")) }, true},
		{"the file changes", func() { writeFile(t, dir, "config.yml", "token_dir: tokens # all\n") }, true},
		{"the file breaks", func() { writeFile(t, dir, "config.yml", "token_dir: [\n") }, true},
		{"the file names a CA that is missing", func() { writeFile(t, dir, "config.yml", oneToken+"tls_config: {ca_file: ca.pem}\n") }, true},
		{"the CA comes", func() { writeFile(t, dir, "ca.pem", "old") }, true},
		{"the CA rotates", func() { writeFile(t, dir, "ca.pem", "new") }, true},
		{"the file is mended", func() { writeFile(t, dir, "config.yml", oneToken) }, true},
	} {
		step.do()
		got, err := Fingerprint(path)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		earlier, known := seen[got]
		if known == step.changes {
			t.Errorf("%s: got a new fingerprint: %t, want %t (seen at %q)", step.name, !known, step.changes, earlier)
		}
		seen[got] = step.name
	}
	if _, err := Fingerprint(dir); err == nil {
		t.Error("a directory has a fingerprint")
	}
}
