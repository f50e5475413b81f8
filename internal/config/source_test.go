package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSourceReadsTokens(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"bare", "pat_x", "pat_x"},
		{"line feed", "pat_x\n", "pat_x"},
		{"Windows line", "pat_x\r\n", "pat_x"},
		{"all white space", "pat_x \t\r\n\v\f\n", "pat_x"},
		{"every printable character", "x" + allPrintable() + "x", "x" + allPrintable() + "x"},
		{"base64", "cGF0/c2Vjc+mV0==", "cGF0/c2Vjc+mV0=="},
		{"base64 that starts like an assignment", "cGF0c2VjcmV0=", "cGF0c2VjcmV0="},
		{"dots, dashes and tildes", "pat_a.b-c~d/e+f", "pat_a.b-c~d/e+f"},
		{"as long as can be", strings.Repeat("x", maxTokenBytes), strings.Repeat("x", maxTokenBytes)},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := writeFile(t, t.TempDir(), "token", test.text)
			t.Setenv("APPFIGURES_TEST_TOKEN", test.text)
			for _, source := range []Source{FileSource(path), EnvSource("APPFIGURES_TEST_TOKEN"), InlineSource(NewSecret(test.text))} {
				secret, err := source.Read()
				if err != nil || secret.Reveal() != test.want {
					t.Errorf("%s: got %q and error %v, want %q", source, secret.Reveal(), err, test.want)
				}
			}
		})
	}
}

func TestSourceRefusesWhatNoHeaderCanHold(t *testing.T) {
	const (
		empty     = "is empty; it must hold the token"
		leading   = "starts with white space; it must start with the token"
		within    = "contains white space; put one token there and nothing else"
		quotes    = "has quotes around it; remove them"
		character = "holds a character that no token has; copy the token again, as plain text"
	)
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", empty},
		{"white space", " \n", empty},
		{"leading space", " pat_secret", leading},
		{"leading line feed", "\npat_secret", leading},
		{"two words", "pat_secret pat_secret", within},
		{"Bearer", "bearer pat_secret", `starts with "Bearer"; put only the token there`},
		{"quotes", `"pat_secret"`, quotes},
		{"single quotes", "'pat_secret'", quotes},
		{"an assignment", "APPFIGURES_API_KEY=pat_secret", "is an assignment, KEY=value; put only the value there"},
		{"an export", "export KEY=pat_secret", "is an assignment, KEY=value; put only the value there"},
		{"a variable", "${TOKEN}", "is the name of a variable, not its value; put the token itself there, or use token_env"},
		{"a placeholder", "<your-token>", "is a placeholder in angle brackets; replace it with the token"},
		{"JSON", `{"token":"pat_secret"}`, "is JSON; put only the token there"},
		{"a URL", "https://api.appfigures.com/v2/?token=x", "is a URL; put only the token there"},
		{"shortened", "pat_sec...", "ends in an ellipsis, so it is shortened; copy the whole token"},
		{"a comma", "pat_secret,", "ends in a comma or semicolon; remove it"},
		{"two lines", "pat_secret\npat_secret\n", within},
		{"header injection", "pat_secret\r\nX-Evil: 1", within},
		{"escape", "pat_secret\x1b[0m", character},
		{"delete", "pat_secret\x7f", character},
		{"not ASCII", "pat_sécret", character},
		{"not UTF-8", "pat_secret\xff", character},
		{"no-break space", "pat_secret\u00a0", character},
		{"byte order mark", "\ufeffpat_secret", "starts with a byte order mark; save it without one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := writeFile(t, t.TempDir(), "token", test.text)
			t.Setenv("APPFIGURES_TEST_TOKEN", test.text)
			wantError(t, FileSource(path), "the token file "+path+" "+test.want)
			wantError(t, EnvSource("APPFIGURES_TEST_TOKEN"), "the environment variable APPFIGURES_TEST_TOKEN "+test.want)
			wantError(t, InlineSource(NewSecret(test.text)), "the token in the configuration "+test.want)
		})
	}
}

