// Package version holds the test of what --version says: the truth, in each way of building the exporter.
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

func TestVersion(t *testing.T) {
	source := checkout(t)
	commit := output(t, source, nil, "git", "rev-parse", "HEAD")

	for _, test := range []struct {
		name  string
		build func(t *testing.T, binary string)
		want  []string
	}{
		{
			"go build in a checkout at a tag", func(t *testing.T, binary string) {
				output(t, source, []string{"GOFLAGS=-buildvcs=true"}, "go", "build", "-o", binary, ".")
			},
			[]string{"version 1.2.3 ", "revision: " + commit},
		},
		{
			"go build in a checkout that was changed", func(t *testing.T, binary string) {
				changed := checkout(t)
				write(t, filepath.Join(changed, "changed.go"), "package main\n")
				output(t, changed, []string{"GOFLAGS=-buildvcs=true"}, "go", "build", "-o", binary, ".")
			},
			[]string{"version 1.2.3+dirty ", "revision: " + commit + "-modified"},
		},
		{
			"go build of sources without their history", func(t *testing.T, binary string) {
				output(t, source, []string{"GOFLAGS=-buildvcs=false"}, "go", "build", "-o", binary, ".")
			},
			[]string{"version devel ", "revision: unknown"},
		},
		{
			"go install of a release", func(t *testing.T, binary string) {
				proxy := "GOPROXY=file://" + moduleProxy(t, source) + ",file://" + output(t, source, nil, "go", "env", "GOMODCACHE") + "/cache/download"
				env := []string{
					proxy, "GOSUMDB=off", "GOMODCACHE=" + t.TempDir(), "GOBIN=" + filepath.Dir(binary),
					"CGO_ENABLED=0", "GOFLAGS=-modcacherw -trimpath", // shares what the release builds below compile
				}
				output(t, t.TempDir(), env, "go", "install", module+"@v1.2.3")
			},
			[]string{"version 1.2.3 "},
		},
		{
			"the release build", func(t *testing.T, binary string) {
				stamp := strings.Fields(output(t, source, nil, "sh", "deploy/stamp.sh"))
				output(t, source, stamp, "sh", "deploy/build.sh", binary)
			},
			[]string{"version 1.2.3 ", "branch: HEAD", "revision: " + commit, "build date:       20"},
		},
		{
			"the release build without a stamp", func(t *testing.T, binary string) {
				output(t, source, nil, "sh", "deploy/build.sh", binary)
			},
			[]string{"version devel ", "revision: unknown"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			binary := filepath.Join(t.TempDir(), path.Base(module))
			test.build(t, binary)
			said := output(t, ".", nil, binary, "--version")
			for _, want := range test.want {
				if !strings.Contains(said, want) {
					t.Errorf("--version does not say %q:\n%s", want, said)
				}
			}
		})
	}
}

// checkout returns a clone of the repository's newest commit, tagged as a release.
func checkout(t *testing.T) string {
	t.Helper()
	clone := filepath.Join(t.TempDir(), "checkout")
	output(t, harness.Root, nil, "git", "clone", "--quiet", "--no-tags", ".", clone)
	output(t, clone, nil, "git", "checkout", "--quiet", "--detach")
	output(t, clone, nil, "git", "tag", "v1.2.3")
	return clone
}

// moduleProxy returns a directory that serves the sources as the module's release v1.2.3, as a module proxy does.
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
	write(t, filepath.Join(versions, "list"), "v1.2.3\n")
	write(t, filepath.Join(versions, "v1.2.3.info"), string(info))
	write(t, filepath.Join(versions, "v1.2.3.mod"), read(t, filepath.Join(source, "go.mod")))

	archive, err := os.Create(filepath.Join(versions, "v1.2.3.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	writer := zip.NewWriter(archive)
	for _, file := range moduleFiles(t, source) {
		entry, err := writer.Create(module + "@v1.2.3/" + file)
		if err == nil {
			_, err = entry.Write([]byte(read(t, filepath.Join(source, file))))
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

// moduleFiles lists the committed files but those of nested modules, which are no part of this one.
func moduleFiles(t *testing.T, source string) []string {
	t.Helper()
	var files []string
	for file := range strings.SplitSeq(output(t, source, nil, "git", "ls-files"), "\n") {
		if !strings.HasPrefix(file, "e2e/") && !strings.HasPrefix(file, "tools/") {
			files = append(files, file)
		}
	}
	return files
}

// output runs the program in dir with env beside this process's environment, and returns what it printed, trimmed.
func output(t *testing.T, dir string, env []string, program string, args ...string) string {
	t.Helper()
	command := exec.Command(program, args...)
	command.Dir = dir
	command.Env = append(os.Environ(), env...)
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", command, err, out, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
