package probe_test

import (
	"encoding/json"
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

// TestNames checks that results and phases have distinct names, as labels need, and that those of results, which the
// state file has, are read back.
func TestNames(t *testing.T) {
	names := make(map[string]bool)
	for _, result := range probe.Results() {
		names[result.String()] = true
		text, err := json.Marshal(result)
		var back probe.Result
		if err != nil || json.Unmarshal(text, &back) != nil || back != result {
			t.Errorf("%v is written as %s, %v, and read as %v", result, text, err, back)
		}
		if result.Verdict() != probe.VerdictUnknown && !result.Answered() {
			t.Errorf("%v decides, but the API did not answer", result)
		}
	}
	for _, phase := range probe.AllPhases() {
		names[phase.String()] = true
	}
	if len(names) != probe.NumResults+len(probe.Phases{}) {
		t.Errorf("results and phases have only these names: %v", names)
	}
	if err := json.Unmarshal([]byte(`"slow"`), new(probe.Result)); err == nil {
		t.Error("an unknown name is read")
	}
}
