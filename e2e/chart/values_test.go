package chart

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

// TestValuesAreRefused checks what helm prints for values with one problem each.
func TestValuesAreRefused(t *testing.T) {
	for _, test := range []struct{ values, want string }{
		{"tokenSecrets: []", "no tokens: set tokenSecrets"},
		{"tokenSecrets: [{name: a}, {name: a}]", `the tokens of the Secret "a" would be probed twice`},
		{
			"tokens: [{name: x, secret: {name: appfigures-tokens, key: x}}]",
			`the key "x" of the Secret "appfigures-tokens" would be probed twice`,
		},
		{
			"tokens: [{name: v, secret: {name: a, key: x}}, {name: w, secret: {name: a, key: x}}]",
			`the key "x" of the Secret "a" would be probed twice`,
		},
		{"tokens: [{name: x, token: pat_1}]", "additional properties 'token' not allowed"},
		{"tokens: [{name: x, secret: {name: a}}]", "missing property 'key'"},
		{"replicas: 2", "additional properties 'replicas' not allowed"},
		{"replicaCount: 2", "additional properties 'replicaCount' not allowed"},
		{"config: {pacing: {share: 1}}", "additional properties 'share' not allowed"},
		{"config: {pacing: {quota_share: 2}}", "at '/config/pacing/quota_share': maximum"},
		{"config: {pacing: {quota_share: '0'}}", "at '/config/pacing/quota_share': '0' does not match"},
		{"config: {api_url: http://foo/}", "at '/config/api_url': 'http://foo/' does not match"},
		{"config: {proxy_url: ftp://foo/}", "at '/config/proxy_url': 'ftp://foo/' does not match"},
		{"config: {tokens: []}", "additional properties 'tokens' not allowed"},
		{"config: {timeout: 10}", "at '/config/timeout': got number, want string"},
		{"config: {timeout: 1d}", "at '/config/timeout': '1d' does not match"},
		{"args: [--web.listen-address=:1]", "at '/args/0': '--web.listen-address=:1' does not match"},
		{"fullnameOverride: Tokens", "at '/fullnameOverride': 'Tokens' does not match"},
		{"commonLabels: {app.kubernetes.io/name: x}", "invalid propertyName 'app.kubernetes.io/name'"},
		{"affinity: {nodeAfinity: {}}", "additional properties 'nodeAfinity' not allowed"},
		{"resources: {limits: {cpus: 1}}", "additional properties 'cpus' not allowed"},
		{"persistence: {size: 64 MiB}", "at '/persistence/size': '64 MiB' does not match"},
		{"podSecurityContext: {runAsUser: 0}", "at '/podSecurityContext/runAsUser': minimum"},
		{"podSecurityContext: {privileged: true}", "additional properties 'privileged' not allowed"},
		{"prometheusRule: {alerts: {AppfiguresAPIDwon: false}}", "additional properties 'AppfiguresAPIDwon' not allowed"},
		{"serviceMonitor: {interval: 1 minute}", "at '/serviceMonitor/interval': '1 minute' does not match"},
		{"serviceMonitor: {tlsConfig: {ca: {secret: {name: a, kye: ca}}}}", "additional properties 'kye' not allowed"},
		{"networkPolicy: {from: [{}]}", "at '/networkPolicy/from/0': minProperties"},
	} {
		file := filepath.Join(t.TempDir(), "values.yaml")
		harness.Write(t, file, test.values)
		out, err := template(t, dir, "--values="+minimal, "--values="+file).CombinedOutput()
		if err == nil || !strings.Contains(string(out), test.want) {
			t.Errorf("%s: error %v, want %q:\n%s", test.values, err, test.want, out)
		}
	}
}

// TestExamples uncomments the examples in values.yaml, which follow an empty value, and renders all of them at once.
func TestExamples(t *testing.T) {
	examples := 0
	values := regexp.MustCompile(`(?m) (\[\]|\{\})\n((#.*\n)+)`).ReplaceAllStringFunc(
		harness.Read(t, dir+"/values.yaml"), func(match string) string {
			examples++
			_, lines, _ := strings.Cut(match, "\n")
			return "\n" + strings.NewReplacer("\n#", "\n ", "#", " ").Replace(lines)
		})
	file := filepath.Join(t.TempDir(), "values.yaml")
	harness.Write(t, file, values)
	manifests := render(t, "--values="+file)
	for _, want := range []string{"quota_share: 0.5", "proxy.example", "growth", "vault"} {
		if config := manifests["ConfigMap test-appfigures-exporter"]; !strings.Contains(config, want) {
			t.Errorf("the configuration does not contain %q:\n%s", want, config)
		}
	}
	if examples < 5 {
		t.Errorf("values.yaml has %d examples", examples)
	}
}

// TestEveryValueIsSet checks that ci/all.yaml sets every value, so that the other tests see them all.
func TestEveryValueIsSet(t *testing.T) {
	var defaults, all map[string]any
	unmarshal(t, harness.Read(t, dir+"/values.yaml"), &defaults)
	unmarshal(t, harness.Read(t, dir+"/ci/all.yaml"), &all)
	var compare func(path string, defaults, all map[string]any)
	compare = func(path string, defaults, all map[string]any) {
		for key, value := range defaults {
			if _, found := all[key]; !found {
				t.Errorf("ci/all.yaml does not set %s%s", path, key)
			}
			inDefaults, isMap := value.(map[string]any)
			if inAll, ok := all[key].(map[string]any); ok && isMap && key != "alerts" {
				compare(path+key+".", inDefaults, inAll)
			}
		}
	}
	compare("", defaults, all)
}
