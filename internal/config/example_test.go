package config

import (
	"regexp"
	"strings"
	"testing"
)

// TestExample checks that the example is valid as it stands, and with the comment mark taken off every key. What has a
// default must have it there, and every key that the program knows must be there.
func TestExample(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "run/secrets/appfigures/mounted", "pat_mounted")
	writeCertificate(t, dir, "etc/client")
	writeFile(t, dir, "etc/ca.pem", readFile(t, dir+"/etc/client.pem"))
	text := readFile(t, "../../config.yml.example")
	commentedKey := regexp.MustCompile(`(?m)^( *)#( *(?:- )?[a-z_]+:)`) // no line of prose starts like a key
	full := strings.NewReplacer("/run/secrets/appfigures", "run/secrets/appfigures", "/etc/appfigures_exporter/c", "etc/c",
		"pat_replace_this_by_your_token", "pat_own").Replace(commentedKey.ReplaceAllString(text, "$1$2"))
	for _, test := range []struct {
		text   string
		tokens int
	}{{text, 1}, {full, 4}} {
		got, err := parseIn(t, dir, test.text)
		if err != nil {
			t.Fatalf("%v\nof:\n%s", err, test.text)
		}
		want := defaultConfig()
		want.ProxyURL, want.Tokens = got.ProxyURL, got.Tokens
		if show(*got) != show(want) || len(got.Tokens) != test.tokens {
			t.Errorf("want %d tokens and the program's defaults:\ngot  %s\nwant %s", test.tokens, show(*got), show(want))
		}
	}
	for _, field := range regexp.MustCompile(`yaml:"(\w+)"`).FindAllStringSubmatch(readFile(t, "config.go")+
		readFile(t, "token.go")+readFile(t, "dir.go"), -1) {
		if !regexp.MustCompile(`(?m)^ *(?:- )?` + field[1] + `:`).MatchString(full) {
			t.Errorf("%s is not in the example", field[1])
		}
	}
}
