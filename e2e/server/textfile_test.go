package server

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// TestNodeExporter checks that node_exporter serves what the documented command writes for it, denied tokens included,
// and nothing old when check fails.
func TestNodeExporter(t *testing.T) {
	t.Parallel()
	x := prepare(t, 2)
	dir := t.TempDir()
	documented := regexp.MustCompile(`appfigures_exporter (check --output=prometheus > (\S+)\.tmp; .*)`).
		FindStringSubmatch(documents(t))
	if documented == nil {
		t.Fatal("no document has a command for node_exporter's textfile collector")
	}
	script := `"$0" "$@" ` + strings.TrimPrefix(documented[1], "check ")
	script = strings.ReplaceAll(script, documented[2]+".", filepath.Join(dir, "appfigures."))
	write := func() {
		check := x.Command("check")
		shell := exec.Command("sh", append([]string{"-c", script}, check.Args...)...)
		shell.Dir, shell.Env = check.Dir, append(check.Env, "PATH=/usr/bin:/bin")
		out, _ := outputAndCode(t, shell)
		t.Logf("%s", out)
	}
	node := harness.NewExporter(t)
	node.StartCommand(exec.Command(
		harness.Tool(t, "prometheus-node-exporter", "apt-get install prometheus-node-exporter"),
		"--web.listen-address="+node.Address, "--web.disable-exporter-metrics", "--collector.disable-defaults",
		"--collector.textfile", "--collector.textfile.directory="+dir))

	x.api.Set(secretOf(1), simulator.Revoked)
	write()
	if err := harness.Expect(node.Scrape(), "node_textfile_scrape_error 0", valid(0, 1), valid(1, 0),
		`appfigures_token_denied{reason="rejected",token="token-1"} 1`); err != nil {
		t.Error(err)
	}
	x.WriteConfig("no configuration\n")
	write()
	exposition := node.Scrape()
	if err := harness.Expect(exposition, "node_textfile_scrape_error 0"); err != nil {
		t.Error(err)
	}
	if strings.Contains(exposition, "appfigures_token") {
		t.Errorf("after a check that failed, node_exporter serves old metrics:\n%s", exposition)
	}
}