func TestSourceSaysWhatIsWrongWithAFile(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	writeFile(t, dir, "large", strings.Repeat("x", maxTokenBytes+1))
	writeFile(t, dir, "file", "pat_secret")
	for name, target := range map[string]string{"nowhere": "gone", "itself": "itself", "link": "..data/token"} {
		if err := os.Symlink(target, path(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(path("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	const missing = "no such file; create it, or correct the path"
	const irregular = "not a regular file; give the path of one"
	for _, test := range []struct {
		name   string
		source Source
		want   string
	}{
		{"missing", FileSource(path("missing")), "token file " + path("missing") + ": " + missing},
		{"dangling link", FileSource(path("nowhere")), "token file " + path("nowhere") + ": " + missing},
		{"link to itself", FileSource(path("itself")), "token file " + path("itself") + ": too many levels of symbolic links"},
		{"directory", FileSource(dir), "token file " + dir + ": " + irregular},
		{"pipe", FileSource(path("pipe")), "token file " + path("pipe") + ": " + irregular},
		{"device", FileSource("/dev/zero"), "token file /dev/zero: " + irregular},
		{"too large", FileSource(path("large")), "token file " + path("large") + ": larger than 64 KiB; the file must hold one token and nothing else"},
		{"below a file", FileSource(path("file/token")), "token file " + path("file/token") + ": not a directory"},
		{"a token as a bare word", fileSource(path("pat_secret"), "pat_secret"), "token file: " + missing},
		{"a token with a slash", fileSource(path("pat/secret"), "pat/secret"), "token file: " + missing},
		{"a token that starts with a slash", FileSource("/pat_secret"), "token file: " + missing},
		{"NUL", FileSource(path("pat\x00")), "token file: invalid argument"},
	} {
		t.Run(test.name, func(t *testing.T) { wantError(t, test.source, "reading the "+test.want) })
	}
	wantError(t, EnvSource("APPFIGURES_TEST_UNSET"), "the environment variable APPFIGURES_TEST_UNSET is not set; set it for the exporter's process")
}

func TestExplainFileError(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{&fs.PathError{Op: "open", Path: "pat_secret", Err: syscall.EACCES}, "permission denied; make it readable by the exporter's user (uid 65532 in the image)"},
		{&fs.PathError{Op: "read", Path: "pat_secret", Err: syscall.EIO}, "input/output error"},
		{errors.New("pat_secret"), "cannot be read"},
	} {
		if got := explainFileError(test.err).Error(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestSourceFollowsRotation(t *testing.T) {
	dir := t.TempDir()
	source := FileSource(writeFile(t, dir, "token", "pat_old\n"))
	first, err := source.Read()
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, "token", "pat_new\n")
	second, err := source.Read()
	if err != nil || first.Equal(second) || second.Reveal() != "pat_new" {
		t.Errorf("got %q and error %v after %q, want pat_new", second.Reveal(), err, first.Reveal())
	}
}

func TestSourceEqual(t *testing.T) {
	sources := []Source{
		FileSource("a"), FileSource("b"), EnvSource("a"), EnvSource("b"), InlineSource(NewSecret("a")), InlineSource(NewSecret("b")),
	}
	again := []Source{
		FileSource("a"), FileSource("b"), EnvSource("a"), EnvSource("b"), InlineSource(NewSecret("a")), InlineSource(NewSecret("b")),
	}
	for i, source := range sources {
		for j, other := range again {
			if source.Equal(other) != (i == j) {
				t.Errorf("%d.Equal(%d) is %t", i, j, source.Equal(other))
			}
		}
	}
}

func wantError(t *testing.T, source Source, want string) {
	t.Helper()
	secret, err := source.Read()
	if err == nil || err.Error() != want {
		t.Errorf("got error %q, want %q", fmt.Sprint(err), want)
	}
	if secret.Reveal() != "" {
		t.Error("got a secret along with an error")
	}
}

func allPrintable() string {
	var b strings.Builder
	for c := '!'; c <= '~'; c++ {
		b.WriteRune(c)
	}
	return b.String()
}

// writeFile writes a file that only its owner can read, and returns its path.
func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
