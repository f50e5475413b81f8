package packaging

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// healthTimeout is how long the services of compose.yaml may take to become healthy: their first check is made after
// 30 seconds.
const healthTimeout = 2 * time.Minute

// engine is a Docker engine of its own, which ends with the test.
type engine struct{ host string }

// newEngine starts dockerd.
func newEngine(t *testing.T) *engine {
	t.Helper()
	harness.NeedRoot(t)
	harness.Tool(t, "dockerd", "apt-get install docker.io")
	dir := t.TempDir()
	e := &engine{"unix://" + filepath.Join(dir, "docker.sock")}
	harness.StartProcess(t, "dockerd", exec.Command("dockerd", "--host="+e.host, "--storage-driver=vfs",
		"--data-root="+filepath.Join(dir, "data"), "--exec-root="+filepath.Join(dir, "exec"),
		"--pidfile="+filepath.Join(dir, "pid"), "--log-level=error"))
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

// build builds an image from a Dockerfile and programs, by their path beside it.
func (e *engine) build(t *testing.T, image, dockerfile string, programs map[string]string) {
	t.Helper()
	context := t.TempDir()
	harness.Write(t, filepath.Join(context, "Dockerfile"), dockerfile)
	for name, path := range programs {
		to := filepath.Join(context, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(harness.Read(t, path)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	e.run(t, "build", "--quiet", "--tag", image, context)
}

const exporterImage = "appfigures_exporter"

// loadImages gives the engine the image of the Dockerfile, which BuildKit would have to build, and stand-ins for the
// other images of compose.yaml, with the same programs at the same places.
func (e *engine) loadImages(t *testing.T) {
	t.Helper()
	b := newBuildah(t)
	archive := filepath.Join(t.TempDir(), "image.tar")
	b.run(t, "push", b.build(t, "amd64", imageStamp), "docker-archive:"+archive+":"+exporterImage+":latest")
	e.run(t, "load", "--input="+archive)

	const standIn = `FROM scratch
COPY . /
COPY --chown=65534:65534 Dockerfile /DATA/
ENV PATH=/bin
USER 65534
ENTRYPOINT ["/bin/DATA"]
`
	project := loadProject(t, root(t), "compose.yaml")
	for service, programs := range map[string]map[string]string{
		"prometheus": {
			"prometheus": harness.Tool(t, "prometheus", "go install github.com/prometheus/prometheus/cmd/prometheus"),
			"promtool":   harness.Tool(t, "promtool", "go install github.com/prometheus/prometheus/cmd/promtool"),
		},
		"alertmanager": {
			"alertmanager": harness.Tool(t, "prometheus-alertmanager", "apt-get install prometheus-alertmanager"),
			"wget":         busybox,
			"../usr/share/prometheus/alertmanager/default.tmpl": "/usr/share/prometheus/alertmanager/default.tmpl", // Debian's needs them
			"../usr/share/prometheus/alertmanager/email.tmpl":   "/usr/share/prometheus/alertmanager/email.tmpl",
		},
	} {
		files := make(map[string]string)
		for name, path := range programs {
			files["bin/"+name] = path
			for _, library := range libraries(t, path) {
				files[library] = library
			}
		}
		e.build(t, getService(t, project, service).Image, strings.ReplaceAll(standIn, "DATA", service), files)
	}
}

// libraries returns the shared libraries of a program, with its loader.
func libraries(t *testing.T, program string) []string {
	t.Helper()
	out, err := exec.Command("ldd", program).Output()
	if err != nil { // it is static
		return nil
	}
	return regexp.MustCompile(`/\S+`).FindAllString(string(out), -1)
}

// composed is compose.yaml in a checkout of its own, with the services that have an image.
type composed struct {
	t      *testing.T
	engine *engine
	dir    string
	files  []string
}

// newComposed copies the checkout, with shorter times, free ports and the image that is loaded.
func newComposed(t *testing.T, e *engine, files ...string) *composed {
	t.Helper()
	c := &composed{t, e, checkout(t), append(files, "test.yaml")}
	c.edit("prometheus/prometheus.yml", regexp.MustCompile(`60s|15s`), "1s")
	c.edit("prometheus/appfigures.rules.yml", regexp.MustCompile(`\b(for|interval): .*`), "$1: 1s")
	c.edit("prometheus/alertmanager.yml", regexp.MustCompile(`group_wait: .*`), "group_wait: 1s")
	c.write("test.yaml", `
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
func (c *composed) edit(path string, pattern *regexp.Regexp, replacement string) {
	c.t.Helper()
	content := harness.Read(c.t, filepath.Join(c.dir, path))
	if !pattern.MatchString(content) {
		c.t.Fatalf("%s has nothing that matches %s", path, pattern)
	}
	c.write(path, pattern.ReplaceAllString(content, replacement))
}

// write writes a file of the checkout that everyone can read.
func (c *composed) write(path, content string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, path), []byte(content), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

func (c *composed) command(args ...string) *exec.Cmd {
	cmd := c.engine.command(append([]string{"compose"}, args...)...)
	cmd.Dir = c.dir
	cmd.Env = append(cmd.Env, "COMPOSE_FILE="+strings.Join(c.files, ":"))
	return cmd
}

func (c *composed) run(args ...string) string {
	c.t.Helper()
	return harness.Output(c.t, c.command(args...))
}

// address returns where a port of a service is published.
func (c *composed) address(service, port string) string {
	c.t.Helper()
	return c.run("port", service, port)
}

// prometheus returns the running Prometheus.
func (c *composed) prometheus() *harness.Prometheus {
	return harness.PrometheusAt(c.address("prometheus", "9090"))
}

// awaitAlert waits until Alertmanager has an alert with the labels.
func (c *composed) awaitAlert(labels map[string]string) {
	c.t.Helper()
	url := "http://" + c.address("alertmanager", "9093") + "/api/v2/alerts"
	harness.Until(c.t, time.Minute, func() error {
		body, err := get(url)
		if err != nil {
			return err
		}
		var alerts []struct{ Labels map[string]string }
		if err := json.Unmarshal([]byte(body), &alerts); err != nil {
			return fmt.Errorf("%s: %w", body, err)
		}
		for _, alert := range alerts {
			matches := true
			for name, value := range labels {
				matches = matches && alert.Labels[name] == value
			}
			if matches {
				return nil
			}
		}
		return fmt.Errorf("no alert of %d has the labels %v", len(alerts), labels)
	})
}

func get(url string) (body string, err error) {
	response, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status)
	}
	return string(content), err
}

// TestDocker runs the image and compose.yaml on a real engine.
func TestDocker(t *testing.T) {
	e := newEngine(t)
	e.loadImages(t)
	t.Run("demo", func(t *testing.T) { testComposeDemo(t, e) })
	t.Run("tokens", func(t *testing.T) { testComposeTokens(t, e) })
	t.Run("image", func(t *testing.T) { testDockerRun(t, e) })
}

// testComposeDemo checks that all services become healthy as shipped, and that the demo's alerts reach Alertmanager.
func testComposeDemo(t *testing.T, e *engine) {
	c := newComposed(t, e, "compose.yaml")
	c.run("up", "--detach", "--wait", fmt.Sprintf("--wait-timeout=%.0f", healthTimeout.Seconds()))
	if page, err := get("http://" + c.address("exporter", "10187")); err != nil || !strings.Contains(page, "old-campaign") {
		t.Errorf("the status page: %v\n%s", err, page)
	}
	c.prometheus().Await(t, time.Minute, map[string]float64{"appfigures": 1}, `up{job="appfigures"}`, "job")
	c.awaitAlert(map[string]string{"alertname": "AppfiguresTokenRejected", "token": "mobile-old", "team": "mobile"})
}

// testComposeTokens follows the instructions for tokens, and checks that their state survives everything that a user
// does to a container, and that a config error shows, while Prometheus runs and alerts.
func testComposeTokens(t *testing.T, e *engine) {
	// The engine does not always tell the gateway: it is the first address.
	subnet, err := netip.ParsePrefix(strings.TrimSpace(
		e.run(t, "network", "inspect", "bridge", "--format={{(index .IPAM.Config 0).Subnet}}")))
	if err != nil {
		t.Fatal(err)
	}
	api := harness.NewAPIAt(t, subnet.Masked().Addr().Next().String(), simulator.Options{DailyLimit: 1000})
	const secret = "pat_in_a_container"
	api.Set(secret, simulator.Valid)
	c := newComposed(t, e, "compose.yaml", "compose.override.yaml")
	c.write("compose.override.yaml", harness.Read(t, filepath.Join(c.dir, "compose.tokens.yaml")))
	c.write("ca.pem", harness.Read(t, api.CA.File))
	c.write("deploy/compose/config.yml", harness.Read(t, filepath.Join(c.dir, "deploy/compose/config.yml"))+
		"api_url: "+api.URL()+"\ntls_config: {ca_file: ca.pem}\n")
	c.edit("test.yaml", regexp.MustCompile("pull_policy: never, ports"),
		"volumes: [./ca.pem:/etc/appfigures_exporter/ca.pem:ro], $0")
	install := exec.Command("install", "-o", "65532", "-m", "0400", "/dev/stdin", filepath.Join(c.dir, "secrets/reporting"))
	install.Stdin = strings.NewReader(secret + "\n")
	harness.Output(t, install)

	c.run("up", "--detach")
	valid := func() {
		t.Helper()
		c.prometheus().Await(t, time.Minute, map[string]float64{"reporting": 1},
			`appfigures_token_valid and on(instance) (time() - process_start_time_seconds < 30)`, "token")
	}
	valid()
	requests := api.TotalRequests()
	api.Set(secret, simulator.ServerError) // what is known must come from the state
	upgraded := "FROM " + exporterImage + "\nLABEL upgraded=yes\n"
	for _, commands := range [][]string{
		{"restart"}, {"kill exporter", "up --detach"}, {"up --detach --force-recreate exporter"}, {"", "up --detach"},
	} {
		before := c.run("ps", "--quiet", "exporter") + e.run(t, "inspect", "--format={{.State.StartedAt}}", c.run("ps", "--quiet", "exporter"))
		for _, command := range commands {
			if command == "" {
				e.build(t, exporterImage, upgraded, nil)
				continue
			}
			c.run(strings.Fields(command)...)
		}
		after := c.run("ps", "--quiet", "exporter") + e.run(t, "inspect", "--format={{.State.StartedAt}}", c.run("ps", "--quiet", "exporter"))
		if before == after {
			t.Errorf("%q started nothing", commands)
		}
		valid()
		if n := api.TotalRequests(); n != requests {
			t.Errorf("%d requests after %q, want still %d", n, commands, requests)
		}
	}

	c.write("deploy/compose/config.yml", "tokens: broken\n")
	c.run("restart", "exporter")
	harness.Until(t, time.Minute, func() error {
		if logs := c.run("logs", "exporter"); !strings.Contains(logs, "config.yml:1: tokens: ") {
			return fmt.Errorf("the log does not name the mistake:\n%s", logs)
		}
		return nil
	})
	c.awaitAlert(map[string]string{"alertname": "AppfiguresExporterDown", "job": "appfigures"})
}

// testDockerRun runs the commands of deploy/README.md, with another name for the container and a free port.
func testDockerRun(t *testing.T, e *engine) {
	commands := dockerCommands(t)
	if len(commands) != 2 {
		t.Fatalf("deploy/README.md has the commands %q, want two", commands)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "secrets"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{
		"config.yml":     "token_dir: /run/secrets\napi_url: https://127.0.0.1:9/\n",
		"secrets/mobile": "pat_in_a_container\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, path), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i, token := range []string{"reporting", "mobile"} {
		name := fmt.Sprintf("test%d", i)
		args := append([]string{"run", "--detach", "--name", name}, commands[i][1:]...)
		args[slices.Index(args, "127.0.0.1:10187:10187")] = "127.0.0.1::10187"
		cmd := e.command(args...)
		for i := range cmd.Args {
			cmd.Args[i] = strings.ReplaceAll(cmd.Args[i], "$PWD", dir)
		}
		harness.Output(t, cmd)
		t.Cleanup(func() { e.run(t, "rm", "--force", "--volumes", name) })
		address := e.run(t, "port", name, "10187")
		harness.Until(t, time.Minute, func() error {
			body, err := get("http://" + address + "/metrics")
			if err == nil && !strings.Contains(body, `token="`+token+`"`) {
				err = fmt.Errorf("no metric of the token %s", token)
			}
			return err
		})
		harness.Until(t, healthTimeout, func() error {
			if health := e.run(t, "inspect", "--format={{.State.Health.Status}}", name); health != "healthy" {
				return errors.New(health)
			}
			return nil
		})
	}
}

// dockerCommands returns the arguments of the `docker run` commands of deploy/README.md, without --rm and -d.
func dockerCommands(t *testing.T) [][]string {
	t.Helper()
	text := strings.ReplaceAll(harness.ReadWith(t, "deploy/README.md"), "\\\n", "")
	var commands [][]string
	for line := range strings.Lines(text) {
		fields := strings.Fields(strings.ReplaceAll(line, `"`, ""))
		if len(fields) > 2 && strings.HasPrefix(line, "    docker run ") {
			commands = append(commands, slices.DeleteFunc(fields[1:], func(f string) bool { return f == "--rm" || f == "-d" }))
		}
	}
	return commands
}
