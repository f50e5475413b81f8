//go:build unix

package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestSecretTexts checks which texts are tokens, and what is said about those that are not.
func TestSecretTexts(t *testing.T) {
	const (
		bearer     = ` starts with "Bearer"; put only the token there`
		holder     = " is a placeholder or a variable, which is not expanded here; put the token itself there"
		assignment = " is an assignment, such as KEY=value; put only the value there, without quotes"
		quotes     = " contains quotes; put only the token there, without them"
		character  = " contains white space, or an invisible or foreign character, such as a byte order mark; " +
			"put one token there and nothing else, as plain text"
	)
	for _, test := range []struct{ text, secret, err string }{
		{"pat_x \t\r\n\v\f\n", "pat_x", ""},
		{"cGF0c2VjcmV0=", "cGF0c2VjcmV0=", ""}, // base64 that starts like an assignment
		{"$2b$10$N9qo8uLOickgx2ZMRZoMye", "$2b$10$N9qo8uLOickgx2ZMRZoMye", ""},
		{"", "", " is empty; it must contain the token"},
		{"Authorization: Bearer pat_secret", "", bearer},
		{"pat_replace_this_by_your_token\n", "", holder},
		{"${TOKEN}", "", holder},
		{"%TOKEN%", "", holder},
		{"{{ token }}", "", holder},
		{"APPFIGURES_API_KEY=pat_secret", "", assignment},
		{"export KEY=pat_secret", "", assignment},
		{"token: pat_secret", "", assignment},
		{`"pat_secret"`, "", quotes},
		{"“pat_secret”", "", quotes},
		{" pat_secret", "", character},
		{"pat_secret\r\nX-Evil: 1", "", character},
		{"pat_secret\xff", "", character},
		{"pat_secret\u200b", "", character},
		{"\ufeffpat_secret", "", character},
	} {
		path := writeFile(t, t.TempDir(), "token", test.text)
		wantReading(t, FileSource(path), test.secret, "the token file "+path, test.err)
		t.Setenv("APPFIGURES_TEST_TOKEN", test.text)
		wantReading(t, EnvSource("APPFIGURES_TEST_TOKEN"), test.secret, "the environment variable APPFIGURES_TEST_TOKEN", test.err)
	}
}

// wantReading reads a source, and wants a secret, or the error of its name and of what is wrong.
func wantReading(t *testing.T, source Source, secret, name, problem string) {
	t.Helper()
	got, err := source.Read()
	if got.Reveal() != secret || (err == nil) != (problem == "") || err != nil && err.Error() != name+problem {
		t.Errorf("got %q and error %v, want %q or %s%s", got.Reveal(), err, secret, name, problem)
	}
}

// TestUnreadableFiles checks that neither secrets nor configurations are read from what is not a file, or hang on it.
func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	writeFile(t, dir, "large", strings.Repeat("x", maxFileBytes+1))
	writeFile(t, dir, "file", "pat_secret")
	if err := os.Symlink("itself", path("itself")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		path("missing"):    "no such file or directory; create it, or correct the path",
		path("itself"):     "too many levels of symbolic links",
		path("pipe"):       "not a regular file; give the path of one",
		path("large"):      "larger than 4 MiB; give the path of another file",
		path("file/token"): "not a directory",
		dir: "a directory; give the path of a file (if Docker made the directory, because the file to mount was missing, " +
			"create the file on the host, then create the container again)",
	} {
		wantReading(t, FileSource(name), "", "reading the token file "+name, ": "+want)
		_, loadErr := Find(name).Load()
		_, lookErr := Find(name).Fingerprint()
		for _, err := range []error{loadErr, lookErr} {
			if err == nil || err.Error() != "reading the configuration "+name+": "+want {
				t.Errorf("%s: got %v, want %s", name, err, want)
			}
		}
	}
}

// TestReader checks that files that hang delay no reading beyond the timeout and spoil no other, cost one read each
// however often they are asked for, and are read again once that has ended.
func TestReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var hanging atomic.Int64
		defer func(read func(Source) (Secret, error)) { readSource = read }(readSource)
		readSource = func(s Source) (Secret, error) {
			if strings.HasPrefix(s.text.Reveal(), "hangs") {
				hanging.Add(1)
				<-release
			}
			return NewSecret("pat_" + s.text.Reveal()), nil
		}
		tokens := []Token{{Source: FileSource("a")}, {Source: InlineSource(NewSecret("pat_b"))}}
		for i := range 200 { // each of 100 files is two tokens
			tokens = append(tokens, Token{Source: FileSource(fmt.Sprintf("hangs%d", i%100))})
		}
		tokens = append(tokens, Token{Source: FileSource("c")})
		var r Reader
		for range 3 {
			start := time.Now()
			readings := r.Read(tokens)
			if took := time.Since(start); took != ReadTimeout {
				t.Errorf("took %s, want %s", took, ReadTimeout)
			}
			for i, want := range map[int]string{0: "pat_a", 1: "pat_b", 2: "", 201: "", 202: "pat_c"} {
				if got := readings[i]; got.Secret.Reveal() != want || errors.Is(got.Err, errHangs) != (want == "") {
					t.Errorf("token %d: got %q and error %v, want %q", i, got.Secret.Reveal(), got.Err, want)
				}
			}
		}
		if n := hanging.Load(); n != 100 {
			t.Errorf("%d reads hang, want 100", n)
		}
		close(release)
		synctest.Wait()
		if got := r.Read(tokens)[2]; got.Err != nil || got.Secret.Reveal() != "pat_hangs0" || hanging.Load() <= 100 {
			t.Errorf("afterwards: got %q, error %v, %d reads", got.Secret.Reveal(), got.Err, hanging.Load())
		}
	})
}

// TestDigest checks that digests differ by secret, source and salt, and contain nothing of a secret.
func TestDigest(t *testing.T) {
	secret := NewSecret(sentinel)
	seen := make(map[string]bool)
	for _, salt := range [][]byte{[]byte("one"), []byte("two"), nil} {
		for _, of := range []interface{ Digest([]byte) string }{
			secret, Secret{}, InlineSource(secret), FileSource(sentinel), EnvSource(sentinel), FileSource("a"), EnvSource("a"),
		} {
			digest := of.Digest(salt)
			if digest != of.Digest(salt) || seen[digest] || leaks(digest) || len(digest) > 20 {
				t.Errorf("%v: digest %q with salt %q", of, digest, salt)
			}
			seen[digest] = true
		}
	}
}
