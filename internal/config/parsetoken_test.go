package config

import (
	"slices"
	"strings"
	"testing"
)

func TestTokens(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"bare", "pat_x", "pat_x"},
		{"line feed", "pat_x\n", "pat_x"},
		{"Windows line", "pat_x\r\n", "pat_x"},
		{"all white space", "pat_x \t\r\n\v\f\n", "pat_x"},
		{"every printable character", "x" + allPrintable() + "x", "x" + allPrintable() + "x"},
		{"base64", "cGF0/c2Vjc+mV0==", "cGF0/c2Vjc+mV0=="},
		{"a word with pat_ in it", "compat_token", "compat_token"},
		{"base64 that starts like an assignment", "cGF0c2VjcmV0=", "cGF0c2VjcmV0="},
		{"dots, dashes and tildes", "pat_a.b-c~d/e+f", "pat_a.b-c~d/e+f"},
		{"a JSON web token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"},
		{"a hash", "$2b$10$N9qo8uLOickgx2ZMRZoMye", "$2b$10$N9qo8uLOickgx2ZMRZoMye"},
		{"dots within", "a...b..", "a...b.."},
		{"Bearer as its beginning", "bearer_x", "bearer_x"},
		{"a path", "/a/b", "/a/b"},
		{"as long as can be", strings.Repeat("y", maxTokenBytes), strings.Repeat("y", maxTokenBytes)},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := writeFile(t, t.TempDir(), "token", test.text)
			t.Setenv("APPFIGURES_TEST_TOKEN", test.text)
			inline, err := parseToken(test.text)
			if err != nil {
				t.Fatal(err)
			}
			for _, source := range []Source{FileSource(path), EnvSource("APPFIGURES_TEST_TOKEN"), InlineSource(inline)} {
				secret, err := source.Read()
				if err != nil || secret.Reveal() != test.want {
					t.Errorf("%s: got %q and error %v, want %q", source, secret.Reveal(), err, test.want)
				}
			}
		})
	}
}

