package chart

import (
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

// ruleFile is the content of a file of rules, and the spec of a PrometheusRule.
type ruleFile struct {
	Groups []struct {
		Name     string           `json:"name"`
		Interval string           `json:"interval"`
		Rules    []map[string]any `json:"rules"`
	} `json:"groups"`
}

// renderRules returns the spec of the chart's PrometheusRule.
func renderRules(t *testing.T, args ...string) ruleFile {
	t.Helper()
	args = append([]string{"--values=" + minimal, "--set=prometheusRule.enabled=true"}, args...)
	var object struct{ Spec ruleFile }
	unmarshal(t, render(t, args...)["PrometheusRule test-appfigures-exporter"], &object)
	return object.Spec
}

// shippedRules returns the rules of the repository.
func shippedRules(t *testing.T) ruleFile {
	t.Helper()
	var rules ruleFile
	unmarshal(t, harness.Read(t, harness.Root+"/prometheus/appfigures.rules.yml"), &rules)
	if len(rules.Groups) != 1 || len(rules.Groups[0].Rules) == 0 {
		t.Fatalf("the repository's rules are %v", rules)
	}
	return rules
}

func TestRules(t *testing.T) {
	rendered := renderRules(t)
	if want := shippedRules(t); !reflect.DeepEqual(rendered, want) {
		t.Errorf("the chart's rules are %v\nwant %v", rendered, want)
	}
	text, err := yaml.Marshal(rendered)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	harness.Write(t, file, string(text))
	harness.Output(t, exec.Command(harness.Promtool(t), "check", "rules", "--lint=all", "--lint-fatal", file))
}

// TestAlertValues checks what the values change about the shipped rules.
func TestAlertValues(t *testing.T) {
	for _, test := range []struct {
		name, args string
		change     func(alert string, labels map[string]any) (keep bool)
	}{
		{"a switch", "alerts.AppfiguresAPISlow=false", func(alert string, _ map[string]any) bool {
			return alert != "AppfiguresAPISlow"
		}},
		{"a severity", "alerts.AppfiguresAPIDown=critical", func(alert string, labels map[string]any) bool {
			if alert == "AppfiguresAPIDown" {
				labels["severity"] = "critical"
			}
			return true
		}},
		{"labels", "alertLabels.severity=page,prometheusRule.alertLabels.team=growth", func(_ string, labels map[string]any) bool {
			labels["severity"], labels["team"] = "page", "growth"
			return true
		}},
	} {
		want := shippedRules(t)
		want.Groups[0].Rules = slices.DeleteFunc(want.Groups[0].Rules, func(rule map[string]any) bool {
			return !test.change(rule["alert"].(string), rule["labels"].(map[string]any))
		})
		if got := renderRules(t, "--set=prometheusRule."+test.args); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the rules are %v\nwant %v", test.name, got, want)
		}
	}
}

func TestDashboard(t *testing.T) {
	const file = "appfigures-tokens.json"
	var object struct{ Data map[string]string }
	manifests := render(t, "--values="+minimal, "--set=dashboard.enabled=true")
	unmarshal(t, manifests["ConfigMap test-appfigures-exporter-dashboard"], &object)
	want := harness.Read(t, harness.Root+"/grafana/dashboards/"+file)
	if got := object.Data[file]; strings.TrimSpace(got) != strings.TrimSpace(want) || len(object.Data) != 1 {
		t.Errorf("the ConfigMap contains %v\nwant the dashboard", object.Data)
	}
}
