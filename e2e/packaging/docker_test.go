package packaging

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
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

// TestDocker runs the image and compose.yaml on a real engine.
func TestDocker(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	e.loadImages(t)
	t.Run("image", func(t *testing.T) { testImage(t, e) })
	t.Run("run", func(t *testing.T) { testDockerRun(t, e) })
	t.Run("confined", func(t *testing.T) { testConfined(t, e) })
	t.Run("demo", func(t *testing.T) { testComposeDemo(t, e) })
	t.Run("tokens", func(t *testing.T) { testComposeTokens(t, e) })
}

// testImage checks how the image is run, and that it has three files, so no shell, and its size.
func testImage(t *testing.T, e *engine) {
	const format = "{{.Config.User}} {{json .Config.Entrypoint}} {{len .Config.Cmd}} {{json .Config.Volumes}} " +
		`{{json .Config.ExposedPorts}} {{json .Config.Healthcheck.Test}} {{.Config.WorkingDir}} ` +
		`{{index .Config.Labels "org.opencontainers.image.version"}} {{index .Config.Labels "org.opencontainers.image.revision"}}`
	const want = `65532:65532 ["/appfigures_exporter"] 0 {"/var/lib/appfigures_exporter":{}} {"10187/tcp":{}} ` +
		`["CMD","/appfigures_exporter","healthcheck"] /etc/appfigures_exporter 1.2.3-test 0123456789abcdef0123456789abcdef01234567`
	if got := e.run(t, "image", "inspect", "--format="+format, exporterImage); got != want {
		t.Errorf("the image's configuration is\n%s, want\n%s", got, want)
	}
	dir := t.TempDir()
	container := e.run(t, "create", exporterImage)
	e.run(t, "export", "--output="+dir+"/image.tar", container)
	e.run(t, "rm", container)
	harness.Run(t, dir, nil, "sh", "-c", "tar -xf image.tar && rm image.tar")
	files := strings.Fields(harness.Run(t, dir, nil, "find", ".", "-type", "f", "-size", "+0", "-printf", "%P\n"))
	slices.Sort(files)
	if want := []string{"LICENSE", "appfigures_exporter", "etc/ssl/certs/ca-certificates.crt"}; !slices.Equal(files, want) {
		t.Errorf("the image's files are %q, want %q", files, want)
	}
	size := harness.Run(t, dir, nil, "du", "--summarize", "--block-size=1M", "--apparent-size")
	if mebibytes, _, _ := strings.Cut(size, "\t"); len(mebibytes) > 2 || len(mebibytes) == 2 && mebibytes > "15" {
		t.Errorf("the image has %s MiB, want at most 15", mebibytes)
	}
}

// testDockerRun runs the commands of deploy/README.md, with another name for the container and a free port.
func testDockerRun(t *testing.T, e *engine) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/config/config.yml", "token_dir: /run/secrets\napi_url: https://127.0.0.1:9/\n")
	write(t, dir+"/secrets/mobile", "pat_in_a_container\n")
	text := strings.ReplaceAll(harness.ReadWith(t, "deploy/README.md"), "\\\n", "")
	commands := regexp.MustCompile(`(?m)^ *docker run (.*)$`).FindAllStringSubmatch(text, -1)
	if len(commands) != 2 {
		t.Fatalf("deploy/README.md has the commands %q, want two", commands)
	}
	for i, token := range []string{"reporting", "mobile"} {
		t.Run(token, func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(strings.NewReplacer(`"`, "", "$PWD", dir, "127.0.0.1:10187:", "127.0.0.1::").Replace(commands[i][1]))
			args = slices.DeleteFunc(args, func(arg string) bool { return arg == "--rm" || arg == "-d" })
			container := e.run(t, append([]string{"run", "--detach"}, args...)...)
			t.Cleanup(func() { e.run(t, "rm", "--force", "--volumes", container) })
			address := e.run(t, "port", container, "10187")
			harness.Until(t, healthTimeout, func() error {
				body, err := harness.Get("http://" + address + "/metrics")
				if err == nil && !strings.Contains(body, `token="`+token+`"`) {
					err = fmt.Errorf("no metric of the token %s", token)
				}
				if health := e.run(t, "inspect", "--format={{.State.Health.Status}}", container); err == nil && health != "healthy" {
					err = fmt.Errorf("the container is %s", health)
				}
				return err
			})
		})
	}
}

