package chart

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// pod is the exporter's Pod, with its volumes mounted below a directory of the test.
type pod struct {
	t    *testing.T
	root string
	spec corev1.PodSpec
}

// content is that of Secrets or ConfigMaps, by name and key.
type content map[string]map[string]string

// mount mounts the volumes of the Pod that the chart renders. secrets are those that exist.
func mount(t *testing.T, secrets content, args ...string) *pod {
	t.Helper()
	p := &pod{t: t, root: t.TempDir()}
	manifests := render(t, args...)
	for name, manifest := range manifests {
		if strings.HasPrefix(name, "StatefulSet ") {
			p.spec = decode(t, manifest).(*appsv1.StatefulSet).Spec.Template.Spec
		}
	}
	for _, volume := range p.spec.Volumes {
		switch {
		case volume.Secret != nil:
			p.project(volume.Name, secrets[volume.Secret.SecretName])
		case volume.ConfigMap != nil:
			p.project(volume.Name, configMap(t, manifests, volume.ConfigMap.Name))
		default:
			if err := os.MkdirAll(p.path(volume.Name), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	return p
}

// configMap returns the data of a rendered ConfigMap.
func configMap(t *testing.T, manifests map[string]string, name string) map[string]string {
	t.Helper()
	return decode(t, manifests["ConfigMap "+name]).(*corev1.ConfigMap).Data
}

func (p *pod) container() corev1.Container { return p.spec.Containers[0] }

// path returns where a volume is mounted.
func (p *pod) path(volume string) string {
	p.t.Helper()
	for _, mount := range p.container().VolumeMounts {
		if mount.Name == volume && mount.SubPath == "" {
			return p.root + mount.MountPath
		}
	}
	p.t.Fatalf("the directory of the volume %s is not mounted", volume)
	return ""
}

// move returns a text with the paths of all mounted volumes moved below the root.
func (p *pod) move(text string) string {
	for _, mount := range p.container().VolumeMounts {
		text = strings.ReplaceAll(text, mount.MountPath, p.root+mount.MountPath)
	}
	return text
}

// project writes the content of a volume, or replaces it at once, as a kubelet does: each key is a link to ..data/KEY,
// and ..data is a link to a directory that is never changed. Keys are not removed.
func (p *pod) project(volume string, data map[string]string) {
	p.t.Helper()
	dir := p.path(volume)
	must := func(err error) {
		p.t.Helper()
		if err != nil {
			p.t.Fatal(err)
		}
	}
	must(os.MkdirAll(dir, 0o700))
	version, err := os.MkdirTemp(dir, "..version_")
	must(err)
	for key, value := range data {
		harness.Write(p.t, filepath.Join(version, key), p.move(value))
		if _, err := os.Lstat(filepath.Join(dir, key)); err != nil {
			must(os.Symlink("..data/"+key, filepath.Join(dir, key)))
		}
	}
	must(os.Symlink(filepath.Base(version), dir+"/..data_tmp"))
	must(os.Rename(dir+"/..data_tmp", dir+"/..data"))
}

// command returns the container's command line with further flags.
func (p *pod) command(flags ...string) *exec.Cmd {
	p.t.Helper()
	var args []string
	for _, arg := range p.container().Args {
		args = append(args, p.move(arg))
	}
	return exec.Command(harness.Build(p.t), slices.Concat(args, flags)...)
}

// TestConfigIsValid checks that the exporter accepts the command line and the configuration that the chart renders, and
// can read every token.
func TestConfigIsValid(t *testing.T) {
	ca := harness.NewAuthority(t)
	identity := ca.Issue(t, "127.0.0.1")
	secrets := content{
		"appfigures-tokens": {"first": "pat_1", "second": "pat_2"},
		"more.tokens":       {"third": "pat_3"},
		"acme-tokens":       {"reporting": "pat_4", "reporting.txt": "pat_4", "etl": "pat_5"},
		"appfigures-web":    {"web-config.yml": harness.PasswordConfig},
		"api-tls": {
			"ca.crt":  harness.Read(t, ca.File),
			"tls.crt": harness.Read(t, identity.CertFile),
			"tls.key": harness.Read(t, identity.KeyFile),
		},
	}
	for file, tokens := range map[string]int{"dir.yaml": 2, "tokens.yaml": 2, "all.yaml": 5} {
		check := mount(t, secrets, "--values="+dir+"/ci/"+file).command("--config.check")
		out, err := check.CombinedOutput()
		if want := fmt.Sprintf("is valid (%d tokens).\n", tokens); err != nil || !strings.HasSuffix(string(out), want) ||
			strings.Contains(string(out), "warning") {
			t.Errorf("%s: %s: %v\n%s", file, check, err, out)
		}
	}
}

// TestPodNeedsNoRestart runs the exporter as its Pod does and checks that it notices a rotated token, a new key of a
// Secret and a changed configuration; that its probes work with TLS and a password; and that it keeps its state.
func TestPodNeedsNoRestart(t *testing.T) {
	api := harness.NewAPI(t, simulator.Options{})
	api.Set("pat_1", simulator.Valid)
	api.Set("pat_2", simulator.Rejected)
	api.Set("pat_3", simulator.Valid)
	web := api.CA.Issue(t, "127.0.0.1")
	args := []string{
		"--values=" + minimal, "--set=webConfigSecret=web,apiTLSSecret=api-tls", "--set=config.api_url=" + api.URL(),
		"--set=config.tls_config.ca_file=/run/secrets/api-tls/ca.crt",
		"--set=config.pacing.quota_share=1,config.pacing.assumed_daily_limit=1000000000",
	}
	p := mount(t, content{
		"appfigures-tokens": {"first": "pat_1"},
		"api-tls":           {"ca.crt": harness.Read(t, api.CA.File)},
		"web": {
			"web-config.yml": harness.TLSConfig(harness.Identity{CertFile: "tls.crt", KeyFile: "tls.key"}, "TLS12") +
				harness.PasswordConfig,
			"tls.crt": harness.Read(t, web.CertFile),
			"tls.key": harness.Read(t, web.KeyFile),
		},
	}, args...)
	x := harness.NewExporter(t)
	x.TLS = api.CA.ClientConfig(t)
	x.StartCommand(p.command("--web.listen-address=127.0.0.1:0", "--config.auto-reload-interval=50ms"))

	login := base64.StdEncoding.EncodeToString([]byte(harness.User + ":" + harness.Password))
	await := func(line string) {
		t.Helper()
		harness.Until(t, 20*time.Second, func() error {
			_, exposition, err := x.Request(http.MethodGet, "/metrics", "Authorization", "Basic "+login)
			if err != nil {
				return err
			}
			return harness.Expect(exposition, line)
		})
	}
	await(`appfigures_token_valid{token="first"} 1`)
	for name, probe := range map[string]*corev1.Probe{
		"liveness": p.container().LivenessProbe, "readiness": p.container().ReadinessProbe,
	} {
		command := append(slices.Clone(probe.Exec.Command[1:]), "--web.listen-address="+x.Address)
		if out, err := exec.Command(x.Binary, command...).CombinedOutput(); err != nil {
			t.Errorf("%s probe: %v\n%s", name, err, out)
		}
	}

	tokens := map[string]string{"first": "pat_2"}
	p.project("tokens-0", tokens)
	await(`appfigures_token_valid{token="first"} 0`)
	tokens = maps.Clone(tokens)
	tokens["second"] = "pat_3"
	p.project("tokens-0", tokens)
	await(`appfigures_token_valid{token="second"} 1`)

	changed := render(t, append(args, "--set=tokenSecrets[0].account=acme")...)
	p.project("config", configMap(t, changed, "test-appfigures-exporter"))
	await(`appfigures_token_info{account="acme",token="second"} 1`)

	x.Stop()
	if _, err := os.Stat(p.path("state") + "/state.json"); err != nil {
		t.Error(err)
	}
}
