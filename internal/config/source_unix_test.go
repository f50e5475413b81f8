//go:build unix

package config

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

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
		{"too large", FileSource(path("large")), "token file " + path("large") + ": larger than 64 KiB; the file must contain one token and nothing else"},
		{"below a file", FileSource(path("file/token")), "token file " + path("file/token") + ": not a directory"},
		{"a token as a bare word", fileSource(path("pat_secret"), "pat_secret"), "token file: " + missing},
		{"a token with a slash", fileSource(path("pat/Secret"), "pat/Secret"), "token file: " + missing},
		{"a relative path", fileSource(path("secrets/etl"), "secrets/etl"), "token file " + path("secrets/etl") + ": " + missing},
		{"a text file", fileSource(path("etl-1.txt"), "etl-1.txt"), "token file " + path("etl-1.txt") + ": " + missing},
		{"a token that starts with a slash", FileSource("/pat_secret"), "token file: " + missing},
		{"a token in a directory that exists", FileSource(path("pat_secret")), "token file: " + missing},
		{"a token in a directory that is missing", FileSource("/nowhere/pat_secret"), "token file: " + missing},
		{"a missing directory", FileSource("/nowhere/token"), "token file /nowhere/token: " + missing},
		{"a missing directory, relative", fileSource(path("gone/token"), "./gone/token"), "token file " + path("gone/token") + ": " + missing},
		{"NUL", FileSource(path("pat\x00")), "token file: invalid argument"},
	} {
		t.Run(test.name, func(t *testing.T) { wantError(t, test.source, "reading the "+test.want) })
	}
	for variable, name := range map[string]string{
		"APPFIGURES_TEST_UNSET": "environment variable APPFIGURES_TEST_UNSET",
		"appfigures1":           "token's environment variable",
		"PAT_SECRET":            "token's environment variable",
	} {
		wantError(t, EnvSource(variable), "the "+name+" is not set; set it for the exporter's process")
	}
}
