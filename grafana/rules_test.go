package grafana

import (
	"strings"
	"testing"
)

func TestCondition(t *testing.T) {
	for _, test := range []struct {
		expr string
		want Condition
		err  string // a part of it
	}{
		{"up < 1", Condition{"up", "<", 1}, ""},
		{"a:b:c == 3\n", Condition{"a:b:c", "==", 3}, ""},
		{"sum by (job) (a and b)\n/ c\n> 0.9", Condition{"sum by (job) (a and b)\n/ c", ">", 0.9}, ""},
		{`a{job="x or y", or="z"} * 2 > 1`, Condition{`a{job="x or y", or="z"} * 2`, ">", 1}, ""},
		{"(a >= bool 1) > 0", Condition{"(a >= bool 1)", ">", 0}, ""},
		{"(a unless b) - time() < 1209600", Condition{"(a unless b) - time()", "<", 1209600}, ""},
		{"up", Condition{}, "must end in one comparison"},
		{"a > b", Condition{}, "must end in one comparison"},
		{"a >= 1", Condition{}, "must end in one comparison"}, // Grafana 11 has none such
		{"a or b > 1", Condition{}, `"or" binds less tightly`},
		{"a == bool 1 > 0", Condition{}, `"==" binds less tightly`},
		{"(a) and on (job) (b) > 1", Condition{}, `"and" binds less tightly`},
		{"a > 1.2.3", Condition{}, "threshold"},
	} {
		got, err := Rule{Alert: "Test", Expr: test.expr}.Condition()
		if test.err == "" && (err != nil || got != test.want) {
			t.Errorf("%s:\ngot  %+v, %v\nwant %+v", test.expr, got, err, test.want)
		}
		if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%s:\ngot the error %v\nwant one with %q", test.expr, err, test.err)
		}
	}
}

func TestParseRefusesUnknownKeys(t *testing.T) {
	for _, key := range []string{"fore: 3m", "record: a:b:c"} {
		_, err := Parse(strings.NewReader("groups:\n  - name: a\n    rules:\n      - alert: A\n        " + key + "\n"))
		if name, _, _ := strings.Cut(key, ":"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s gives the error %v", key, err)
		}
	}
}
