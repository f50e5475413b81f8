package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFingerprint(t *testing.T) {
	dir := t.TempDir()
	path := writeFile(t, dir, "config.yml", "token_dir: tokens\n")
	writeFile(t, dir, "tokens/etl", "pat_1")
	seen := make(map[string]string)
	for _, step := range []struct {
		name    string
		do      func()
		changes bool
	}{
		{"first look", func() {}, true},
		{"nothing", func() {}, false},
		{"a secret rotates", func() { writeFile(t, dir, "tokens/etl", "pat_2") }, false},
		{"a token comes", func() { writeFile(t, dir, "tokens/reporting", "pat_3") }, true},
		{"a dot file comes", func() { writeFile(t, dir, "tokens/.tmp", "x") }, false},
		{"a token goes", func() { _ = os.Remove(filepath.Join(dir, "tokens/etl")) }, true},
		{"the directory goes", func() { _ = os.RemoveAll(filepath.Join(dir, "tokens")) }, true},
		{"the file changes", func() { writeFile(t, dir, "config.yml", "token_dir: tokens # all\n") }, true},
		{"the file breaks", func() { writeFile(t, dir, "config.yml", "token_dir: [\n") }, true},
		{"the file names a CA that is missing", func() { writeFile(t, dir, "config.yml", oneToken+"tls_config: {ca_file: ca.pem}\n") }, true},
		{"the CA comes", func() { writeFile(t, dir, "ca.pem", "old") }, true},
		{"the CA rotates", func() { writeFile(t, dir, "ca.pem", "new") }, true},
		{"the file is mended", func() { writeFile(t, dir, "config.yml", oneToken) }, true},
	} {
		step.do()
		got, err := fingerprint(path)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		earlier, known := seen[got]
		if known == step.changes {
			t.Errorf("%s: got a new fingerprint: %t, want %t (seen at %q)", step.name, !known, step.changes, earlier)
		}
		seen[got] = step.name
	}
	if _, err := fingerprint(dir); err == nil {
		t.Error("a directory has a fingerprint")
	}
}
