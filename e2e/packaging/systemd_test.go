// Package systemd holds the test of the systemd unit: systemd understands it and finds it as tight as it says, the
// exporter takes its command line, and its credentials are the tokens of its configuration.
package packaging

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

const (
	unitName    = "appfigures_exporter.service"
	installed   = "/usr/local/bin/appfigures_exporter"
	credentials = "/run/credentials/" + unitName
)

var directory = filepath.Join(harness.Root, "deploy", "systemd")

func TestVerify(t *testing.T) {
	unit := read(t, unitName)
	if !bytes.Contains(unit, []byte("ExecStart="+installed+" ")) {
		t.Fatalf("the unit does not start %s", installed)
	}
	// systemd-analyze also looks for the program.
	unit = bytes.ReplaceAll(unit, []byte(installed), []byte(harness.Build(t)))
	file := filepath.Join(t.TempDir(), unitName)
	write(t, file, unit)
	verify := exec.Command("systemd-analyze", "verify", file)
	if out, err := verify.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%s: %v\n%s", verify, err, out)
	}
}

var stated = regexp.MustCompile("(?m)^# .*`systemd-analyze security` .* says ([0-9]+)\\.([0-9]), OK")

func TestSecurity(t *testing.T) {
	statement := stated.FindSubmatch(read(t, unitName))
	if statement == nil {
		t.Fatalf("the unit does not state its exposure: no line matches %s", stated)
	}
	tenths := string(statement[1]) + string(statement[2]) // as --threshold counts
	security := exec.Command("systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold="+tenths, filepath.Join(directory, unitName))
	if out, err := security.CombinedOutput(); err != nil {
		t.Errorf("%s: %v: more exposed than the unit states\n%s", security, err, out)
	}
}

func TestExporterTakesItsCommandLine(t *testing.T) {
	binary := harness.Build(t)
	help, err := exec.Command(binary, "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("--help: %v\n%s", err, help)
	}
	start := settings(t, "ExecStart")
	if len(start) != 1 {
		t.Fatalf("ExecStart is %q, want one", start)
	}
	for _, argument := range strings.Fields(start[0])[1:] {
		flag, _, _ := strings.Cut(argument, "=")
		if !strings.HasPrefix(flag, "--") || !bytes.Contains(help, []byte(flag)) {
			t.Errorf("%q is no flag of the exporter:\n%s", argument, help)
		}
	}
	if bind := settings(t, "SocketBindAllow"); len(bind) != 1 || !bytes.Contains(help, []byte(strings.TrimPrefix(bind[0], "tcp"))) {
		t.Errorf("SocketBindAllow is %q, which is not the default of --web.listen-address:\n%s", bind, help)
	}
}

func TestCredentialsAreTokens(t *testing.T) {
	var config struct {
		Tokens []struct {
			Name      string
			TokenFile string `yaml:"token_file"`
		}
	}
	if err := yaml.Unmarshal(read(t, "config.yml"), &config); err != nil {
		t.Fatal(err)
	}
	var tokenFiles, credentialFiles []string
	for _, token := range config.Tokens {
		tokenFiles = append(tokenFiles, token.TokenFile)
	}
	for _, credential := range settings(t, "LoadCredential") {
		name, _, _ := strings.Cut(credential, ":")
		credentialFiles = append(credentialFiles, credentials+"/"+name)
	}
	if len(tokenFiles) == 0 || !slices.Equal(tokenFiles, credentialFiles) {
		t.Errorf("config.yml reads %q, the unit loads %q", tokenFiles, credentialFiles)
	}
}

// TestExporterTakesItsConfiguration checks config.yml over credentials as systemd lays them out.
func TestExporterTakesItsConfiguration(t *testing.T) {
	dir := t.TempDir()
	for _, credential := range settings(t, "LoadCredential") {
		name, _, _ := strings.Cut(credential, ":")
		write(t, filepath.Join(dir, name), []byte("pat_of_the_test\n"))
	}
	file := filepath.Join(t.TempDir(), "config.yml")
	write(t, file, bytes.ReplaceAll(read(t, "config.yml"), []byte(credentials), []byte(dir)))
	check := exec.Command(harness.Build(t), "--config.check", "--config.file="+file)
	if out, err := check.CombinedOutput(); err != nil || bytes.Contains(out, []byte("level=WARN")) {
		t.Errorf("%s: %v\n%s", check, err, out)
	}
}

// TestRestartsSpareTheQuota bounds the probes that a service in a loop of crashes makes: one a token for each start.
func TestRestartsSpareTheQuota(t *testing.T) {
	const most = 50 // starts a day; a twentieth of the API's 1,000 requests
	interval, burst := settings(t, "StartLimitIntervalSec"), settings(t, "StartLimitBurst")
	if !slices.Equal(interval, []string{"1d"}) || len(burst) != 1 {
		t.Fatalf("starts are limited to %q in %q, want a number in 1d", burst, interval)
	}
	if starts, err := strconv.Atoi(burst[0]); err != nil || starts > most {
		t.Errorf("up to %q starts a day, want at most %d", burst[0], most)
	}
}

// settings returns the values of the unit's lines that set name.
func settings(t *testing.T, name string) []string {
	t.Helper()
	var values []string
	for line := range strings.Lines(string(read(t, unitName))) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			values = append(values, value)
		}
	}
	return values
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(directory, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
