package packaging

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

const (
	unitName    = "appfigures_exporter.service"
	unitDir     = harness.Root + "/deploy/systemd/"
	unitProgram = "appfigures_exporter" // in /usr/local/bin or /usr/bin
	credentials = "/run/credentials/" + unitName
)

// TestUnit checks that systemd understands the unit, and finds it as confined as its comment states.
func TestUnit(t *testing.T) {
	unit := harness.ReadWith(t, "deploy/systemd/"+unitName,
		harness.Substitution{Old: "ExecStart=" + unitProgram + " ", New: "ExecStart=" + harness.Build(t) + " "},
		harness.Substitution{Old: "-/usr/bin/" + unitProgram, New: harness.Build(t)})
	file := filepath.Join(t.TempDir(), unitName)
	harness.Write(t, file, unit)
	verify := exec.Command("systemd-analyze", "verify", file)
	if out, err := verify.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%s: %v\n%s", verify, err, out)
	}

	exposure := regexp.MustCompile("(?m)^# .*`systemd-analyze security` .* says ([0-9]+)\\.([0-9]), OK")
	stated := exposure.FindStringSubmatch(unit)
	if stated == nil {
		t.Fatal("the unit does not state its exposure")
	}
	security := exec.Command("systemd-analyze", "security", "--no-pager", "--offline=true",
		"--threshold="+stated[1]+stated[2], unitDir+unitName)
	if out, err := security.CombinedOutput(); err != nil {
		t.Errorf("%s: %v: more exposed than the unit states\n%s", security, err, out)
	}
}

// TestUnitCommandLine checks that the exporter knows its flags, that its default port may be bound, and that its state
// survives: with a state directory, restarts need no limit.
func TestUnitCommandLine(t *testing.T) {
	start := settings(t, "ExecStart")
	if len(start) != 1 {
		t.Fatalf("ExecStart is %q, want one", start)
	}
	checkFlags(t, strings.Fields(start[0])[1:])
	help, err := exec.Command(harness.Build(t), "--help").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	bind := settings(t, "SocketBindAllow")
	if len(bind) != 1 || !bytes.Contains(help, []byte(strings.TrimPrefix(bind[0], "tcp"))) {
		t.Errorf("SocketBindAllow is %q, which is not the default of --web.listen-address", bind)
	}
	if state := settings(t, "StateDirectory"); !slices.Equal(state, []string{"appfigures_exporter"}) {
		t.Errorf("StateDirectory is %q", state)
	}
}

// TestUnitCredentials checks that the exporter accepts config.yml, and that its tokens are exactly the unit's
// credentials.
func TestUnitCredentials(t *testing.T) {
	var config struct {
		Tokens []struct {
			TokenFile string `yaml:"token_file"`
		}
	}
	if err := yaml.Unmarshal([]byte(harness.Read(t, unitDir+"config.yml")), &config); err != nil {
		t.Fatal(err)
	}
	var files, loaded, names []string
	for _, token := range config.Tokens {
		files = append(files, token.TokenFile)
	}
	for _, credential := range settings(t, "LoadCredential") {
		name, _, _ := strings.Cut(credential, ":")
		names, loaded = append(names, name), append(loaded, credentials+"/"+name)
	}
	if len(files) == 0 || !slices.Equal(files, loaded) {
		t.Errorf("config.yml reads %q, the unit loads %q", files, loaded)
	}
	checkConfig(t, unitDir+"config.yml", credentials, names)
}

// settings returns the values of a setting in the unit.
func settings(t *testing.T, name string) []string {
	t.Helper()
	var values []string
	for line := range strings.Lines(harness.Read(t, unitDir+unitName)) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), name+"="); found {
			values = append(values, value)
		}
	}
	return values
}
