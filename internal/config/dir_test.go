package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTokenDirOfKubernetes checks which entries of a directory are tokens: also those that cannot be read.
func TestTokenDirOfKubernetes(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "tokens/..2026_11_23_19_00_00.1/etl", "pat_etl")
	for _, name := range []string{".hidden", "a~", "b.bak", ".c.swp", "d.swp", "f.ORIG", "#g#", "README.md", "README"} {
		writeFile(t, dir, "tokens/"+name, "pat_x")
	}
	for name, target := range map[string]string{"..data": "..2026_11_23_19_00_00.1", "etl": "..data/etl", "gone": "..data/gone"} {
		if err := os.Symlink(target, filepath.Join(dir, "tokens", name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "tokens/made-by-docker"), 0o700); err != nil {
		t.Fatal(err)
	}
	cfg, err := parseIn(t, dir, "token_dir: tokens\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, token := range cfg.Tokens {
		secret, err := token.Source.Read()
		got = append(got, fmt.Sprint(token.Name, " ", token.Account, " ", secret.Reveal(), " ", err == nil))
	}
	if want := []string{"etl default pat_etl true", "gone default  false", "made-by-docker default  false"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTokenDirForms(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"one/a", "two/a", "none/.keep", "odd/bad\nname", "odd/pat_name"} {
		writeFile(t, dir, name, "pat_"+filepath.Dir(name))
	}
	for _, test := range []struct{ yaml, want string }{
		{"token_dir: one", "a/default []"},
		{"token_dir: {path: one, account: acme, prefix: web-, labels: {team: growth}}", "web-a/acme [{team growth}]"},
		{"token_dir: [one, {path: two, prefix: two-}]", "a/default [] two-a/default []"},
		{"token_dir: [one, two]", `config.yml:1: token_dir[1]: the file "a" has the name of a token of token_dir[0]; set prefix for this directory, or rename one`},
		{"token_dir: [one, none]", "config.yml:1: token_dir[1]: no token files; put one there for each token, named after the token a/default []"},
		{"token_dir: none", "config.yml:1: no tokens; list at least one under tokens, or set token_dir to a directory of token files"},
		{"token_dir: odd", "config.yml:1: token_dir: the name of a file contains a control or invisible character, which a backslash in double quotes can make, or is not UTF-8; write plain text\n" +
			"config.yml:1: token_dir: the name of a file contains pat_, with which tokens start; write a text that can be shown, and the token itself only where it is read"},
	} {
		cfg, err := parseIn(t, dir, test.yaml+"\n")
		got := cfg.Warnings
		for _, token := range cfg.Tokens {
			got = append(got, fmt.Sprintf("%s/%s %v", token.Name, token.Account, token.Labels))
		}
		if err != nil {
			got = []string{err.Error()}
		}
		if text := strings.ReplaceAll(strings.Join(got, " "), dir+"/", ""); text != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.yaml, text, test.want)
		}
	}
}
