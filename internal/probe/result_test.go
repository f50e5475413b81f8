package probe_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// maxRunes keeps a sentence within two lines of an 80 column terminal.
const maxRunes = 120

func TestResultSentences(t *testing.T) {
	seen := make(map[string]probe.Result)
	for _, result := range probe.Results() {
		for kind, sentence := range map[string]string{
			"Meaning": result.Meaning(),
			"Advice":  result.Advice(),
		} {
			if first, _ := utf8.DecodeRuneInString(sentence); !unicode.IsUpper(first) || !strings.HasSuffix(sentence, ".") {
				t.Errorf("%s(%v) = %q, want a sentence", kind, result, sentence)
			}
			if n := utf8.RuneCountInString(sentence); n > maxRunes {
				t.Errorf("%s(%v) has %d characters, want at most %d", kind, result, n, maxRunes)
			}
			if strings.Contains(sentence, ". ") {
				t.Errorf("%s(%v) = %q, want one sentence", kind, result, sentence)
			}
			if other, ok := seen[sentence]; ok {
				t.Errorf("%s(%v) says the same as for %v: %q", kind, result, other, sentence)
			}
			seen[sentence] = result
		}
	}
}
