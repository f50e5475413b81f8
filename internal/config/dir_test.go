package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTokenDir checks which entries of a directory are tokens, also those that cannot be read, and each form of token_dir.
func TestTokenDir(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"one/a", "two/a", "none/.keep", "odd/bad\nname", "odd/pat_name",
		"pod/..2026/etl", "pod/.hidden", "pod/a~", "pod/b.bak", "pod/.c.swp", "pod/d.swp", "pod/f.ORIG", "pod/#g#", "pod/README.md",
		"pod/README", "pod/made-by-docker/x"} {
		writeFile(t, dir, name, "pat_"+filepath.Dir(name))
	}
	for name, target := range map[string]string{"..data": "..2026", "etl": "..data/etl", "gone": "..data/gone"} {
		if err := os.Symlink(target, filepath.Join(dir, "pod", name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ yaml, want string }{
		{"token_dir: pod", "etl/default [] true gone/default [] false made-by-docker/default [] false"},
		{"token_dir: {path: one, account: acme, prefix: web-, labels: {team: growth}}", "web-a/acme [{team growth}] true"},
		{"token_dir: [one, {path: two, prefix: two-}]", "a/default [] true two-a/default [] true"},
		{"token_dir: [one, none]", "a/default [] true"},
		{"token_dir: none", "config.yml:1: no tokens; list at least one under tokens, or set token_dir to a directory of token files"},
		{"token_dir: odd", "config.yml:1: token_dir: the name of a file contains a control or invisible character, which a backslash in double quotes can make, or is not UTF-8; write plain text\n" +
			"config.yml:1: token_dir: the name of a file contains pat_, with which tokens start, and would be shown; the key token takes a token itself, token_file the path of a file with it, token_env the name of a variable"},
	} {
		cfg, err := parseIn(t, dir, test.yaml+"\n")
		var got []string
		for _, token := range cfg.Tokens {
			_, err := token.Source.Read()
			got = append(got, fmt.Sprintf("%s/%s %v %t", token.Name, token.Account, token.Labels, err == nil))
		}
		if err != nil {
			got = []string{err.Error()}
		}
		if text := strings.ReplaceAll(strings.Join(got, " "), dir+"/", ""); text != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.yaml, text, test.want)
		}
	}
}
