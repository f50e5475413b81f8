package packaging

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

const (
	exporterImage = "appfigures_exporter"
	busybox       = "/bin/busybox" // apt-get install busybox-static
)

// imageStamp is in place of what deploy/stamp.sh prints.
var imageStamp = map[string]string{
	"VERSION": "1.2.3-test", "REVISION": "0123456789abcdef0123456789abcdef01234567", "BRANCH": "of-the-test",
	"BUILD_DATE": "2026-01-02T03:04:05Z",
}

// engine is a Docker engine of its own, which ends with the test.
type engine struct{ host string }

// newEngine starts dockerd.
func newEngine(t *testing.T) *engine {
	t.Helper()
	harness.NeedRoot(t)
	dir := t.TempDir()
	e := &engine{"unix://" + dir + "/docker.sock"}
	harness.StartProcess(t, "dockerd", exec.Command(harness.Tool(t, "dockerd", "apt-get install docker.io"),
		"--host="+e.host, "--storage-driver=vfs", "--data-root="+dir+"/data", "--exec-root="+dir+"/exec",
		"--pidfile="+dir+"/pid", "--log-level=error"))
	harness.Until(t, time.Minute, func() error { return e.command("info").Run() })
	t.Logf("engine %s, Compose %s", e.run(t, "version", "--format={{.Server.Version}}"), e.run(t, "compose", "version", "--short"))
	return e
}

func (e *engine) command(args ...string) *exec.Cmd {
	cmd := exec.Command("docker", args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+e.host, "DOCKER_BUILDKIT=0")
	return cmd
}

func (e *engine) run(t *testing.T, args ...string) string {
	t.Helper()
	return harness.Output(t, e.command(args...))
}

// gateway returns the address at which containers reach this machine: the first of the bridge's network.
func (e *engine) gateway(t *testing.T) string {
	t.Helper()
	subnet := e.run(t, "network", "inspect", "bridge", "--format={{(index .IPAM.Config 0).Subnet}}")
	prefix, err := netip.ParsePrefix(subnet)
	if err != nil {
		t.Fatal(err)
	}
	return prefix.Masked().Addr().Next().String()
}

