package config

import (
	"strings"
	"testing"
)

func TestTokens(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"bare", "pat_x", "pat_x"},
		{"Windows line", "pat_x\r\n", "pat_x"},
		{"all white space", "pat_x \t\r\n\v\f\n", "pat_x"},
		{"base64 that starts like an assignment", "cGF0c2VjcmV0=", "cGF0c2VjcmV0="},
		{"a hash", "$2b$10$N9qo8uLOickgx2ZMRZoMye", "$2b$10$N9qo8uLOickgx2ZMRZoMye"},
		{"as long as can be", strings.Repeat("y", maxTokenBytes), strings.Repeat("y", maxTokenBytes)},
	} {
		path := writeFile(t, t.TempDir(), "token", test.text)
		t.Setenv("APPFIGURES_TEST_TOKEN", test.text)
		for _, source := range []Source{FileSource(path), EnvSource("APPFIGURES_TEST_TOKEN")} {
			secret, err := source.Read()
			if err != nil || secret.Reveal() != test.want {
				t.Errorf("%s: %s: got %q and error %v, want %q", test.name, source, secret.Reveal(), err, test.want)
			}
		}
	}
}

func TestPasteErrors(t *testing.T) {
	const (
		empty      = "is empty; it must contain the token"
		bearer     = `starts with "Bearer"; put only the token there`
		holder     = "is a placeholder or a variable, which is not expanded here; put the token itself there"
		assignment = "is an assignment, such as KEY=value; put only the value there, without quotes"
		quotes     = "contains quotes; put only the token there, without them"
		character  = "contains white space, or an invisible or foreign character, such as a byte order mark; " +
			"put one token there and nothing else, as plain text"
	)
	for _, test := range []struct{ text, want string }{
		{"", empty},
		{"bearer pat_secret", bearer},
		{"Authorization: Bearer pat_secret", bearer},
		{"pat_replace_this_by_your_token\n", holder},
		{"${TOKEN}", holder},
		{"%TOKEN%", holder},
		{"{{ token }}", holder},
		{"APPFIGURES_API_KEY=pat_secret", assignment},
		{"export KEY=pat_secret", assignment},
		{"token: pat_secret", assignment},
		{`"pat_secret"`, quotes},
		{"“pat_secret”", quotes},
		{`{"token":"pat_secret"}`, quotes},
		{" pat_secret", character},
		{"pat_secret\npat_secret\n", character},
		{"pat_secret\r\nX-Evil: 1", character},
		{"pat_secret\x1b[0m", character},
		{"pat_sécret", character},
		{"pat_secret\xff", character},
		{"pat_secret\u200b", character},
		{"\ufeffpat_secret", character},
		{"\xff\xfep\x00a\x00t\x00", character},
	} {
		path := writeFile(t, t.TempDir(), "token", test.text)
		wantReadError(t, FileSource(path), "the token file "+path+" "+test.want)
		if secret, err := parseToken(test.text); err == nil || err.Error() != test.want || secret.Reveal() != "" {
			t.Errorf("%q: got %q and error %v, want %s", test.text, secret.Reveal(), err, test.want)
		}
	}
	t.Setenv("APPFIGURES_TEST_TOKEN", "Bearer x")
	wantReadError(t, EnvSource("APPFIGURES_TEST_TOKEN"), "the environment variable APPFIGURES_TEST_TOKEN "+bearer)
	wantReadError(t, EnvSource("APPFIGURES_TEST_UNSET"),
		"the environment variable APPFIGURES_TEST_UNSET is not set; set it for the exporter's process")
}

func wantReadError(t *testing.T, source Source, want string) {
	t.Helper()
	secret, err := source.Read()
	if err == nil || err.Error() != want || secret.Reveal() != "" {
		t.Errorf("got %q and error %v, want %s", secret.Reveal(), err, want)
	}
}
