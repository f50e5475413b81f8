package config

import (
	"errors"
	"strings"
	"testing"
)

// FuzzParse checks that no file makes Parse panic, that it returns either a configuration or errors of the promised
// form, and that no error quotes what the file holds: not the sentinel, which stands where the fuzzer wrote a $.
func FuzzParse(f *testing.F) {
	for _, test := range append(badCases(f), unprintable...) {
		f.Add(test.yaml)
	}
	f.Add(readFile(f, examplePath))
	for _, place := range places {
		f.Add(place.yaml)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "SENTINEL") {
			return
		}
		text = strings.ReplaceAll(text, "$", sentinel)
		config, err := Parse("config.yml", strings.NewReader(text), "testdata")
		if (config == nil) == (err == nil) {
			t.Fatalf("got configuration %v and error %v", config, err)
		}
		if err != nil {
			checkErrorLines(t, err)
			return
		}
		checkValid(t, config)
	})
}

func checkErrorLines(t *testing.T, err error) {
	t.Helper()
	if leaks(err.Error()) {
		t.Errorf("the error is %v", err)
	}
	joined, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err)
	if !ok {
		t.Fatalf("the error is one %T", err)
	}
	for _, err := range joined.Unwrap() {
		if line := err.Error(); !strings.HasPrefix(line, "config.yml:") || strings.ContainsAny(line, "\r\n") {
			t.Errorf("a line of the error is %q", line)
		}
	}
}

// checkValid checks what others rely on without a check of their own.
func checkValid(t *testing.T, c *Config) {
	t.Helper()
	if c.APIURL == nil || c.APIURL.Host == "" || !strings.HasSuffix(c.APIURL.Path, "/") || c.Timeout <= 0 || c.MaxConcurrency < 1 ||
		!(c.Pacing.QuotaShare > 0 && c.Pacing.QuotaShare <= 1) || c.Pacing.MinInterval < 0 ||
		c.Pacing.AssumedDailyLimit < 1 || !(c.Pacing.Reserve >= 0 && c.Pacing.Reserve < 1) || len(c.Tokens) == 0 {
		t.Errorf("not valid: %s", show(*c))
	}
	public := false
	names := make(map[string]bool)
	for _, token := range c.Tokens {
		if token.Name == "" || token.Account == "" || names[token.Name] || checkPublished(token.Name) != "" || checkPublished(token.Account) != "" {
			t.Errorf("not valid: token %v", token)
		}
		if token.Source.text.Reveal() == "" {
			t.Errorf("token %v has no source", token)
		}
		names[token.Name] = true
		public = public || leaks(token.Name)
	}
	for _, warning := range c.Warnings {
		if leaks(warning) && !public {
			t.Errorf("a warning is %q", warning)
		}
	}
}
