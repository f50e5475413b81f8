package grafana

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/appfigures-exporter/appfigures_exporter/collector"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// repository is where the files are, from here.
var repository = ".."

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// shipped returns the alerts of the repository.
func shipped(t *testing.T) []Rule {
	t.Helper()
	groups, err := ReadRules(repository)
	if err != nil {
		t.Fatal(err)
	}
	var alerts []Rule
	for _, g := range groups {
		alerts = append(alerts, g.Rules...)
	}
	return alerts
}

func TestGrafanaFileIsCurrent(t *testing.T) {
	want, err := GrafanaFile(repository)
	if err != nil {
		t.Fatal(err)
	}
	if readFile(t, GrafanaPath) != string(want) {
		t.Errorf("%s is not what %s makes: run go generate ./grafana", GrafanaPath, RulesPath)
	}
}

// TestAlertNames checks what users route and silence by.
func TestAlertNames(t *testing.T) {
	want := []string{
		"AppfiguresTokenRejected critical",
		"AppfiguresAccountLocked critical",
		"AppfiguresTokenForbidden warning",
		"AppfiguresTokenUnverified warning",
		"AppfiguresTokenStale warning",
		"AppfiguresTokenExpiringSoon warning",
		"AppfiguresTokenSecretUnavailable warning",
		"AppfiguresAPIDown warning",
		"AppfiguresAPISlow warning",
		"AppfiguresQuotaNearlyExhausted warning",
		"AppfiguresQuotaExhausted warning",
		"AppfiguresExporterDown critical",
		"AppfiguresExporterConfigReloadFailed warning",
	}
	var got []string
	for _, a := range shipped(t) {
		got = append(got, a.Alert+" "+a.Labels["severity"])
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestAlertsAreComplete(t *testing.T) {
	const runbooks = "https://github.com/appfigures-exporter/appfigures_exporter/blob/main/docs/runbooks.md#"
	for _, a := range shipped(t) {
		for _, key := range []string{"summary", "description", "runbook_url"} {
			if a.Annotations[key] == "" {
				t.Errorf("%s has no %s", a.Alert, key)
			}
		}
		if len(a.Annotations) != 3 || len(a.Labels) != 1 {
			t.Errorf("%s: an annotation or label of its own: %v %v", a.Alert, a.Annotations, a.Labels)
		}
		if !strings.HasSuffix(a.Annotations["description"], ".") {
			t.Errorf("%s: the description is not made of sentences", a.Alert)
		}
		if want := runbooks + strings.ToLower(a.Alert); a.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url %s\nwant %s", a.Alert, a.Annotations["runbook_url"], want)
		}
		if a.For == "" {
			t.Errorf("%s fires at the first sight", a.Alert)
		}
		if len(uid(a.Alert)) > 40 {
			t.Errorf("%s: Grafana refuses a UID as long as %s", a.Alert, uid(a.Alert))
		}
	}
}

// TestRunbooks checks that each alert has a runbook which answers the four questions, and that there is none of others.
func TestRunbooks(t *testing.T) {
	var got []string
	sections := strings.Split(readFile(t, "docs/runbooks.md"), "\n## ")
	for _, section := range sections[1:] {
		heading, text, _ := strings.Cut(section, "\n")
		if !strings.HasPrefix(heading, "Appfigures") {
			continue
		}
		got = append(got, heading)
		at := 0
		for _, question := range []string{"**Means.**", "**At stake.**", "**Find out.**", "**Do.**"} {
			i := strings.Index(text[at:], "\n"+question)
			if i < 0 {
				t.Errorf("%s: no paragraph %s in its place", heading, question)
				continue
			}
			at += i
		}
	}
	var want []string
	for _, a := range shipped(t) {
		want = append(want, a.Alert)
		row := "| [" + a.Alert + "](#" + strings.ToLower(a.Alert) + ") | " + a.Labels["severity"] + " |"
		if !strings.Contains(sections[0], row) {
			t.Errorf("the table has no row %s", row)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("runbooks for %q\nwant %q", got, want)
	}
}

// TestAlertsAreTested checks that the unit tests, which promtool runs, show each alert firing, and not firing.
func TestAlertsAreTested(t *testing.T) {
	var file struct {
		Tests []struct {
			AlertRuleTest []struct {
				AlertName string `yaml:"alertname"`
				ExpAlerts []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		} `yaml:"tests"`
	}
	if err := yaml.Unmarshal([]byte(readFile(t, "prometheus/appfigures.rules.test.yml")), &file); err != nil {
		t.Fatal(err)
	}
	fires, rests := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, alert := range test.AlertRuleTest {
			if len(alert.ExpAlerts) > 0 {
				fires[alert.AlertName] = true
			} else {
				rests[alert.AlertName] = true
			}
		}
	}
	for _, a := range shipped(t) {
		if !fires[a.Alert] || !rests[a.Alert] {
			t.Errorf("%s: tested to fire: %t, not to fire: %t", a.Alert, fires[a.Alert], rests[a.Alert])
		}
	}
}

// TestNamesExist checks that the metrics that rules, panels and runbooks name are in the collector's table or are the
// process's own, and that the results they name are in the closed set.
func TestNamesExist(t *testing.T) {
	known := map[string]bool{"appfigures_api_request_duration_seconds_bucket": true}
	for _, m := range collector.Metrics() {
		known[m.Name] = true
	}
	var results []string
	for _, r := range probe.Results() {
		results = append(results, r.String())
	}
	metricRE := regexp.MustCompile(`[a-z_:]*appfigures_[a-z_:]+[a-z]`)
	resultRE := regexp.MustCompile(`result=~?\\?"([a-z_|]+)\\?"`)
	notMetrics := map[string]bool{"appfigures_exporter": true} // the program
	for _, path := range []string{RulesPath, "prometheus/appfigures.rules.test.yml", DashboardPath, "docs/runbooks.md"} {
		text := readFile(t, path)
		names := metricRE.FindAllString(text, -1)
		if len(names) == 0 {
			t.Errorf("%s: no metric found", path)
		}
		for _, name := range names {
			if !known[name] && !notMetrics[name] {
				t.Errorf("%s: the exporter has no metric %s", path, name)
			}
		}
		for _, m := range resultRE.FindAllStringSubmatch(text, -1) {
			for result := range strings.SplitSeq(m[1], "|") {
				if !slices.Contains(results, result) {
					t.Errorf("%s: there is no result %q", path, result)
				}
			}
		}
	}
}

// TestDashboardFilters checks that the variables of the dashboard filter every metric of every query.
func TestDashboardFilters(t *testing.T) {
	exprs := regexp.MustCompile(`"expr": "(.*)"`).FindAllStringSubmatch(readFile(t, DashboardPath), -1)
	if len(exprs) < 20 {
		t.Fatalf("found only %d queries", len(exprs))
	}
	metricRE := regexp.MustCompile(`\b(?:appfigures_[a-z_]+|up)\b(\{[^}]*\})?`)
	for _, expr := range exprs {
		for _, m := range metricRE.FindAllStringSubmatch(expr[1], -1) {
			if !strings.HasPrefix(m[1], `{job=~\"$job\", instance=~\"$instance\"`) {
				t.Errorf("%s is not filtered by job and instance in\n%s", m[0], expr[1])
			}
		}
	}
}

// TestDataSource checks that the rules, the dashboard and the provisioned data source mean the same one.
func TestDataSource(t *testing.T) {
	var file struct {
		Datasources []struct {
			UID string `yaml:"uid"`
		} `yaml:"datasources"`
	}
	if err := yaml.Unmarshal([]byte(readFile(t, "grafana/provisioning/datasources/prometheus.yml")), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Datasources) != 1 || file.Datasources[0].UID != DataSource {
		t.Errorf("provisioned: %+v, the rules ask %q", file.Datasources, DataSource)
	}
}

// TestInhibitionsMatch checks that what silences alerts, and what is silenced, are alerts of ours.
func TestInhibitionsMatch(t *testing.T) {
	var file struct {
		InhibitRules []struct {
			Source []string `yaml:"source_matchers"`
			Target []string `yaml:"target_matchers"`
		} `yaml:"inhibit_rules"`
	}
	if err := yaml.Unmarshal([]byte(readFile(t, "prometheus/alertmanager.yml")), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.InhibitRules) == 0 {
		t.Fatal("no inhibitions found")
	}
	matcherRE := regexp.MustCompile(`^alertname=~?"(.+)"$`)
	for _, rule := range file.InhibitRules {
		for _, matcher := range slices.Concat(rule.Source, rule.Target) {
			m := matcherRE.FindStringSubmatch(matcher)
			if m == nil {
				t.Errorf("%s is not about the name of an alert", matcher)
				continue
			}
			name := regexp.MustCompile("^(?:" + m[1] + ")$")
			if !slices.ContainsFunc(shipped(t), func(a Rule) bool { return name.MatchString(a.Alert) }) {
				t.Errorf("%s matches none of the alerts", matcher)
			}
		}
	}
}