func TestPasteErrors(t *testing.T) {
	const (
		empty      = "is empty; it must contain the token"
		leading    = "starts with white space; it must start with the token"
		within     = "contains white space; put one token there and nothing else"
		bearer     = `starts with "Bearer"; put only the token there`
		quotes     = "has quotes around it; remove them"
		variable   = "is a variable, which is not expanded here; put the token itself there, or name the variable under token_env"
		assignment = "is an assignment, such as KEY=value; put only the value there, without quotes"
		json       = "is JSON; put only the token there"
		shortened  = "is shortened or masked; copy the whole token"
		separator  = "ends in a comma or semicolon; remove it"
		invisible  = "contains an invisible character; copy the token again, as plain text"
		character  = "contains a character that no token has; copy the token again, as plain text"
		holder     = "is a placeholder; replace it with the token"
		named      = "is the name of a variable, or a placeholder; put the token itself there, or name the variable under token_env"
		more       = "contains more than the token, which starts with pat_; put only that there"
		end        = "ends in a character that no token ends in; copy the token again"
		utf16      = "is UTF-16, or binary; save it as plain text (UTF-8)"
	)
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", empty},
		{"white space", " \n", empty},
		{"leading space", " pat_secret", leading},
		{"leading line feed", "\npat_secret", leading},
		{"two words", "pat_secret pat_secret", within},
		{"two lines", "pat_secret\npat_secret\n", within},
		{"header injection", "pat_secret\r\nX-Evil: 1", within},
		{"vertical tab", "pat_secret\vx", within},
		{"Bearer", "bearer pat_secret", bearer},
		{"a header", "Authorization: Bearer pat_secret", bearer},
		{"quotes", `"pat_secret"`, quotes},
		{"single quotes", "'pat_secret'", quotes},
		{"a quote lost", "pat_secret'", quotes},
		{"typographic quotes", "“pat_secret”", quotes},
		{"an assignment", "APPFIGURES_API_KEY=pat_secret", assignment},
		{"an assignment with spaces", "token = pat_secret", assignment},
		{"an assignment of a quoted token", `APPFIGURES_API_KEY="pat_secret`, assignment},
		{"a quoted assignment", `APPFIGURES_API_KEY="pat_secret"`, assignment},
		{"an export", "export KEY=pat_secret", assignment},
		{"a line of YAML", "token: pat_secret", assignment},
		{"a variable", "${TOKEN}", variable},
		{"a variable without braces", "$TOKEN", variable},
		{"a variable within", "pat_${TOKEN}", variable},
		{"a command", "$(cat token)", variable},
		{"a variable of Windows", "%TOKEN%", variable},
		{"a template", "{{ token }}", variable},
		{"the example's", "pat_replace_this_by_your_token\n", "is the placeholder of the example; replace it with the token"},
		{"a placeholder", "<your-token>", "is in angle brackets, as placeholders and HTML are; put only the token there"},
		{"JSON", `{"token":"pat_secret"}`, json},
		{"JSON of several lines", "{\n  \"token\": \"pat_secret\"\n}\n", json},
		{"a JSON list", `["pat_secret"]`, json},
		{"a URL", "https://api.appfigures.com/v2/?token=x", "is a URL; put only the token there"},
		{"shortened", "pat_sec...", shortened},
		{"shortened by one character", "pat_…cret", shortened},
		{"masked", "pat_****cret", shortened},
		{"a comma", "pat_secret,", separator},
		{"a semicolon", "pat_secret;", separator},
		{"escape", "pat_secret\x1b[0m", character},
		{"delete", "pat_secret\x7f", character},
		{"not ASCII", "pat_sécret", character},
		{"not UTF-8", "pat_secret\xff", character},
		{"no-break space", "pat_secret\u00a0", character},
		{"zero-width space", "pat_secret\u200b", invisible},
		{"byte order mark", "\ufeffpat_secret", "starts with a byte order mark; save it without one"},
		{"a word", "changeme", holder},
		{"a word after the beginning", "pat_your_token", holder},
		{"a file's path", "/run/secrets/reporting", "is a path; name the file under token_file"},
		{"encrypted", "ENC[AES256_GCM,data]", "is encrypted, or a reference to another store, which is not resolved here; put the token itself there"},
		{"YAML's null", "null", holder},
		{"the beginning only", "pat_", holder},
		{"an example", "pat_xxxxxxxx", holder},
		{"a variable's name", "APPFIGURES_API_KEY", named},
		{"a placeholder in capitals", "YOUR_TOKEN", holder},
		{"a key without a space", "APPFIGURES_API_KEY:pat_secret", more},
		{"brackets", "(pat_secret)", more},
		{"bold", "**pat_secret**", more},
		{"a comment", "#pat_secret", more},
		{"a path", "/run/secrets/pat_secret", more},
		{"twice", "pat_secretpat_secret", "contains two tokens; put one there"},
		{"a full stop", "pat_secret.", end},
		{"a colon", "pat_secret:", end},
		{"a backslash", `pat_secret\`, end},
		{"an escaped line feed", `pat_secret\n`, character},
		{"base64", "cGF0X3NlY3JldA==", "is base64; decode it, and put the token itself there"},
		{"UTF-16", "\xff\xfep\x00a\x00t\x00", utf16},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := writeFile(t, t.TempDir(), "token", test.text)
			wantError(t, FileSource(path), "the token file "+path+" "+test.want)
			if !strings.Contains(test.text, "\x00") { // which no variable can have
				t.Setenv("APPFIGURES_TEST_TOKEN", test.text)
				wantError(t, EnvSource("APPFIGURES_TEST_TOKEN"), "the environment variable APPFIGURES_TEST_TOKEN "+test.want)
			}
			if secret, err := parseToken(test.text); err == nil || err.Error() != test.want || secret.Reveal() != "" {
				t.Errorf("inline: got %q and error %v, want %s", secret.Reveal(), err, test.want)
			}
		})
	}
}

// FuzzToken checks that every token of RFC 6750 is accepted unless it ends in an ellipsis or is one of lookalikes, and that what is accepted can
// be sent in a header.
func FuzzToken(f *testing.F) {
	f.Add("cGF0/c2Vjc+mV0==")
	f.Add("pat_secret\r\nX-Evil: 1")
	f.Fuzz(func(t *testing.T, text string) {
		secret, err := parseToken(text)
		lookalike := slices.ContainsFunc(lookalikes, func(l pasteError) bool { return l.pattern.MatchString(text) })
		if bearerToken.MatchString(text) && !strings.HasSuffix(text, ellipsis) && !lookalike && (err != nil || secret.Reveal() != text) {
			t.Errorf("%q: got %q and error %v", text, secret.Reveal(), err)
		}
		if strings.ContainsFunc(secret.Reveal(), func(r rune) bool { return r < '!' || r > '~' }) || (err == nil) == (secret.Reveal() == "") {
			t.Errorf("%q: got %q and error %v", text, secret.Reveal(), err)
		}
	})
}

func allPrintable() string {
	var b strings.Builder
	for c := '!'; c <= '~'; c++ {
		b.WriteRune(c)
	}
	return b.String()
}
