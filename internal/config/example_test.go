package config

import (
	"regexp"
	"strings"
	"testing"
)

const examplePath = "../../config.yml.example"

// commentedKey is the beginning of a line of the example that is commented out. No line of prose starts like a key.
var commentedKey = regexp.MustCompile(`(?m)^( *)#( *(?:- )?[a-z_]+:)`)

func TestExampleIsValidAsItStands(t *testing.T) {
	got, err := parseIn(t, "/etc", readFile(t, examplePath))
	if err != nil {
		t.Fatal(err)
	}
	want := defaultConfig()
	want.Tokens = []Token{{Name: "reporting", Account: "default", Source: FileSource("/run/secrets/reporting")}}
	if show(*got) != show(want) || got.Warnings != nil {
		t.Errorf("got %s\nwant %s", show(*got), show(want))
	}
}

// TestExampleIsValidInFull takes the comment mark off every key of the example. What has a default must then still have
// it, and every key that the program knows must be there.
func TestExampleIsValidInFull(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "run/secrets/appfigures/mounted", "pat_mounted")
	writeCertificate(t, dir, "etc/client")
	writeFile(t, dir, "etc/ca.pem", readFile(t, dir+"/etc/client.pem"))
	text := commentedKey.ReplaceAllString(readFile(t, examplePath), "$1$2")
	text = strings.NewReplacer("/run/secrets/appfigures", "run/secrets/appfigures", "/etc/appfigures_exporter/c", "etc/c",
		"pat_replace_this_by_your_token", "pat_own").Replace(text)
	got, err := parseIn(t, dir, text)
	if err != nil {
		t.Fatalf("%v\nof:\n%s", err, text)
	}
	var names []string
	for _, token := range got.Tokens {
		names = append(names, token.Name)
	}
	if names := strings.Join(names, " "); names != "reporting etl trial web-mounted" {
		t.Errorf("got tokens %s", names)
	}
	first, last := got.Tokens[0], got.Tokens[3]
	if got.ProxyURL == nil || got.TLS == nil || len(first.Labels) != 2 || first.ExpiresAt.IsZero() || len(last.Labels) != 1 {
		t.Errorf("got %s", show(*got))
	}
	want := defaultConfig()
	want.ProxyURL, want.TLS, want.Tokens, want.Warnings = got.ProxyURL, got.TLS, got.Tokens, got.Warnings
	if show(*got) != show(want) {
		t.Errorf("the defaults in the example are not those of the program:\ngot  %s\nwant %s", show(*got), show(want))
	}
	for _, field := range regexp.MustCompile(`yaml:"(\w+)"`).FindAllStringSubmatch(readFile(t, "config.go")+
		readFile(t, "token.go")+readFile(t, "dir.go"), -1) {
		if !regexp.MustCompile(`(?m)^ *(?:- )?` + field[1] + `:`).MatchString(text) {
			t.Errorf("%s is not in the example", field[1])
		}
	}
}
