package chart

import (
	"encoding/json"
	"path/filepath"
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
		{"config: {tokens: []}", "additional properties 'tokens' not allowed"},
		{"config: {timeout: 10}", "at '/config/timeout': got number, want string"},
		{"args: [--web.listen-address=:1]", "at '/args/0': '--web.listen-address=:1' does not match"},
		{"fullnameOverride: tokens", "at '/fullnameOverride': 'tokens' does not match"},
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

// TestSchemaIsStrict checks that every object of the schema refuses unknown keys, or is a map of labels or the like.
func TestSchemaIsStrict(t *testing.T) {
	var schema any
	if err := json.Unmarshal([]byte(harness.Read(t, dir+"/values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	objects := 0
	var walk func(path string, node any)
	walk = func(path string, node any) {
		switch node := node.(type) {
		case []any:
			for _, item := range node {
				walk(path+"[]", item)
			}
		case map[string]any:
			// Helm sets global where the chart is a dependency of another.
			if node["type"] == "object" && path != "/properties/global" {
				objects++
				_, isMap := node["additionalProperties"].(map[string]any)
				if node["additionalProperties"] != false && !isMap {
					t.Errorf("%s takes any key", path)
				}
			}
			for key, value := range node {
				walk(path+"/"+key, value)
			}
		}
	}
	walk("", schema)
	if objects < 20 {
		t.Errorf("found %d objects", objects)
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
