package server

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// TestReadme runs the README's blocks of sh from the first to the last, in one directory, against the simulated API. A
// block that serves goes on until the next one that does. What the blocks read is typed: here it is the token.
func TestReadme(t *testing.T) {
	t.Parallel()
	api := harness.NewAPI(t, simulator.Options{})
	for _, secret := range []string{"pat_one", "pat_two", "pat_three"} {
		api.Set(secret, simulator.Valid)
	}
	x := harness.NewExporter(t)
	x.Env = append(x.Env, api.Env("")[1:]...)
	x.Env = append(x.Env, "PATH=/usr/bin:/bin", "GLOBEX_FINANCE_TOKEN=pat_two")
	if err := os.Symlink(x.Binary, x.Dir+"/appfigures_exporter"); err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```(sh|yaml)\n(.*?)```").FindAllStringSubmatch(harness.ReadWith(t, "README.md"), -1)
	serves := regexp.MustCompile(`^(\w+=\S+ )*\./appfigures_exporter$`)
	for _, block := range blocks {
		kind, command := block[1], strings.TrimSpace(block[2])
		command = strings.NewReplacer("pat_…", "pat_one", "localhost:10187", x.Address).Replace(command)
		switch {
		case kind == "yaml" && strings.Contains(command, "tokens:"):
			x.WriteConfig(command + "\n" + api.Config())
			continue
		case kind == "yaml", command == "go run . demo", command == "go build .": // other tests run these
			continue
		}
		t.Logf("$ %s", command)
		shell := exec.Command("sh", "-c", command)
		shell.Dir, shell.Env, shell.Stdin = x.Dir, x.Env, strings.NewReader("pat_one\n")
		if serves.MatchString(command) {
			shell.Args[2] = strings.Replace(command, "./", "exec ./", 1) + " --web.listen-address=127.0.0.1:0"
			if x.Process != nil {
				x.Stop()
			}
			x.StartCommand(shell)
			continue
		}
		if out, code := outputAndCode(t, shell); code != 0 {
			t.Errorf("exit code %d\n%s", code, out)
		}
		if strings.HasPrefix(command, "mkdir ") {
			harness.Write(t, x.Dir+"/tokens/globex-ads", "pat_three\n")
		}
	}
	x.Until(30*time.Second, func(exposition string) error {
		return harness.Expect(exposition,
			`appfigures_token_valid{token="reporting"} 1`, `appfigures_token_valid{token="globex-finance"} 1`)
	})

	node := harness.NewExporter(t)
	node.StartCommand(exec.Command( // of the README's command for its textfile collector
		harness.Tool(t, "prometheus-node-exporter", "apt-get install prometheus-node-exporter"),
		"--web.listen-address="+node.Address, "--web.disable-exporter-metrics", "--collector.disable-defaults",
		"--collector.textfile", "--collector.textfile.directory="+x.Dir))
	if err := harness.Expect(node.Scrape(), "node_textfile_scrape_error 0",
		`appfigures_token_valid{token="reporting"} 1`); err != nil {
		t.Error(err)
	}
}
