package config

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestSecretsAreCompared checks what a load reports about a secret of two tokens, and about one that metrics publish.
func TestSecretsAreCompared(t *testing.T) {
	t.Setenv("APPFIGURES_TEST_ONE", "public")
	t.Setenv("APPFIGURES_TEST_TWO", "pat_two")
	dir := t.TempDir()
	writeFile(t, dir, "one", "public\n")
	const same = " have the same secret, and each of them uses its account's quota; keep one of them"
	const variable = "the token in the environment variable APPFIGURES_TEST_ONE is also a name, account or label, which metrics publish; " +
		"rename that, and replace the token"
	for _, test := range []struct{ yaml, warning, err string }{
		{"tokens: [{name: a, token_env: APPFIGURES_TEST_ONE}, {name: b, token_env: APPFIGURES_TEST_TWO}]\n", "", ""},
		{"tokens:\n  - {name: a, token_file: one}\n  - {name: b, account: x, token_env: APPFIGURES_TEST_ONE}\n",
			`:2: tokens[0].token_file: 2 tokens ("a", "b")` + same, ""},
		{"tokens: [{name: public, token_env: APPFIGURES_TEST_ONE}]\n", "", ":1: tokens[0].token_env: " + variable},
		{"tokens: [{name: public, token_env: APPFIGURES_TEST_TWO}, {name: b, token_env: APPFIGURES_TEST_ONE}]\n", "",
			":1: tokens[1].token_env: " + variable},
		{"tokens: [{name: a, token_env: APPFIGURES_TEST_ONE, labels: {team: public}}]\n", "", ":1: tokens[0].token_env: " + variable},
		{"tokens: [{name: a, token_env: APPFIGURES_TEST_ONE, labels: {public: x}}]\n", "", ":1: tokens[0].token_env: " + variable},
		{"tokens: [{name: a, token_file: ./one, account: public}]\n", "", ":1: tokens[0].token_file: the token in the token file " + dir + "/one is also "},
	} {
		path := writeFile(t, dir, "config.yml", test.yaml)
		config, err := loadFile(path)
		if test.err != "" {
			if err == nil || !strings.HasPrefix(err.Error(), path+test.err) || strings.Contains(err.Error(), "public ") {
				t.Errorf("%s: error %v, want %q", test.yaml, err, test.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.yaml, err)
		} else if got := strings.Join(config.Warnings, "\n"); strings.TrimPrefix(got, path) != test.warning {
			t.Errorf("%s: warnings %q, want %q", test.yaml, got, test.warning)
		}
	}
}

// TestRotationToAPublishedSecret checks that a later read does not return a secret that metrics publish.
func TestRotationToAPublishedSecret(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "tokens/public", "pat_x\n")
	config, err := loadFile(writeFile(t, dir, "config.yml", "token_dir: tokens\n"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, "tokens/public", "public\n")
	secret, err := config.Tokens[0].Source.Read()
	if !errors.Is(err, errPublished) || secret.Reveal() != "" {
		t.Errorf("got %q and error %v", secret.Reveal(), err)
	}
}

// TestHungSecretsDoNotBlock checks that sources that hang delay a load by no more than its timeout, and that they take
// no more goroutines than there are slots, however often it is repeated.
func TestHungSecretsDoNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer func(slots chan struct{}) { readSlots = slots }(readSlots)
		readSlots = make(chan struct{}, 10) // one of this bubble: only that lets virtual time pass
		tokens := []Token{{Source: EnvSource("PATH")}}
		for range 2 * cap(readSlots) {
			tokens = append(tokens, Token{Source: FileSource("hangs")})
		}
		release := make(chan struct{})
		var hung atomic.Int64
		read := func(s Source) reading {
			if s.kind == fromFile {
				hung.Add(1)
				<-release
			}
			return reading{secret: NewSecret("pat_x")}
		}
		start := time.Now()
		readings := readAll(tokens, loadTimeout, read)
		if readings[0].err != nil || !errors.Is(readings[1].err, errNotRead) || time.Since(start) != loadTimeout {
			t.Errorf("errors %v and %v after %s", readings[0].err, readings[1].err, time.Since(start))
		}
		readAll(tokens, loadTimeout, read)
		synctest.Wait()
		if n := hung.Load(); n > int64(cap(readSlots)) {
			t.Errorf("%d goroutines hang", n)
		}
		close(release)
		synctest.Wait()
	})
}
