package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestWarnings checks what is said at load, and what Inspect says.
func TestWarnings(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "tokens/a", "pat_a")
	if err := os.Chmod(writeFile(t, dir, "tokens/b", "pat_b"), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, err := Find(writeFile(t, dir, "config.yml", `pacing: {assumed_daily_limit: 200}
token_dir: tokens
tokens:
  - {name: x, token_file: tokens/a, expires_at: 2027-02-01}
  - {name: y, token: pat_y, account: other}
  - {name: gone, token_file: gone, expires_at: 2027-01-31}
  - {name: unset, token_env: APPFIGURES_TEST_UNSET}
`)).Load()
	if err != nil {
		t.Fatal(err)
	}
	got := append(cfg.Warnings, cfg.Inspect(time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC))...)
	want := []string{
		`the tokens "x" and "a" have the same secret, and each uses its account's quota; keep one of them`,
		`the configuration itself contains the tokens ["y"]; token_file or token_env keep them out of its copies`,
		`every user of this machine can read the tokens ["b"]; remove that permission (chmod o-r; in Swarm mode: 0400, ` +
			`in Kubernetes defaultMode: 0400)`,
		`account "default": each of its 5 tokens is probed only every 3 hours, because pacing.quota_share, 0.25 of ` +
			`the assumed 200 requests per day, is for all of them; raise it to 0.75 to probe each once per hour`,
		`the token "gone" cannot be read: reading the token file ` + dir + "/gone: no such file or directory; create it, or correct the path",
		`the token "gone" is past its expires_at; replace it, or correct the date`,
		`the token "unset" cannot be read: the environment variable APPFIGURES_TEST_UNSET is not set; set it for the exporter's process`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestPaceWarning checks which accounts have too many tokens, and that its advice is enough.
func TestPaceWarning(t *testing.T) {
	for _, test := range []struct {
		tokens int
		pacing Pacing // share, limit, reserve, minimum
		want   string // what the warnings contain
	}{
		{10, Pacing{0.25, 999, 0, 0}, "every 1.2 hours, because pacing.quota_share, 0.25 of the assumed 999 " +
			"requests per day, is for all of them; raise it to 0.31 to probe each once per hour"},
		{7, Pacing{0.06, 3000, 0, 0}, "raise it to 0.07 "},
		{7, Pacing{0.07, 3000, 0, 0}, "[]"},
		{10, Pacing{0.25, 300, 0, 0}, "raise it to 1.00 "},
		{34, Pacing{0.25, 1000, 0, 0}, "watch fewer of them"},
		{50, Pacing{0.25, 1000, 0, 5 * time.Hour}, "every 6 hours, "},
		{50, Pacing{0.25, 1000, 0, 6 * time.Hour}, "[]"},
	} {
		cfg := Config{Pacing: test.pacing, Tokens: make([]Token, test.tokens)}
		if got := fmt.Sprint(cfg.warnOfPace()); !strings.Contains(got, test.want) {
			t.Errorf("%+v: got %q", test, got)
		}
	}
}
