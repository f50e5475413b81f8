package server

import (
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// TestCheckForNodeExporter checks that node_exporter serves what the README's command writes for it, denied tokens
// included, and nothing old when check fails.
func TestCheckForNodeExporter(t *testing.T) {
	t.Parallel()
	x := prepareAccount(t, 2)
	dir := t.TempDir()
	documented := regexp.MustCompile("`check (--output=prometheus > F.tmp; .*)` \\|").
		FindStringSubmatch(harness.Read(t, filepath.Join(harness.Root, "README.md")))
	if documented == nil {
		t.Fatal("README.md has no command for node_exporter's textfile collector")
	}
	script := `"$0" "$@" ` + strings.ReplaceAll(documented[1], "F.", filepath.Join(dir, "appfigures."))
	script = strings.Replace(script, ";", "; code=$?;", 1) + "; exit $code"
	write := func(want int) {
		t.Helper()
		check := x.Command("check")
		shell := exec.Command("sh", append([]string{"-c", script}, check.Args...)...)
		shell.Dir, shell.Env = check.Dir, append(check.Env, "PATH=/usr/bin:/bin")
		if out, code := outputAndCode(t, shell); code != want {
			t.Errorf("%s: exit code %d, want %d\n%s", script, code, want, out)
		}
	}
	node := harness.NewExporter(t)
	node.StartCommand(exec.Command(
		harness.Tool(t, "prometheus-node-exporter", "apt-get install prometheus-node-exporter"),
		"--web.listen-address="+node.Address, "--web.disable-exporter-metrics", "--collector.disable-defaults",
		"--collector.textfile", "--collector.textfile.directory="+dir))
	serves := func(lines ...string) {
		t.Helper()
		lines = append(lines, "node_textfile_scrape_error 0", `node_scrape_collector_success{collector="textfile"} 1`)
		exposition := node.Scrape()
		if err := harness.Expect(exposition, lines...); err != nil {
			t.Errorf("%v\n%s", err, exposition)
		}
	}

	x.api.Set(secretOf(1), simulator.Revoked)
	write(2)
	serves(`appfigures_token_valid{token="token-0"} 1`, `appfigures_token_valid{token="token-1"} 0`,
		`appfigures_token_denied{reason="rejected",token="token-1"} 1`)
	x.WriteConfig("no configuration\n")
	write(3)
	serves()
	if exposition := node.Scrape(); strings.Contains(exposition, "appfigures_token") {
		t.Errorf("after a check that failed, node_exporter serves old metrics:\n%s", exposition)
	}
}

// TestCheckAsPlugin checks that programs which call monitoring plugins understand check's exit code, its first line
// and its performance data. urlize returns WARNING if a plugin prints to standard error.
func TestCheckAsPlugin(t *testing.T) {
	for _, test := range []struct {
		behavior simulator.Behavior
		code     int
		word     string
		negate   string // the option that maps the state to another
		mapped   int
	}{
		{simulator.Valid, 0, "OK", "--ok=WARNING", 1},
		{simulator.Revoked, 2, "CRITICAL", "--critical=OK", 0},
		{simulator.ServerError, 3, "UNKNOWN", "--unknown=WARNING", 1},
	} {
		t.Run(test.word, func(t *testing.T) {
			t.Parallel()
			x := prepareAccount(t, 1)
			x.setAll(1, test.behavior)
			call := func(plugin string, args ...string) (string, int) {
				t.Helper()
				path := "/usr/lib/nagios/plugins/" + plugin // apt-get install monitoring-plugins-basic
				check := x.Command("check", "--output=nagios")
				caller := exec.Command(path, append(args, check.Args...)...)
				caller.Dir, caller.Env = check.Dir, check.Env
				return outputAndCode(t, caller)
			}

			// urlize makes a link of the text before the performance data.
			out, code := call("urlize", "http://localhost:10187/")
			link := `<A href="http://localhost:10187/">APPFIGURES ` + test.word + " - 1 token"
			first, _, _ := strings.Cut(out, "\n")
			_, performance, _ := strings.Cut(first, "</A> |")
			if code != test.code || !strings.HasPrefix(first, link) || !strings.Contains(performance, "denied=") {
				t.Errorf("urlize: exit code %d, want %d, and a link before the performance data\n%s", code, test.code, out)
			}

			// negate maps the exit code, and replaces the word of the state in the text.
			out, code = call("negate", "--substitute", test.negate)
			_, word, _ := strings.Cut(test.negate, "=")
			if code != test.mapped || !strings.HasPrefix(out, "APPFIGURES "+word+" - 1 token") {
				t.Errorf("negate: exit code %d, want %d and the word %s\n%s", code, test.mapped, word, out)
			}
		})
	}
}

// outputAndCode runs a command and returns what it prints and its exit code.
func outputAndCode(t *testing.T, cmd *exec.Cmd) (string, int) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return string(out), 0
}
