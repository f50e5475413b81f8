package server

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// elsewhere lists how commands of the README begin that other tests run, or that cannot be run before a release.
var elsewhere = map[string]string{
	"go run . demo":  "the binary's demo, in prometheus.TestDemo",
	"go test ./...":  "the first step of the pipeline",
	"go install ":    "packaging.TestVersion",
	"docker compose": "packaging.TestDocker",
	"docker run":     "packaging.TestDocker",
	"docker pull":    "needs a release",
	"tar ":           "release-check",
	"apt install":    "packaging.TestPackages",
	"dnf install":    "packaging.TestPackages",
	"helm install":   "the chart's tests",
	"cosign verify":  "needs a release",
	"gh attestation": "needs a release",
	"sha256sum":      "release-check",
}

// TestReadme runs each command of the README's blocks of sh, in order, where the exporter is in PATH and its API is the
// simulated one. A command that serves stays until the next one that does.
func TestReadme(t *testing.T) {
	t.Parallel()
	api := harness.NewAPI(t, simulator.Options{})
	x := harness.NewExporter(t)
	x.Env = append(x.Env, api.Env("pat_…")...)
	x.Env = append(x.Env, "PATH="+filepath.Dir(x.Binary)+":/usr/bin:/bin")
	api.Set("pat_…", simulator.Valid)
	ran := 0
	for _, command := range shellCommands(harness.ReadWith(t, "README.md")) {
		if startsWith(command, elsewhere) {
			continue
		}
		ran++
		t.Logf("$ %s", command)
		shell := exec.Command("sh", "-c", "exec "+strings.TrimPrefix(command, "exec "))
		if variables := regexp.MustCompile(`^(\w+=\S+ )+`).FindString(command); variables != "" {
			shell = exec.Command("sh", "-c", variables+"exec "+strings.TrimPrefix(command, variables))
		}
		shell.Dir, shell.Env = x.Dir, x.Env
		if regexp.MustCompile(`appfigures_exporter( (serve|demo|-.*))?$`).MatchString(command) {
			if x.Process != nil {
				x.Stop()
			}
			x.StartCommand(shell)
			continue
		}
		if out, code := outputAndCode(t, shell); code != 0 {
			t.Errorf("%s: exit code %d\n%s", command, code, out)
		}
	}
	if ran == 0 {
		t.Error("the README has no command that this test runs")
	}
}

// shellCommands returns the commands of a document's blocks of sh.
func shellCommands(markdown string) (commands []string) {
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(markdown, -1) {
		for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", "")) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				commands = append(commands, line)
			}
		}
	}
	return commands
}

func startsWith(command string, beginnings map[string]string) bool {
	for beginning := range beginnings {
		if strings.HasPrefix(command, beginning) {
			return true
		}
	}
	return false
}

// documents returns the text of all documents.
func documents(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{"*.md", "docs/*.md", "deploy/*.md"} {
		files, err := filepath.Glob(filepath.Join(harness.Root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("there is no %s: %v", pattern, err)
		}
		for _, file := range files {
			all.WriteString(harness.Read(t, file))
		}
	}
	return all.String()
}

// uncomment returns YAML with the keys and list items in comments that begin with the marker: a number sign, and the
// space after it where there is one. Sentences remain comments.
func uncomment(text, marker string) string {
	commented := regexp.MustCompile(`(?m)^( *)` + marker + `((?:  +)?(?:- )?[a-z_]+:(?: .*)?)$`)
	return commented.ReplaceAllString(text, "$1$2")
}

// TestExampleConfiguration uncomments every key of config.yml.example, with an API, files and variables of the test.
func TestExampleConfiguration(t *testing.T) {
	t.Parallel()
	api := harness.NewAPI(t, simulator.Options{})
	client := api.CA.Issue(t, "127.0.0.1")
	x := harness.NewExporter(t)
	config := uncomment(harness.ReadWith(t, "config.yml.example"), "#")
	for key, value := range map[string]string{
		"token_file": "reporting", "path": "tokens", "ca_file": api.CA.File, "cert_file": client.CertFile,
		"key_file": client.KeyFile, "server_name": "127.0.0.1", "api_url": api.URL(), "proxy_url": "",
		"expires_at": time.Now().AddDate(1, 0, 0).Format(time.DateOnly),
	} {
		line := regexp.MustCompile(`(?m)^( *(?:- )?)` + key + `: .*$`)
		if !line.MatchString(config) {
			t.Errorf("config.yml.example has no %s", key)
		}
		if value != "" {
			config = line.ReplaceAllString(config, "${1}"+key+": "+value)
		} else {
			config = line.ReplaceAllString(config, "")
		}
	}
	x.WriteConfig(config)
	if err := os.Mkdir(x.Dir+"/tokens", 0o700); err != nil {
		t.Fatal(err)
	}
	harness.Write(t, x.Dir+"/reporting", "pat_reporting\n")
	harness.Write(t, x.Dir+"/tokens/mobile", "pat_mobile\n")
	x.Env = append(x.Env, "APPFIGURES_ETL_TOKEN=pat_etl")
	trial := regexp.MustCompile(`(?m)^ *token: (\S+)`).FindStringSubmatch(config)
	if trial == nil {
		t.Fatal("config.yml.example has no token in the file itself")
	}
	for _, secret := range []string{"pat_reporting", "pat_mobile", "pat_etl", trial[1]} {
		api.Set(secret, simulator.Valid)
	}
	if out, code := outputAndCode(t, x.Command("--config.check")); code != 0 {
		t.Fatalf("--config.check: exit code %d\n%s\n%s", code, out, config)
	}
	x.Start()
	var lines []string
	for _, token := range []string{"reporting", "mobile", "etl", "trial"} {
		lines = append(lines, fmt.Sprintf(`appfigures_token_valid{token=%q} 1`, token))
	}
	x.Until(30*time.Second, func(exposition string) error { return harness.Expect(exposition, lines...) })
	if _, labeled := harness.Sum(x.Scrape(), `appfigures_token_info\{.*team="growth".*\}`); labeled != 1 {
		t.Errorf("%d tokens have the example's label", labeled)
	}
}

// TestExampleReceivers uncomments every example of alertmanager.yml.
func TestExampleReceivers(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "alertmanager.yml")
	harness.Write(t, file, uncomment(harness.ReadWith(t, "prometheus/alertmanager.yml"), "# "))
	amtool := harness.Tool(t, "amtool", "go install github.com/prometheus/alertmanager/cmd/amtool@v0.34.2")
	if out, code := outputAndCode(t, exec.Command(amtool, "check-config", file)); code != 0 {
		t.Errorf("%s\n%s", out, harness.Read(t, file))
	}
}
