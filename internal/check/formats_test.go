package check

import (
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

func TestNagios(t *testing.T) {
	_, stdout, _ := run(t, withoutWords(options(everything(), Nagios)))
	golden(t, "nagios.txt", stdout)
	o := options(at(valid("a"), valid("b")), Nagios)
	want := "APPFIGURES OK - 2 tokens valid | denied=0;;0;0;2 unknown=0;;;0;2 warning=0;0;;0;2 valid=2;;;0;2 " +
		"'acme quota used'=125;900;;0;1000\n" +
		"ACCOUNT: acme: Probes used 0 of 250 requests in the last 24 hours; each token is probed every 6 min or sooner.\n" +
		"Nothing was probed.\n"
	o.Tokens, o.Note = []string{"a", "b"}, "Nothing was probed."
	if _, got, _ := run(t, o); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	// The guidelines: 'label'=value[UOM];[warn];[crit];[min];[max]
	data := strings.Split(strings.SplitN(stdout, "\n", 2)[0], " | ")
	if !regexp.MustCompile(`^(('[^'=]+'|[^' =]+)=\d+;\d*;\d*;\d*;\d*( |$))+$`).MatchString(data[1]) {
		t.Errorf("malformed performance data: %s", data[1])
	}
}

func TestJSON(t *testing.T) {
	o := options(at(token("<a> & b", probe.Rejected, 401, "no")), JSON)
	o.Tokens = []string{"<a> & b"}
	_, got, _ := run(t, withoutWords(o))
	golden(t, "one.json", got)
	if !strings.HasSuffix(got, "}\n") || strings.HasSuffix(got, "\n\n") {
		t.Errorf("does not end in one newline: %q", got)
	}
}

func TestJSONQuiet(t *testing.T) {
	o := options(at(valid("good")), JSON)
	o.Quiet = true
	if _, got, _ := run(t, o); !strings.Contains(got, `"tokens": []`) || !strings.Contains(got, `"state": "valid"`) {
		t.Errorf("want no valid token: %s", got)
	}
}

func TestJSONEscapes(t *testing.T) {
	const hostile = "\x1b[31m\u009b31m\u202e\x7f\u2028\U000E0001é漢😀"
	_, document, _ := run(t, options(at(token(hostile, probe.Rejected, 401, hostile)), JSON)) // see TestHostileText
	if !strings.Contains(document, "é漢😀") {
		t.Errorf("the document escapes what can be printed: %s", document)
	}
	var report status.Report
	if err := json.Unmarshal([]byte(document), &report); err != nil {
		t.Fatal(err)
	}
	if got := report.Tokens[0]; got.Name != hostile || *got.Message != hostile {
		t.Errorf("read back as %q and %q, want %q", got.Name, *got.Message, hostile)
	}
}

func TestPrometheus(t *testing.T) {
	o := options(at(token("t", probe.Rejected, 401, "")), Prometheus)
	o.Exposition = func(w io.Writer) error { _, err := io.WriteString(w, "up 1\n"); return err }
	if code, stdout, stderr := run(t, o); code != Critical || stdout != "up 1\n" || stderr != "" {
		t.Errorf("exit code %d, %q and %q", code, stdout, stderr)
	}
}
