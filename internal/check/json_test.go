package check

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
)

func TestJSON(t *testing.T) {
	golden(t, "everything.json", renderJSON(examine(everything())))
}

func TestJSONHasAllKeysOfTheContractAndNoOther(t *testing.T) {
	const want = `{"tokens":[{"name":"<a> & b","account":"acme","result":"rejected","valid":false,"http_status":401,` +
		`"duration_seconds":0.012,"message":"no","quota":{"used":125,"limit":1000},"expires_at":null}]}`
	got := renderJSON(examine(at(noon, probed("<a> & b", probe.Rejected, 401, "no"))))
	var compact strings.Builder
	for line := range strings.Lines(got) {
		compact.WriteString(strings.Replace(strings.TrimSpace(line), `": `, `":`, 1))
	}
	if compact.String() != want {
		t.Errorf("got  %s\nwant %s", compact.String(), want)
	}
	if !strings.HasSuffix(got, "}\n") || strings.HasSuffix(got, "\n\n") {
		t.Errorf("does not end in one newline: %q", got)
	}
}

func TestJSONEscapesWhatTerminalsObey(t *testing.T) {
	const hostile = "\x1b[31m\u009b31m\u202e\x7f\u2028\U000E0001é漢😀"
	document := renderJSON(examine(at(noon, probed(hostile, probe.Rejected, 401, hostile))))
	for _, r := range document {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("the document holds %U", r)
		}
	}
	if !strings.Contains(document, "é漢😀") {
		t.Errorf("the document escapes what can be printed: %s", document)
	}
	var report jsonReport
	if err := json.Unmarshal([]byte(document), &report); err != nil {
		t.Fatal(err)
	}
	if got := report.Tokens[0]; got.Name != hostile || got.Message != hostile {
		t.Errorf("read back as %q and %q, want %q", got.Name, got.Message, hostile)
	}
}
