package config

import (
	"os"
	"slices"
	"testing"
	"time"
)

func TestWarnings(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "tokens/a", "pat_a")
	if err := os.Chmod(writeFile(t, dir, "tokens/b", "pat_b"), 0o644); err != nil {
		t.Fatal(err)
	}
	path := writeFile(t, dir, "config.yml", "tokens: [{name: x, token_file: tokens/a}, {name: y, token: pat_y}]\n"+
		"token_dir: tokens\n")
	cfg, err := Find(path).Load()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`the tokens "x" and "a" have the same secret, and each uses its account's quota; keep one of them`,
		`the configuration itself contains the tokens ["y"]; token_file or token_env keep them out of its copies`,
		`every user of this machine can read the tokens ["b"]; remove that permission (chmod o-r; in Swarm mode: 0400, ` +
			`in Kubernetes defaultMode: 0400)`,
	}
	if !slices.Equal(cfg.Warnings, want) {
		t.Errorf("got  %q\nwant %q", cfg.Warnings, want)
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
	got := cfg.Inspect(time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC))
	want := []string{
		`the token "gone" cannot be read: reading the token file ` + dir + "/gone: no such file or directory; create it, or correct the path",
		`the token "gone" is past its expires_at; replace it, or correct the date`,
		`the token "unset" cannot be read: the environment variable APPFIGURES_TEST_UNSET is not set; set it for the exporter's process`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