// build builds an image from a Dockerfile and programs, by their path beside it.
func (e *engine) build(t *testing.T, image, dockerfile string, programs map[string]string) {
	t.Helper()
	context := t.TempDir()
	write(t, context+"/Dockerfile", dockerfile)
	for name, path := range programs {
		write(t, filepath.Join(context, name), harness.Read(t, path))
		if err := os.Chmod(filepath.Join(context, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	e.run(t, "build", "--quiet", "--tag", image, context)
}

// loadImages gives the engine the image of the Dockerfile, which BuildKit would have to build, and stand-ins for the
// other images of compose.yaml, with the same programs at the same places.
func (e *engine) loadImages(t *testing.T) {
	t.Helper()
	e.run(t, "load", "--input="+buildImage(t))
	const standIn = `FROM scratch
COPY . /
COPY --chown=65534:65534 Dockerfile /DATA/
ENV PATH=/bin
USER 65534
ENTRYPOINT ["/bin/DATA"]
`
	const templates = "usr/share/prometheus/alertmanager/" // Debian's Alertmanager needs them
	for service, programs := range map[string]map[string]string{
		"prometheus": {
			"bin/prometheus": harness.Tool(t, "prometheus", "go install github.com/prometheus/prometheus/cmd/prometheus"),
			"bin/promtool":   harness.Promtool(t),
		},
		"alertmanager": {
			"bin/alertmanager":         harness.Tool(t, "prometheus-alertmanager", "apt-get install prometheus-alertmanager"),
			"bin/wget":                 busybox,
			templates + "default.tmpl": "/" + templates + "default.tmpl",
			templates + "email.tmpl":   "/" + templates + "email.tmpl",
		},
	} {
		for name, program := range programs {
			if libraries, err := exec.Command("ldd", program).Output(); strings.HasPrefix(name, "bin/") && err == nil {
				for _, library := range regexp.MustCompile(`/\S+`).FindAllString(string(libraries), -1) {
					programs[library] = library
				}
			}
		}
		image := regexp.MustCompile(`image: (prom/` + service + `:\S+)`).FindStringSubmatch(harness.ReadWith(t, "compose.yaml"))
		if image == nil {
			t.Fatalf("compose.yaml has no image of %s", service)
		}
		e.build(t, image[1], strings.ReplaceAll(standIn, "DATA", service), programs)
	}
}

// buildImage builds the Dockerfile with buildah, which needs no daemon and no registry: an image with this machine's
// toolchain stands in for the golang image. It returns an archive for docker load.
func buildImage(t *testing.T) string {
	t.Helper()
	harness.Tool(t, "buildah", "apt-get install buildah")
	store, context := t.TempDir(), t.TempDir()
	buildah := func(args ...string) {
		t.Helper()
		harness.Run(t, ".", nil, "buildah", append([]string{
			"--storage-driver=vfs", "--root=" + store + "/root", "--runroot=" + store + "/run",
		}, args...)...)
	}
	golang := regexp.MustCompile(`(?m)^FROM --platform=\$BUILDPLATFORM (\S+) AS build$`).
		FindStringSubmatch(harness.ReadWith(t, "Dockerfile"))
	if golang == nil {
		t.Fatal("Dockerfile has no build stage")
	}
	for name, path := range map[string]string{
		"Dockerfile": "testdata/golang.Dockerfile", "busybox": busybox,
		"ca-certificates.crt": "/etc/ssl/certs/ca-certificates.crt",
	} {
		write(t, filepath.Join(context, name), harness.Read(t, path))
	}
	if err := os.Chmod(context+"/busybox", 0o755); err != nil {
		t.Fatal(err)
	}
	buildah("bud", "--isolation=chroot", "--tag="+golang[1], context)
	harness.Run(t, harness.Root, nil, "go", "mod", "download")
	args := []string{
		"bud", "--isolation=chroot", "--pull-never", "--format=docker", "--tag=" + exporterImage,
		"--volume=" + harness.Run(t, harness.Root, nil, "go", "env", "GOROOT") + ":/usr/local/go:ro",
		"--volume=" + harness.Run(t, harness.Root, nil, "go", "env", "GOMODCACHE") + "/cache/download:/modules:ro",
	}
	for key, value := range imageStamp {
		args = append(args, "--build-arg="+key+"="+value)
	}
	buildah(append(args, harness.Root)...)
	archive := filepath.Join(t.TempDir(), "image.tar")
	buildah("push", exporterImage, "docker-archive:"+archive+":"+exporterImage+":latest")
	return archive
}

// composed is compose.yaml in a checkout of its own, with the services that have an image.
type composed struct {
	t       *testing.T
	engine  *engine
	dir     string
	files   []string
	webhook *harness.Webhook // that its Alertmanager notifies
}

// newComposed copies the checkout, with shorter times, free ports and the image that is loaded.
func newComposed(t *testing.T, e *engine, files ...string) *composed {
	t.Helper()
	c := &composed{t, e, checkout(t), append(files, "test.yaml"), harness.NewWebhook(t, e.gateway(t))}
	c.edit("prometheus/prometheus.yml", `\b(60s|15s)\b`, "1s")
	c.edit("prometheus/appfigures.rules.yml", `\b(for|interval): .*`, "$1: 1s")
	c.edit("prometheus/alertmanager.yml", `group_wait: .*`, "group_wait: 1s")
	c.edit("prometheus/alertmanager.yml", `http://127.0.0.1:5001/`, c.webhook.URL)
	write(t, c.dir+"/test.yaml", `
services:
  exporter: {image: `+exporterImage+`, build: !reset null, pull_policy: never, ports: !override ["127.0.0.1::10187"]}
  prometheus: {ports: !override ["127.0.0.1::9090"], pull_policy: never}
  alertmanager: {ports: !override ["127.0.0.1::9093"], pull_policy: never}
  grafana: !reset null
`)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.run("logs", "--tail=20"))
		}
		c.run("down", "--volumes", "--timeout=5")
	})
	return c
}

// edit replaces what matches in a file of the checkout, which must be there.
func (c *composed) edit(path, pattern, replacement string) {
	c.t.Helper()
	content, expression := harness.Read(c.t, filepath.Join(c.dir, path)), regexp.MustCompile(pattern)
	if !expression.MatchString(content) {
		c.t.Fatalf("%s has nothing that matches %s", path, pattern)
	}
	write(c.t, filepath.Join(c.dir, path), expression.ReplaceAllString(content, replacement))
}

func (c *composed) run(args ...string) string {
	c.t.Helper()
	cmd := c.engine.command(append([]string{"compose"}, args...)...)
	cmd.Dir, cmd.Env = c.dir, append(cmd.Env, "COMPOSE_FILE="+strings.Join(c.files, ":"))
	return harness.Output(c.t, cmd)
}

// address returns where a port of a service is published.
func (c *composed) address(service, port string) string {
	c.t.Helper()
	return c.run("port", service, port)
}

// metrics returns the exporter's exposition.
func (c *composed) metrics() string {
	c.t.Helper()
	body, err := harness.Get("http://" + c.address("exporter", "10187") + "/metrics")
	if err != nil {
		c.t.Error(err)
	}
	return body
}

// awaitNotification waits until the webhook was notified of an alert, given as ALERTNAME/ACCOUNT/TOKEN/TEAM.
func (c *composed) awaitNotification(alert *regexp.Regexp) {
	c.t.Helper()
	harness.Until(c.t, 2*time.Minute, func() error {
		statuses := c.webhook.Statuses()
		for key := range statuses {
			if alert.MatchString(key) {
				return nil
			}
		}
		return fmt.Errorf("no notification matches %s: %v", alert, statuses)
	})
}

// write writes a file that everyone can read, and its directory.
func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
