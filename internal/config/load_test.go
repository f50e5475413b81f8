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
	"time"
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
	if _, err := Load(dir); fmt.Sprint(err) != "reading "+dir+": is a directory" {
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
	line := path + ":2: token_dir: a file's name contains a control or invisible character, or is not UTF-8; rename the file"
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
	var many strings.Builder
	for i := range 12 {
		fmt.Fprintf(&many, "  - {name: t%d, token: pat_y}\n", i)
	}
	for _, test := range []struct {
		name, yaml string
		want       []string
	}{
		{"none", "tokens:\n  - {name: one, token_file: tokens/a}\n", nil},
		{"one of each kind", "tokens:\n  - {name: two, token: pat_y}\n  - {name: one, token_file: open}\n", []string{
			`:2: tokens[0].token: the configuration itself holds the token "two"; token_file or token_env keep tokens out of copies of this file`,
			`:3: tokens[1].token_file: every user of this machine can read the token "one"; remove other users' read permission (chmod o-r)`,
		}},
		{"files of both sources", "token_dir: tokens\ntokens:\n  - name: one\n    token_file: open\n", []string{
			`:4: tokens[0].token_file: every user of this machine can read 3 tokens ("one", "b", "c"); remove other users' read permission (chmod o-r)`,
		}},
		{"a directory", "token_dir: tokens\n", []string{
			`:1: token_dir: every user of this machine can read 2 tokens ("b", "c"); remove other users' read permission (chmod o-r)`,
		}},
		{"many", "tokens:\n" + many.String(), []string{
			`:2: tokens[0].token: the configuration itself holds 12 tokens ("t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9" and 2 more); token_file or token_env keep tokens out of copies of this file`,
		}},
	} {
		path := writeFile(t, dir, "config.yml", test.yaml)
		config, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range test.want {
			test.want[i] = path + test.want[i]
		}
		if !reflect.DeepEqual(config.Warnings, test.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", test.name, config.Warnings, test.want)
		}
	}
}

// TestInspect holds what is said of tokens that a valid configuration names and that do not work here and now.
func TestInspect(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "tokens/good", "pat_good\n")
	writeFile(t, dir, "tokens/bad", "Bearer "+sentinel)
	t.Setenv("APPFIGURES_TEST_GOOD", "pat_good")
	t.Setenv("APPFIGURES_TEST_BAD", "Bearer "+sentinel)
	now := time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)
	const (
		missing = "no such file; create it, or correct the path"
		spaced  = `starts with "Bearer"; put only the token there`
		unset   = "is not set; set it for the exporter's process"
		expired = "expires_at is in the past; replace the token, or correct the date"
	)
	for _, test := range []struct {
		name, yaml string
		want       []string
	}{
		{"nothing", "tokens: [{name: a, token_file: tokens/good}, {name: b, token_env: APPFIGURES_TEST_GOOD}, {name: c, token: pat_x}]\n", nil},
		{"a file that is missing", "tokens: [{name: a, token_file: tokens/gone}]\n", []string{
			`the token "a": no secret: reading the token file ` + dir + "/tokens/gone: " + missing,
		}},
		{"a file with too much in it", "tokens: [{name: a, token_file: tokens/bad}]\n", []string{
			`the token "a": no secret: the token file ` + dir + "/tokens/bad " + spaced,
		}},
		{"a token for a file's name", "tokens: [{name: a, token_file: " + sentinel + "}]\n", []string{`the token "a": no secret: reading the token file: ` + missing}},
		{"variables that are not set", "tokens: [{name: a, token_env: APPFIGURES_TEST_UNSET}, {name: b, token_env: " + sentinel + "}]\n", []string{
			`the token "a": no secret: the environment variable APPFIGURES_TEST_UNSET ` + unset,
			`the token "b": no secret: the token's environment variable ` + unset,
		}},
		{"a variable with too much in it", "tokens: [{name: a, token_env: APPFIGURES_TEST_BAD}]\n", []string{
			`the token "a": no secret: the environment variable APPFIGURES_TEST_BAD ` + spaced,
		}},
		{"expiry", "tokens: [{name: a, token: x, expires_at: 2027-01-31}, {name: b, token: x, expires_at: 2027-02-01}, {name: c, token: x, expires_at: 2020-01-01}]\n", []string{
			`2 tokens ("a", "c"): ` + expired,
		}},
		{"all at once", "tokens: [{name: a, token_env: APPFIGURES_TEST_UNSET, expires_at: 2020-01-01}, {name: b, token_env: APPFIGURES_TEST_UNSET}]\n", []string{
			`2 tokens ("a", "b"): no secret: the environment variable APPFIGURES_TEST_UNSET ` + unset, `the token "a": ` + expired,
		}},
	} {
		config, err := Load(writeFile(t, dir, "config.yml", test.yaml))
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if got := config.Inspect(now); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", test.name, got, test.want)
		}
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
		{"malformed token", map[string]string{EnvToken: "Bearer pat_x"}, "", `APPFIGURES_API_KEY starts with "Bearer"; put only the token there`},
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
			want := newBuilder("").Config
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

