// Package chart tests the Helm chart without Kubernetes: what it renders for the values files in its directory ci, and
// which values it refuses. It is a module of its own, so that the other end-to-end tests do not depend on Kubernetes.
package chart

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

const (
	dir     = harness.Root + "/deploy/helm/appfigures-exporter"
	minimal = dir + "/ci/dir.yaml" // sets only what has no default

	// kubernetes is the release to render for: helm built by go install believes in an older one.
	kubernetes = "1.37.0"
)

func TestMain(m *testing.M) { harness.Main(m) }

// valuesFiles returns the chart's values files for tests.
func valuesFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(dir + "/ci/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("values files are %q (%v)", files, err)
	}
	return files
}

// helm returns a command of Helm.
func helm(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	return exec.Command(harness.Tool(t, "helm", "go install helm.sh/helm/v3/cmd/helm@v3.22.0"), args...)
}

// template returns the command that renders the chart in dir or an archive.
func template(t *testing.T, chart string, args ...string) *exec.Cmd {
	t.Helper()
	command := []string{"template", "test", chart, "--namespace=monitoring", "--kube-version=" + kubernetes}
	return helm(t, append(command, args...)...)
}

// render returns the manifest of each object of the chart, by "Kind name".
func render(t *testing.T, args ...string) map[string]string {
	t.Helper()
	manifests := make(map[string]string)
	for manifest := range strings.SplitSeq(harness.Output(t, template(t, dir, args...)), "\n---\n") {
		var object struct {
			Kind     string
			Metadata struct{ Name string }
		}
		unmarshal(t, manifest, &object)
		name := object.Kind + " " + object.Metadata.Name
		if manifests[name] != "" {
			t.Errorf("the chart renders %s twice", name)
		}
		manifests[name] = manifest
	}
	return manifests
}

// unmarshal decodes YAML into a value with JSON tags.
func unmarshal(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
}

func TestLint(t *testing.T) {
	for _, file := range valuesFiles(t) {
		harness.Output(t, helm(t, "lint", "--strict", "--kube-version="+kubernetes, dir, "--values="+file))
	}
}

// TestPackage checks that the packaged chart, in which the rules and the dashboard are files instead of links, renders
// the same.
func TestPackage(t *testing.T) {
	packages := t.TempDir()
	harness.Output(t, helm(t, "package", dir, "--destination="+packages))
	archive, values := packages+"/appfigures-exporter-0.0.0.tgz", "--values="+dir+"/ci/all.yaml"
	want, got := harness.Output(t, template(t, dir, values)), harness.Output(t, template(t, archive, values))
	if got != want {
		t.Errorf("the packaged chart renders\n%s\nwant\n%s", got, want)
	}
}

func TestREADMEIsCurrent(t *testing.T) {
	helmDocs := harness.Tool(t, "helm-docs", "go install github.com/norwoodj/helm-docs/cmd/helm-docs@v1.14.2")
	want := harness.Output(t, exec.Command(helmDocs, "--dry-run", "--log-level=error", "--chart-search-root="+dir))
	if strings.TrimSpace(harness.Read(t, dir+"/README.md")) != want {
		t.Error("README.md is not what README.md.gotmpl and values.yaml make: run make chart")
	}
}
