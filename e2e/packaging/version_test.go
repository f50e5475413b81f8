package packaging

import (
	"archive/zip"
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

const module = "github.com/appfigures-exporter/appfigures_exporter"

// TestVersion checks what --version reports for each way of building the exporter.
func TestVersion(t *testing.T) {
	source := checkout(t)
	commit := run(t, source, nil, "git", "rev-parse", "HEAD")

	for _, test := range []struct {
		name  string
		build func(t *testing.T, binary string)
		want  []string
	}{
		{
			"go build in a checkout at a tag", func(t *testing.T, binary string) {
				run(t, source, []string{"GOFLAGS=-buildvcs=true"}, "go", "build", "-o", binary, ".")
			},
			[]string{"version 1.2.3 ", "revision: " + commit},
		},
		{
			"go build in a checkout that was changed", func(t *testing.T, binary string) {
				changed := checkout(t)
				harness.Write(t, filepath.Join(changed, "changed.go"), "package main\n")
				run(t, changed, []string{"GOFLAGS=-buildvcs=true"}, "go", "build", "-o", binary, ".")
			},
			[]string{"version 1.2.3+dirty ", "revision: " + commit + "-modified"},
		},
		{
			"go build of sources without git", func(t *testing.T, binary string) {
				run(t, source, []string{"GOFLAGS=-buildvcs=false"}, "go", "build", "-o", binary, ".")
			},
			[]string{"version devel ", "revision: unknown"},
		},
		{
			"go install of a release", func(t *testing.T, binary string) {
				modules := run(t, source, nil, "go", "env", "GOMODCACHE") + "/cache/download"
				proxy := "GOPROXY=file://" + moduleProxy(t, source) + ",file://" + modules
				env := []string{
					proxy, "GOSUMDB=off", "GOMODCACHE=" + t.TempDir(), "GOBIN=" + filepath.Dir(binary),
					"CGO_ENABLED=0", "GOFLAGS=-modcacherw -trimpath", // as the release build, to share its build cache
				}
				run(t, t.TempDir(), env, "go", "install", module+"@v1.2.3")
			},
			[]string{"version 1.2.3 "},
		},
		{
			"the release build", func(t *testing.T, binary string) {
				stamp := strings.Fields(run(t, source, nil, "sh", "deploy/stamp.sh"))
				run(t, source, stamp, "sh", "deploy/build.sh", binary)
			},
			[]string{"version 1.2.3 ", "branch: HEAD", "revision: " + commit, "build date:       20"},
		},
		{
			"the release build without a stamp", func(t *testing.T, binary string) {
				run(t, source, nil, "sh", "deploy/build.sh", binary)
			},
			[]string{"version devel ", "revision: unknown"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			binary := filepath.Join(t.TempDir(), path.Base(module))
			test.build(t, binary)
			reported := run(t, ".", nil, binary, "--version")
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
	run(t, harness.Root, nil, "git", "clone", "--quiet", "--no-tags", ".", clone)
	run(t, clone, nil, "git", "checkout", "--quiet", "--detach")
	run(t, clone, nil, "git", "tag", "v1.2.3")
	return clone
}

// moduleProxy returns a directory that serves the sources as release v1.2.3, as a module proxy does.
func moduleProxy(t *testing.T, source string) string {
	t.Helper()
	proxy := t.TempDir()
	versions := filepath.Join(proxy, filepath.FromSlash(module), "@v")
	if err := os.MkdirAll(versions, 0o755); err != nil {
		t.Fatal(err)
	}
	info, err := json.Marshal(map[string]string{"Version": "v1.2.3", "Time": "2026-01-02T03:04:05Z"})
	if err != nil {
		t.Fatal(err)
	}
	harness.Write(t, filepath.Join(versions, "list"), "v1.2.3\n")
	harness.Write(t, filepath.Join(versions, "v1.2.3.info"), string(info))
	harness.Write(t, filepath.Join(versions, "v1.2.3.mod"), harness.Read(t, filepath.Join(source, "go.mod")))

	archive, err := os.Create(filepath.Join(versions, "v1.2.3.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	writer := zip.NewWriter(archive)
	for _, file := range moduleFiles(t, source) {
		entry, err := writer.Create(module + "@v1.2.3/" + file)
		if err == nil {
			_, err = entry.Write([]byte(harness.Read(t, filepath.Join(source, file))))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return proxy
}

// moduleFiles lists the committed files except those of nested modules, which are not part of this one.
func moduleFiles(t *testing.T, source string) []string {
	t.Helper()
	var files []string
	for file := range strings.SplitSeq(run(t, source, nil, "git", "ls-files"), "\n") {
		if !strings.HasPrefix(file, "e2e/") && !strings.HasPrefix(file, "tools/") {
			files = append(files, file)
		}
	}
	return files
}

// run runs a program in dir, with env besides this process's environment, and returns what it prints.
func run(t *testing.T, dir string, env []string, program string, args ...string) string {
	t.Helper()
	command := exec.Command(program, args...)
	command.Dir = dir
	command.Env = append(os.Environ(), env...)
	return harness.Output(t, command)
}
