package chart

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

// TestConfigIsValid checks that the exporter accepts the command line and the configuration that the chart renders, and
// can read every token where the chart mounts it.
func TestConfigIsValid(t *testing.T) {
	ca := harness.NewAuthority(t)
	identity := ca.Issue(t, "127.0.0.1")
	volumes := map[string]map[string]string{ // content of the Secrets and of the CSI volume, by name and key
		"appfigures-tokens": {"first": "pat_1", "second": "pat_2"},
		"more.tokens":       {"first": "pat_3"},
		"acme-tokens":       {"reporting": "pat_4", "reporting.txt": "pat_4", "etl": "pat_5"},
		"vault":             {"second": "pat_6"},
		"appfigures-web":    {"web-config.yml": "http_server_config: {http2: false}\n"},
		"api-tls": {
			"ca.crt":  harness.Read(t, ca.File),
			"tls.crt": harness.Read(t, identity.CertFile),
			"tls.key": harness.Read(t, identity.KeyFile),
		},
	}
	for file, tokens := range map[string]int{"dir.yaml": 2, "tokens.yaml": 2, "all.yaml": 6} {
		args := mount(t, volumes, "--values="+dir+"/ci/"+file)
		if strings.Contains(strings.Join(args, " "), "--state.file") {
			t.Errorf("%s: a check in the Pod would use another state file than %q", file, args)
		}
		check := exec.Command(harness.Build(t), append(args, "--config.check")...)
		out, err := check.CombinedOutput()
		want := fmt.Sprintf("is valid (%d tokens", tokens)
		if err != nil || !strings.Contains(string(out), want) || strings.Contains(string(out), "warning") {
			t.Errorf("%s: %s: %v\n%s", file, check, err, out)
		}
	}
}

// mount writes the content of the Pod's volumes below a directory of the test, and returns the arguments of the
// exporter's container with paths there.
func mount(t *testing.T, volumes map[string]map[string]string, args ...string) []string {
	t.Helper()
	manifests := render(t, args...)
	var pod corev1.PodSpec
	for name, manifest := range manifests {
		if strings.HasPrefix(name, "StatefulSet ") {
			pod = decode(t, manifest).(*appsv1.StatefulSet).Spec.Template.Spec
		}
	}
	content := make(map[string]map[string]string) // by name of the volume
	for _, volume := range pod.Volumes {
		switch {
		case volume.Secret != nil:
			content[volume.Name] = volumes[volume.Secret.SecretName]
		case volume.ConfigMap != nil:
			content[volume.Name] = decode(t, manifests["ConfigMap "+volume.ConfigMap.Name]).(*corev1.ConfigMap).Data
		default:
			content[volume.Name] = volumes[volume.Name]
		}
	}
	root, container := t.TempDir(), pod.Containers[0]
	var moves []string
	for _, mount := range container.VolumeMounts {
		moves = append(moves, mount.MountPath, root+mount.MountPath)
	}
	move := strings.NewReplacer(moves...).Replace
	for _, mount := range container.VolumeMounts {
		if err := os.MkdirAll(root+mount.MountPath, 0o700); err != nil {
			t.Fatal(err)
		}
		for key, value := range content[mount.Name] {
			harness.Write(t, filepath.Join(root+mount.MountPath, key), move(value))
		}
	}
	for i, arg := range container.Args {
		container.Args[i] = move(arg)
	}
	return container.Args
}