// TestTokenDirForms checks a path, a mapping, and a list of both, and which files are no tokens.
func TestTokenDirForms(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"one/a", "one/a~", "one/b.bak", "one/.c.swp", "one/#d#", "one/README.md", "two/e"} {
		writeFile(t, dir, name, "pat_x")
		if err := os.Chmod(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const skipped = `token_dir: skipped files that are no tokens: "#d#", "README.md", "a~", "b.bak"; move them elsewhere`
	for _, test := range []struct{ yaml, want, warning string }{
		{"token_dir: one\n", "a/default", skipped},
		{"token_dir: {path: one, account: acme}\n", "a/acme", "token_dir.path: "},
		{"token_dir: [{path: one, account: acme}, two]\n", "a/acme e/default", "token_dir[0].path: "},
	} {
		path := writeFile(t, dir, "config.yml", test.yaml)
		config, err := Load(path)
		if err != nil {
			t.Errorf("%s: %v", test.yaml, err)
			continue
		}
		var got []string
		for _, token := range config.Tokens {
			got = append(got, token.Name+"/"+token.Account)
		}
		if strings.Join(got, " ") != test.want || len(config.Warnings) != 1 || !strings.Contains(config.Warnings[0], test.warning) {
			t.Errorf("%s: tokens %q, warnings %q", test.yaml, got, config.Warnings)
		}
		before, err := Location{Path: path}.Fingerprint()
		writeFile(t, dir, "one/new", "pat_y")
		after, _ := Location{Path: path}.Fingerprint()
		if err != nil || before == after {
			t.Errorf("%s: the fingerprint does not show a new token (%v)", test.yaml, err)
		}
		_ = os.Remove(filepath.Join(dir, "one/new"))
	}
}

// TestCompareSecrets checks what a load says of secrets that stand in two places.
func TestCompareSecrets(t *testing.T) {
	t.Setenv("APPFIGURES_TEST_ONE", "pat_one")
	t.Setenv("APPFIGURES_TEST_TWO", "pat_two")
	dir := t.TempDir()
	for _, test := range []struct{ yaml, warning, err string }{
		{"tokens: [{name: a, token_env: APPFIGURES_TEST_ONE}, {name: b, token_env: APPFIGURES_TEST_TWO}]\n", "", ""},
		{"tokens: [{name: a, token_env: APPFIGURES_TEST_ONE}, {name: b, account: x, token_env: APPFIGURES_TEST_ONE}]\n",
			`2 tokens ("a", "b") are one and the same token; `, ""},
		{"tokens: [{name: pat_one, token_env: APPFIGURES_TEST_ONE}]\n", "", "also a token's name"},
		{"tokens: [{name: a, token_env: APPFIGURES_TEST_ONE, labels: {secret: pat_one}}]\n", "", "also a label"},
		{"tokens: [{name: a, token_env: APPFIGURES_TEST_ONE, account: pat_one}]\n", "", "also an account"},
	} {
		_, warnings, err := Location{Path: writeFile(t, dir, "config.yml", test.yaml)}.Load()
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "pat_") {
				t.Errorf("%s: error %v, want %q", test.yaml, err, test.err)
			}
			continue
		}
		if err != nil || len(warnings) != min(1, len(test.warning)) || !strings.Contains(strings.Join(warnings, ""), test.warning) {
			t.Errorf("%s: warnings %q, error %v", test.yaml, warnings, err)
		}
	}
}
