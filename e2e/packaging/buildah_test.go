package packaging

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

// buildah runs the program of that name in a store of its own, which ends with the test. It needs root, and no
// daemon, registry, or kernel module: images are plain directories.
type buildah struct {
	store     string
	toolchain []string // the mounts that make the stand-in a golang image
}

// newBuildah fails the test when the machine lacks what it takes: an image that nobody built is not a passed test.
func newBuildah(t *testing.T) *buildah {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("building the image and entering it as another user takes root")
	}
	for _, file := range []string{busybox, certificates} {
		if _, err := os.Stat(file); err != nil {
			t.Fatalf("%v: install Debian's busybox-static and ca-certificates", err)
		}
	}
	if _, err := exec.LookPath("buildah"); err != nil {
		t.Fatalf("%v: install Debian's buildah", err)
	}

	goCommand(t, "mod", "download")
	modules := filepath.Join(goCommand(t, "env", "GOMODCACHE"), "cache", "download")
	b := &buildah{
		store: t.TempDir(),
		toolchain: []string{
			"--volume", goCommand(t, "env", "GOROOT") + ":/usr/local/go:ro",
			"--volume", modules + ":/modules:ro",
		},
	}
	t.Cleanup(func() { b.run(t, "rm", "--all") })
	return b
}

// What the stand-in for the golang image is made of, where Debian puts it.
const (
	busybox      = "/bin/busybox"
	certificates = "/etc/ssl/certs/ca-certificates.crt"
)

// platform is one that the image is released for.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "/" + p.arch }

// build builds the Dockerfile as it is for the platform, stamped with the arguments, and returns the image's name.
func (b *buildah) build(t *testing.T, p platform, arguments map[string]string) string {
	t.Helper()
	b.standIn(t, p)

	name := "appfigures_exporter:" + p.arch
	args := []string{"bud", "--isolation", "chroot", "--pull-never", "--format", "docker", "--platform", p.String(), "--tag", name}
	args = append(args, b.toolchain...)
	for key, value := range arguments {
		args = append(args, "--build-arg", key+"="+value)
	}
	b.run(t, append(args, harness.Root)...)
	return name
}

var buildStage = regexp.MustCompile(`(?m)^FROM --platform=\$BUILDPLATFORM (golang:\S+) AS build$`)

// standIn makes the image that the build stage starts from. It is labelled with the target's architecture, although
// its programs are this machine's: buildah before 1.29 looks the base up by the target's platform.
func (b *buildah) standIn(t *testing.T, p platform) {
	t.Helper()
	dockerfile := read(t, filepath.Join(harness.Root, "Dockerfile"))
	base := buildStage.FindSubmatch(dockerfile)
	if base == nil {
		t.Fatalf("Dockerfile has no line that matches %s", buildStage)
	}

	context := t.TempDir()
	write(t, filepath.Join(context, "Dockerfile"), read(t, "testdata/golang/Dockerfile"), 0o644)
	write(t, filepath.Join(context, "busybox"), read(t, busybox), 0o755)
	write(t, filepath.Join(context, "ca-certificates.crt"), read(t, certificates), 0o644)
	b.run(t, "bud", "--isolation", "chroot", "--arch", p.arch, "--tag", "localhost/"+string(base[1]), context)
}

// configuration is what the image tells a container engine.
type configuration struct {
	Architecture string
	Config       struct {
		User         string
		ExposedPorts map[string]struct{}
		Env          []string
		Entrypoint   []string
		Cmd          []string
		WorkingDir   string
		Labels       map[string]string
		Healthcheck  *struct{ Test []string }
	}
}

func (b *buildah) inspect(t *testing.T, image string) configuration {
	t.Helper()
	var inspected struct{ Docker configuration }
	if err := json.Unmarshal(b.run(t, "inspect", "--type", "image", image), &inspected); err != nil {
		t.Fatalf("inspecting %s: %v", image, err)
	}
	return inspected.Docker
}

// unpack returns the directory that holds the image's files.
func (b *buildah) unpack(t *testing.T, image string) string {
	t.Helper()
	container := bytes.TrimSpace(b.run(t, "from", "--pull-never", image))
	return string(bytes.TrimSpace(b.run(t, "mount", string(container))))
}

func (b *buildah) run(t *testing.T, args ...string) []byte {
	t.Helper()
	global := []string{"--storage-driver", "vfs", "--root", filepath.Join(b.store, "root"), "--runroot", filepath.Join(b.store, "run")}
	return output(t, exec.Command("buildah", append(global, args...)...))
}

func goCommand(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.Command("go", args...)
	command.Dir = harness.Root
	return strings.TrimSpace(string(output(t, command)))
}

// output returns the command's standard output, and fails the test with everything it said when it fails.
func output(t *testing.T, command *exec.Cmd) []byte {
	t.Helper()
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", command, err, out, stderr.Bytes())
	}
	return out
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func write(t *testing.T, file string, content []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, content, mode); err != nil {
		t.Fatal(err)
	}
}
