// Package kubernetes tests the Helm chart on a real control plane: what Helm installs, upgrades, rolls back and
// removes, and what the API server and its admission accept. No container runs.
package kubernetes

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

const (
	chart   = harness.Root + "/deploy/helm/appfigures-exporter"
	minimal = "--values=" + chart + "/ci/dir.yaml" // sets only what has no default
	wait    = "--wait"
	limit   = "--timeout=60s"
)

// resources are the kinds of all objects of the chart.
var resources = []string{
	"v1/configmaps", "v1/persistentvolumeclaims", "v1/pods", "v1/serviceaccounts", "v1/services", "apps/v1/statefulsets",
	"networking.k8s.io/v1/networkpolicies", "monitoring.coreos.com/v1/prometheusrules",
	"monitoring.coreos.com/v1/servicemonitors",
}

func TestChart(t *testing.T) {
	c := startCluster(t)
	defineMonitoring(c)
	c.create("/apis/scheduling.k8s.io/v1/priorityclasses", "{metadata: {name: monitoring}, value: 1}")
	for class, mode := range map[string]string{"": "ReadWriteOnce", "fast": "ReadWriteOncePod"} {
		c.create("/api/v1/persistentvolumes", fmt.Sprintf(`{metadata: {generateName: volume-}, spec: {storageClassName: %q,
			accessModes: [%s], capacity: {storage: 1Gi}, hostPath: {path: /none}}}`, class, mode))
	}
	for name, test := range map[string]func(*testing.T, *cluster, string){"values": testValues, "upgrade": testUpgrade} {
		t.Run(name, func(t *testing.T) {
			of := *c
			of.t = t
			test(t, &of, name)
		})
	}
}

// defineMonitoring adds the definitions of Prometheus Operator.
func defineMonitoring(c *cluster) {
	c.t.Helper()
	crds := harness.Module(c.t, harness.PrometheusOperator) + "/example/prometheus-operator-crd/monitoring.coreos.com_"
	for _, resource := range []string{"prometheusrules", "servicemonitors"} {
		c.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", harness.Read(c.t, crds+resource+".yaml"))
		harness.Until(c.t, timeout, func() error {
			_, err := c.request(http.MethodGet, "/apis/monitoring.coreos.com/v1/"+resource, "", nil)
			return err
		})
	}
}

// createNamespace creates a namespace in which admission demands that all Pods are restricted.
func createNamespace(c *cluster, name string) {
	c.t.Helper()
	c.create("/api/v1/namespaces",
		fmt.Sprintf("{metadata: {name: %s, labels: {pod-security.kubernetes.io/enforce: restricted}}}", name))
	c.create("/api/v1/namespaces/"+name+"/serviceaccounts", "{metadata: {name: default}}")
}

// testValues installs, tests and removes the chart with each of its values files.
func testValues(t *testing.T, c *cluster, _ string) {
	files, err := filepath.Glob(chart + "/ci/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("values files are %q (%v)", files, err)
	}
	createNamespace(c, "monitoring") // of the rules and the dashboard
	for _, file := range files {
		release := strings.TrimSuffix(filepath.Base(file), ".yaml")
		createNamespace(c, release)
		notes := c.mustHelm(release, "install", release, chart, "--values="+file, wait, limit)
		service := c.list(release, "v1/services")[0].Metadata.Name
		if want := "port-forward service/" + service + " 10187"; !strings.Contains(notes, want) {
			t.Errorf("the notes do not contain %q:\n%s", want, notes)
		}
		c.mustHelm(release, "test", release, limit)
		c.mustHelm(release, "uninstall", release, wait, limit)
		checkGone(t, c, release)
	}
}

// checkGone checks that nothing is left of a release, once what is being deleted is gone.
func checkGone(t *testing.T, c *cluster, release string) {
	t.Helper()
	harness.Until(t, timeout, func() error {
		var left []error
		for _, resource := range resources {
			for _, object := range c.list(release, resource) {
				left = append(left, fmt.Errorf("%s %s of %s is left", resource, object.Metadata.Name, release))
			}
		}
		return errors.Join(left...)
	})
}

// testUpgrade checks that a changed configuration leaves the Pod alone, that a changed image replaces it, and that it
// comes back after it was deleted.
func testUpgrade(t *testing.T, c *cluster, release string) {
	createNamespace(c, release)
	c.mustHelm(release, "install", release, chart, minimal, wait, limit)
	before := c.pod(release).Metadata.UID
	c.mustHelm(release, "upgrade", release, chart, minimal, "--set=config.timeout=20s", wait, limit)
	if after := c.pod(release).Metadata.UID; after != before {
		t.Error("a changed configuration replaces the Pod")
	}
	c.mustHelm(release, "upgrade", release, chart, minimal, "--set=image.tag=1.2.3", wait, limit)
	replaced := c.pod(release)
	if image := replaced.Spec.Containers[0].Image; replaced.Metadata.UID == before || !strings.HasSuffix(image, ":1.2.3") {
		t.Errorf("after an upgrade of the image, the Pod has the image %s", image)
	}

	path := "/api/v1/namespaces/" + release + "/pods/" + replaced.Metadata.Name
	if _, err := c.request(http.MethodDelete, path, "", nil); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, timeout, func() error {
		pods := c.list(release, "v1/pods")
		if len(pods) != 1 || pods[0].Metadata.UID == replaced.Metadata.UID || pods[0].Status.Phase != "Running" {
			return fmt.Errorf("after its deletion, the Pods are %v", pods)
		}
		return nil
	})
}
