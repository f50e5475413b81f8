package config

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWarnings(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "tokens/a", "pat_a")
	if err := os.Chmod(writeFile(t, dir, "tokens/b", "pat_b"), 0o644); err != nil {
		t.Fatal(err)
	}
	const readable = "; remove that permission (chmod o-r; in Swarm mode: 0400, in Kubernetes defaultMode: 0400)"
	for _, test := range []struct {
		name, yaml string
		want       []string
	}{
		{"none", "tokens:\n  - {name: one, token_file: tokens/a}\n", nil},
		{"inline", "tokens:\n  - {name: two, token: pat_y}\n", []string{
			`the configuration itself contains the tokens ["two"]; token_file or token_env keep them out of its copies`,
		}},
		{"configured twice", "tokens:\n  - {name: x, token_file: tokens/a}\ntoken_dir: {path: tokens, labels: {pod: x}}\n", []string{
			"config.yml:3: token_dir.labels.pod: alerts or targets usually have this label too, and one of the two is lost; choose another name",
			`the tokens "x" and "a" have the same secret, and each uses its account's quota; keep one of them`,
			`every user of this machine can read the tokens ["b"]` + readable,
		}},
	} {
		cfg, err := Find(writeFile(t, dir, "config.yml", test.yaml)).Load()
		if err != nil {
			t.Fatal(err)
		}
		warnings := cfg.Warnings
		for i := range warnings {
			warnings[i] = strings.ReplaceAll(warnings[i], dir+"/", "")
		}
		if !slices.Equal(warnings, test.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", test.name, warnings, test.want)
		}
	}
}

func TestInspect(t *testing.T) {
	dir := t.TempDir()
	cfg, err := parseIn(t, dir, `tokens:
  - {name: good, token_file: good, expires_at: 2027-02-01}
  - {name: gone, token_file: gone, expires_at: 2027-01-31}
  - {name: unset, token_env: APPFIGURES_TEST_UNSET}
`)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, "good", "pat_good\n")
	got, unreadable := cfg.Inspect(time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC))
	want := []string{
		`the token "gone" cannot be read: reading the token file ` + dir + "/gone: no such file or directory; create it, or correct the path",
		`the token "gone" is past its expires_at; replace it, or correct the date`,
		`the token "unset" cannot be read: the environment variable APPFIGURES_TEST_UNSET is not set; set it for the exporter's process`,
	}
	if !slices.Equal(got, want) || unreadable != 2 {
		t.Errorf("got  %q\nwant %q; %d cannot be read", got, want, unreadable)
	}
}
