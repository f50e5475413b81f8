package grafana

import (
	"reflect"
	"strings"
	"testing"
)

func TestEvaluator(t *testing.T) {
	for _, test := range []struct {
		condition Condition
		want      grafanaEvaluator
	}{
		{Condition{Operator: ">", Threshold: 0.9}, grafanaEvaluator{"gt", []float64{0.9}}},
		{Condition{Operator: "<", Threshold: 1}, grafanaEvaluator{"lt", []float64{1}}},
		{Condition{Operator: "==", Threshold: 2}, grafanaEvaluator{"within_range", []float64{1.5, 2.5}}},
	} {
		if got := test.condition.evaluator(); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%+v: got %+v, want %+v", test.condition, got, test.want)
		}
	}
}

func TestUID(t *testing.T) {
	for name, want := range map[string]string{
		"AppfiguresTokenRejected":              "appfigures-token-rejected",
		"AppfiguresAPIDown":                    "appfigures-api-down",
		"AppfiguresExporterConfigReloadFailed": "appfigures-exporter-config-reload-failed",
		"DownAPI":                              "down-api",
	} {
		if got := uid(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestPanelFor(t *testing.T) {
	link := func(url string) []Link { return []Link{{URL: url}} }
	dashboard := Dashboard{UID: "d", Panels: []Panel{
		{ID: 1, Links: link("#a")},
		{ID: 2, Panels: []Panel{{ID: 3, Links: link("#b")}}},
		{ID: 4, Links: link("#c")},
		{ID: 5, Links: link("#c")},
	}}
	for _, test := range []struct {
		runbook string
		want    int
		err     string
	}{
		{"#a", 1, ""},
		{"#b", 3, ""},
		{"#c", 0, "2 panels of the dashboard d link to #c"},
		{"#d", 0, "0 panels of the dashboard d link to #d"},
	} {
		got, err := dashboard.panelFor(test.runbook)
		if test.err == "" && (err != nil || got.ID != test.want) {
			t.Errorf("%s: got the panel %d, %v, want %d", test.runbook, got.ID, err, test.want)
		}
		if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%s: got the error %v, want one with %q", test.runbook, err, test.err)
		}
	}
}