// testConfined checks that no service can do more than it needs to: write its files, use capabilities, be root, be
// another release tomorrow, or be reached from other machines.
func testConfined(t *testing.T, e *engine) {
	t.Parallel()
	c := newComposed(t, e, "compose.yaml", "compose.tokens.yaml")
	c.files = c.files[:2]
	var project struct {
		Services map[string]struct {
			Image, User string
			Build       any
			ReadOnly    bool     `json:"read_only"`
			CapDrop     []string `json:"cap_drop"`
			CapAdd      []string `json:"cap_add"`
			SecurityOpt []string `json:"security_opt"`
			Ports       []struct {
				HostIP string `json:"host_ip"`
			}
			Volumes []struct {
				Type, Source, Target string
				ReadOnly             bool `json:"read_only"`
			}
			Healthcheck any
		}
	}
	if err := json.Unmarshal([]byte(c.run("config", "--format=json")), &project); err != nil {
		t.Fatal(err)
	}
	for name, s := range project.Services {
		if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || len(s.CapAdd) > 0 || s.Healthcheck == nil ||
			!slices.Contains(s.SecurityOpt, "no-new-privileges:true") || s.User == "" || strings.HasPrefix(s.User, "0") ||
			s.Build == nil && strings.Count(s.Image, ".") != 2 {
			t.Errorf("%s is not confined: %+v", name, s)
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes a port on %q", name, port.HostIP)
			}
		}
		for _, volume := range s.Volumes {
			if _, err := os.Stat(volume.Source); volume.Type == "bind" && (!volume.ReadOnly || err != nil) {
				t.Errorf("%s can write to %s, or it does not exist: %v", name, volume.Source, err)
			}
		}
	}
}

// testComposeDemo checks that all services become healthy as shipped, and that an alert of the demo reaches a webhook
// with the token's owner in it.
func testComposeDemo(t *testing.T, e *engine) {
	t.Parallel()
	c := newComposed(t, e, "compose.yaml")
	c.run("up", "--detach", "--wait", fmt.Sprintf("--wait-timeout=%.0f", healthTimeout.Seconds()))
	if page, err := harness.Get("http://" + c.address("exporter", "10187")); err != nil || !strings.Contains(page, "old-campaign") {
		t.Errorf("the status page: %v\n%s", err, page)
	}
	c.awaitNotification(regexp.MustCompile(`^AppfiguresTokenRejected/.*/mobile-old/mobile$`))
}

// testComposeTokens follows the instructions for tokens, and checks that their state survives everything that a user
// does to a container, and that a config error shows, while Prometheus runs and alerts.
func testComposeTokens(t *testing.T, e *engine) {
	t.Parallel()
	api := harness.ServeAPI(t, e.gateway(t), harness.NewAuthority(t), simulator.New(simulator.Options{}), nil)
	const secret, config = "pat_in_a_container", "/deploy/compose/exporter/"
	api.Set(secret, simulator.Valid)
	c := newComposed(t, e, "compose.yaml", "compose.override.yaml")
	write(t, c.dir+"/compose.override.yaml", harness.Read(t, c.dir+"/compose.tokens.yaml"))
	write(t, c.dir+config+"ca.pem", harness.Read(t, api.CA.File))
	write(t, c.dir+config+"config.yml", harness.Read(t, c.dir+config+"config.yml")+
		"api_url: "+api.URL()+"\ntls_config: {ca_file: ca.pem}\n")
	install := exec.Command("install", "-o", "65532", "-m", "0400", "/dev/stdin", c.dir+"/secrets/reporting")
	install.Stdin = strings.NewReader(secret + "\n")
	harness.Output(t, install)

	c.run("up", "--detach")
	valid := func() {
		t.Helper()
		harness.PrometheusAt(c.address("prometheus", "9090")).Await(t, time.Minute, map[string]float64{"reporting": 1},
			`appfigures_token_valid and on (instance) (time() - process_start_time_seconds < 30)`, "token")
	}
	valid()
	requests := api.TotalRequests()
	started := func() string {
		container := c.run("ps", "--quiet", "exporter")
		return container + e.run(t, "inspect", "--format={{.State.StartedAt}}", container)
	}
	for _, commands := range [][]string{
		{"restart"}, {"kill exporter", "up --detach"}, {"up --detach --force-recreate exporter"}, {"upgrade", "up --detach"},
	} {
		api.Set(secret, simulator.ServerError) // what is known must come from the state
		before := started()
		for _, command := range commands {
			if command == "upgrade" {
				e.build(t, exporterImage, "FROM "+exporterImage+"\nLABEL upgraded=yes\n", nil)
				continue
			}
			c.run(strings.Fields(command)...)
		}
		if started() == before {
			t.Errorf("%q started nothing", commands)
		}
		valid()
	}
	used, _ := harness.Sum(c.metrics(), `appfigures_account_budget_used_requests\{.*\}`)
	if n := float64(api.TotalRequests()); n != used || n > float64(requests)+100 {
		t.Errorf("%v requests, %v counted; %d before the restarts", n, used, requests)
	}

	write(t, c.dir+config+"config.yml", "tokens: broken\n")
	c.run("restart", "exporter")
	harness.Until(t, time.Minute, func() error {
		if logs := c.run("logs", "exporter"); !strings.Contains(logs, "config.yml:1: ") {
			return fmt.Errorf("the log does not name the problem:\n%s", logs)
		}
		return nil
	})
	c.awaitNotification(regexp.MustCompile(`^AppfiguresExporterDown/`))
}
