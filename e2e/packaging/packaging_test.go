// Package packaging tests what the exporter is shipped in: the image and compose.yaml on a Docker engine, the packages,
// the systemd unit, and the version that each way of building reports.
package packaging

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

const (
	unitName = "appfigures_exporter.service"
	unitPath = "deploy/systemd/" + unitName
)

// TestUnit checks that systemd understands the unit, and finds it as confined as its comment states.
func TestUnit(t *testing.T) {
	unit := harness.ReadWith(t, unitPath, "ExecStart=appfigures_exporter ", "ExecStart="+harness.Build(t)+" ",
		"-/usr/bin/appfigures_exporter", harness.Build(t))
	file := filepath.Join(t.TempDir(), unitName)
	harness.Write(t, file, unit)
	verify := exec.Command("systemd-analyze", "verify", file)
	if out, err := verify.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%s: %v\n%s", verify, err, out)
	}
	stated := regexp.MustCompile("(?m)^# .*`systemd-analyze security` .* says ([0-9]+)\\.([0-9]), OK").
		FindStringSubmatch(unit)
	if stated == nil {
		t.Fatal("the unit does not state its exposure")
	}
	security := exec.Command("systemd-analyze", "security", "--no-pager", "--offline=true",
		"--threshold="+stated[1]+stated[2], filepath.Join(harness.Root, unitPath))
	if out, err := security.CombinedOutput(); err != nil {
		t.Errorf("%s: %v: more exposed than the unit states\n%s", security, err, out)
	}
}

// TestVersion checks what --version reports for each way of building the exporter.
func TestVersion(t *testing.T) {
	t.Parallel()
	source, changed := checkout(t), checkout(t)
	harness.Write(t, filepath.Join(changed, "changed.go"), "package main\n")
	commit := harness.Run(t, source, nil, "git", "rev-parse", "HEAD")
	stamp := strings.Fields(harness.Run(t, source, nil, "sh", "deploy/stamp.sh"))
	for name, test := range map[string]struct {
		dir   string
		env   []string
		build []string // the binary's path follows
		want  []string
	}{
		"at a tag": {
			source, []string{"GOFLAGS=-buildvcs=true"}, []string{"go", "build", "-o"},
			[]string{"version 1.2.3 ", "revision: " + commit},
		},
		"changed": {
			changed, []string{"GOFLAGS=-buildvcs=true"}, []string{"go", "build", "-o"},
			[]string{"version 1.2.3+dirty ", "revision: " + commit + "-modified"},
		},
		"without git": {
			source, []string{"GOFLAGS=-buildvcs=false"}, []string{"go", "build", "-o"},
			[]string{"version devel ", "revision: unknown"},
		},
		"a release": {
			source, stamp, []string{"sh", "deploy/build.sh"},
			[]string{"version 1.2.3 ", "branch: HEAD", "revision: " + commit, "build date:       20"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			binary := filepath.Join(t.TempDir(), "appfigures_exporter")
			harness.Run(t, test.dir, test.env, test.build[0], append(test.build[1:], binary)...)
			reported := harness.Run(t, ".", nil, binary, "--version")
			for _, want := range test.want {
				if !strings.Contains(reported, want) {
					t.Errorf("--version does not contain %q:\n%s", want, reported)
				}
			}
		})
	}
}

// checkout returns a clone of the repository's latest commit, tagged as a release.
func checkout(t *testing.T) string {
	t.Helper()
	clone := filepath.Join(t.TempDir(), "checkout")
	harness.Run(t, harness.Root, nil, "git", "clone", "--quiet", "--no-tags", ".", clone)
	harness.Run(t, clone, nil, "git", "checkout", "--quiet", "--detach")
	harness.Run(t, clone, nil, "git", "tag", "v1.2.3")
	return clone
}
