package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

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
	config, err := loadFile(writeFile(t, dir, "config.yml", "token_dir: tokens\n"))
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

func TestTokenDirRefusesNames(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"bad\nname", "bad\u202ename", "bad\xffname"} {
		writeFile(t, dir, "tokens/"+name, "pat_"+strconv.Quote(name))
	}
	writeFile(t, dir, "tokens/pat_name", "pat_x")
	path := writeFile(t, dir, "config.yml", "timeout: 5s\ntoken_dir: tokens\n")
	_, err := loadFile(path)
	line := path + ":2: token_dir: the name of a file contains a control or invisible character, or is not UTF-8; write plain text\n"
	pat := path + ":2: token_dir: the name of a file contains pat_, with which tokens start, but metrics publish it; write something else"
	if want := strings.Repeat(line, 3) + pat; fmt.Sprint(err) != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestTokenDirForms(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"one/a", "one/a~", "one/b.bak", "one/.c.swp", "one/#d#", "one/README.md", "one/f.ORIG", "one/g.rej", "one/h.tmp",
		"one/i.old", "one/j.swp", "one/k.dpkg-old", "one/l (copy)", "one/m.rpmsave", "one/n,v", "one/~$o", "two/e",
	} {
		writeFile(t, dir, name, "pat_"+filepath.Base(name))
		if err := os.Chmod(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const skipped = `token_dir: skipped files that are not tokens: "#d#", "README.md", "a~", "b.bak", "f.ORIG", "g.rej", "h.tmp", "i.old", "j.swp", "k.dpkg-old" and 4 more; move them elsewhere`
	for _, test := range []struct{ yaml, want, warning string }{
		{"token_dir: one\n", "a/default", skipped},
		{"token_dir: {path: one, account: acme}\n", "a/acme", "token_dir.path: "},
		{"token_dir: [{path: one, account: acme}, two]\n", "a/acme e/default", "token_dir[0].path: "},
	} {
		path := writeFile(t, dir, "config.yml", test.yaml)
		config, err := loadFile(path)
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
