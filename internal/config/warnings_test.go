package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestWarnings(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"open", "tokens/a", "tokens/b", "tokens/c"} {
		path := writeFile(t, dir, name, "pat_"+filepath.Base(name))
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "tokens/a"), 0o640); err != nil {
		t.Fatal(err)
	}
	var many strings.Builder
	for i := range 12 {
		fmt.Fprintf(&many, "  - {name: t%d, token: pat_%d}\n", i, i)
	}
	for _, test := range []struct {
		name, yaml string
		want       []string
	}{
		{"none", "tokens:\n  - {name: one, token_file: tokens/a}\n", nil},
		{"one of each kind", "tokens:\n  - {name: two, token: pat_y}\n  - {name: one, token_file: open}\n", []string{
			`:2: tokens[0].token: the configuration itself contains the token "two"; token_file or token_env keep tokens out of its copies`,
			`:3: tokens[1].token_file: every user of this machine can read the token "one"; remove other users' read permission (chmod o-r)`,
		}},
		{"files of both sources", "token_dir: tokens\ntokens:\n  - name: one\n    token_file: open\n", []string{
			`:4: tokens[0].token_file: every user of this machine can read 3 tokens ("one", "b", "c"); remove other users' read permission (chmod o-r)`,
		}},
		{"a directory", "token_dir: tokens\n", []string{
			`:1: token_dir: every user of this machine can read 2 tokens ("b", "c"); remove other users' read permission (chmod o-r)`,
		}},
		{"accounts", "tokens:\n  - {name: x, token_env: A}\n  - {name: y, token_env: B, account: DEFAULT}\ntoken_dir: {path: tokens, account: d efault}\n", []string{
			`:2: tokens[0]: the accounts "default", "DEFAULT", "d efault" differ only in case or white space, and each has a budget of its own; use one name`,
			`:4: token_dir.path: every user of this machine can read 2 tokens ("b", "c"); remove other users' read permission (chmod o-r)`,
		}},
		{"many", "tokens:\n" + many.String(), []string{
			`:2: tokens[0].token: the configuration itself contains 12 tokens ("t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9" and 2 more); token_file or token_env keep tokens out of its copies`,
		}},
	} {
		path := writeFile(t, dir, "config.yml", test.yaml)
		config, err := loadFile(path)
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
			`:1: tokens[0].token_file: the token "a": no secret: reading the token file ` + dir + "/tokens/gone: " + missing,
		}},
		{"a file with too much in it", "tokens: [{name: a, token_file: tokens/bad}]\n", []string{
			`:1: tokens[0].token_file: the token "a": no secret: the token file ` + dir + "/tokens/bad " + spaced,
		}},
		{"a file whose directory is missing", "tokens: [{name: a, token_file: /nowhere/token}]\n", []string{
			`:1: tokens[0].token_file: the token "a": no secret: reading the token file /nowhere/token: ` + missing,
		}},
		{"a token for a file's name", "tokens: [{name: a, token_file: " + sentinel + "}]\n", []string{
			`:1: tokens[0].token_file: the token "a": no secret: reading the token file: ` + missing,
		}},
		{"variables that are not set", "tokens: [{name: a, token_env: APPFIGURES_TEST_UNSET}, {name: b, token_env: " + sentinel + "}]\n", []string{
			`:1: tokens[0].token_env: the token "a": no secret: the environment variable APPFIGURES_TEST_UNSET ` + unset,
			`:1: tokens[1].token_env: the token "b": no secret: the token's environment variable ` + unset,
		}},
		{"a variable with too much in it", "tokens: [{name: a, token_env: APPFIGURES_TEST_BAD}]\n", []string{
			`:1: tokens[0].token_env: the token "a": no secret: the environment variable APPFIGURES_TEST_BAD ` + spaced,
		}},
		{"expiry", "tokens: [{name: a, token: x, expires_at: 2027-01-31}, {name: b, token: y, expires_at: 2027-02-01}, {name: c, token: z, expires_at: 2020-01-01}]\n", []string{
			`:1: tokens[0].expires_at: the token "a": ` + expired, `:1: tokens[2].expires_at: the token "c": ` + expired,
		}},
		{"all at once", "tokens: [{name: a, token_env: APPFIGURES_TEST_UNSET, expires_at: 2020-01-01}, {name: b, token_env: APPFIGURES_TEST_UNSET}]\n", []string{
			`:1: tokens[0].token_env: the token "a": no secret: the environment variable APPFIGURES_TEST_UNSET ` + unset,
			`:1: tokens[0].expires_at: the token "a": ` + expired,
			`:1: tokens[1].token_env: the token "b": no secret: the environment variable APPFIGURES_TEST_UNSET ` + unset,
		}},
	} {
		path := writeFile(t, dir, "config.yml", test.yaml)
		config, err := loadFile(path)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		for i := range test.want {
			test.want[i] = path + test.want[i]
		}
		if got := config.Inspect(now); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", test.name, got, test.want)
		}
	}
}

// TestInspectIsBounded checks that many tokens without a secret make few lines.
func TestInspectIsBounded(t *testing.T) {
	dir := t.TempDir()
	for i := range 100 {
		writeFile(t, dir, fmt.Sprintf("tokens/t%d", i), "")
	}
	config, err := loadFile(writeFile(t, dir, "config.yml", "token_dir: tokens\n"))
	if err != nil {
		t.Fatal(err)
	}
	lines := config.Inspect(time.Now())
	if last := lines[len(lines)-1]; len(lines) != maxProblems+1 || last != "80 more tokens have no secret, or are past their expires_at" {
		t.Errorf("got %d lines, the last %q", len(lines), last)
	}
}
