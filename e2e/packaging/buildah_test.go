package packaging

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

// The stand-in for the golang image consists of these files and the machine's toolchain.
const (
	busybox      = "/bin/busybox"
	certificates = "/etc/ssl/certs/ca-certificates.crt"
)

// buildah builds images without a daemon, a registry or kernel modules, in a store that ends with the test.
type buildah struct {
	store     string
	toolchain []string // flags that mount this machine's toolchain and module cache into the stand-in
}

// newBuildah fails the test if something is missing: without an image there is nothing to test.
func newBuildah(t *testing.T) *buildah {
	t.Helper()
	harness.NeedRoot(t)
	harness.Tool(t, "buildah", "apt-get install buildah")
	for _, file := range []string{busybox, certificates} {
		if _, err := os.Stat(file); err != nil {
			t.Fatalf("%v; apt-get install busybox-static ca-certificates", err)
		}
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

// build builds the Dockerfile for Linux on an architecture and returns the image's name.
func (b *buildah) build(t *testing.T, arch string, buildArgs map[string]string) string {
	t.Helper()
	b.buildStandIn(t, arch)
	name := "appfigures_exporter:" + arch
	args := []string{
		"bud", "--isolation", "chroot", "--pull-never", "--format", "docker",
		"--platform", "linux/" + arch, "--tag", name,
	}
	args = append(args, b.toolchain...)
	for key, value := range buildArgs {
		args = append(args, "--build-arg", key+"="+value)
	}
	b.run(t, append(args, harness.Root)...)
	return name
}

var buildStage = regexp.MustCompile(`(?m)^FROM --platform=\$BUILDPLATFORM (docker.io/library/golang:\S+) AS build$`)

// buildStandIn builds an image that the build stage takes for the golang image. It is labeled with the target's
// architecture, although its programs are this machine's, because buildah before 1.29 looks it up by the target's.
func (b *buildah) buildStandIn(t *testing.T, arch string) {
	t.Helper()
	base := buildStage.FindStringSubmatch(harness.ReadWith(t, "Dockerfile"))
	if base == nil {
		t.Fatalf("Dockerfile has no line that matches %s", buildStage)
	}
	context := t.TempDir()
	for _, file := range []struct {
		from, to string
		mode     os.FileMode
	}{
		{"testdata/golang.Dockerfile", "Dockerfile", 0o644},
		{busybox, "busybox", 0o755},
		{certificates, "ca-certificates.crt", 0o644},
	} {
		to := filepath.Join(context, file.to)
		if err := os.WriteFile(to, []byte(harness.Read(t, file.from)), file.mode); err != nil {
			t.Fatal(err)
		}
	}
	b.run(t, "bud", "--isolation", "chroot", "--arch", arch, "--tag", base[1], context)
}

// imageConfig is the configuration that a container engine reads.
type imageConfig struct {
	Architecture string
	Config       struct {
		User         string
		ExposedPorts map[string]struct{}
		Volumes      map[string]struct{}
		Env          []string
		Entrypoint   []string
		Cmd          []string
		WorkingDir   string
		Labels       map[string]string
		Healthcheck  *struct{ Test []string }
	}
}

func (b *buildah) inspect(t *testing.T, image string) imageConfig {
	t.Helper()
	var inspected struct{ Docker imageConfig }
	if err := json.Unmarshal([]byte(b.run(t, "inspect", "--type", "image", image)), &inspected); err != nil {
		t.Fatalf("inspecting %s: %v", image, err)
	}
	return inspected.Docker
}

// unpack returns the directory with the image's files.
func (b *buildah) unpack(t *testing.T, image string) string {
	t.Helper()
	return b.run(t, "mount", b.run(t, "from", "--pull-never", image))
}

func (b *buildah) run(t *testing.T, args ...string) string {
	t.Helper()
	store := []string{
		"--storage-driver", "vfs", "--root", filepath.Join(b.store, "root"), "--runroot", filepath.Join(b.store, "run"),
	}
	return harness.Output(t, exec.Command("buildah", append(store, args...)...))
}

func goCommand(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.Command("go", args...)
	command.Dir = harness.Root
	return harness.Output(t, command)
}
