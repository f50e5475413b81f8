package packaging

import (
	"bytes"
	"crypto/x509"
	"debug/elf"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

const (
	imageMaxSize  = 15 << 20 // of all files, in bytes
	imageUser     = 65532    // owns only the state directory, and need not exist on the host
	imageStateDir = "var/lib/appfigures_exporter"
)

// imageStamp is in place of what deploy/stamp.sh prints.
var imageStamp = map[string]string{
	"VERSION":    "1.2.3-test",
	"REVISION":   "0123456789abcdef0123456789abcdef01234567",
	"BRANCH":     "of-the-test",
	"BUILD_DATE": "2026-01-02T03:04:05Z",
}

// TestImage builds the Dockerfile for each platform, inspects the image, and runs that of this machine's platform.
func TestImage(t *testing.T) {
	b := newBuildah(t)
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		t.Run(arch, func(t *testing.T) {
			image := b.build(t, arch, imageStamp)
			config := b.inspect(t, image)
			root := b.unpack(t, image)

			if config.Architecture != arch {
				t.Errorf("the image's architecture is %q, want %q", config.Architecture, arch)
			}
			testImageConfig(t, config)
			testImageFiles(t, root)
			testImageBinary(t, filepath.Join(root, "appfigures_exporter"), machine)
			if arch == goCommand(t, "env", "GOHOSTARCH") {
				testImageRun(t, root, config)
			}
		})
	}
}

func testImageConfig(t *testing.T, image imageConfig) {
	config := image.Config
	if config.User != "65532:65532" {
		t.Errorf("user is %q, want 65532:65532", config.User)
	}
	if want := []string{"/appfigures_exporter"}; !slices.Equal(config.Entrypoint, want) {
		t.Errorf("entrypoint is %q, want %q", config.Entrypoint, want)
	}
	if len(config.Cmd) != 0 {
		t.Errorf("command is %q, want none: the default is serve", config.Cmd)
	}
	if _, ok := config.Volumes["/"+imageStateDir]; !ok || len(config.Volumes) != 1 {
		t.Errorf("volumes are %v, want /%s alone", config.Volumes, imageStateDir)
	}
	if _, ok := config.ExposedPorts["10187/tcp"]; !ok || len(config.ExposedPorts) != 1 {
		t.Errorf("exposed ports are %v, want 10187/tcp alone", config.ExposedPorts)
	}
	want := []string{"CMD", "/appfigures_exporter", "healthcheck"} // there is no shell
	if config.Healthcheck == nil || !slices.Equal(config.Healthcheck.Test, want) {
		t.Errorf("health check is %v, want %q", config.Healthcheck, want)
	}
	for label, want := range map[string]string{
		"title":    "appfigures_exporter",
		"source":   "https://github.com/appfigures-exporter/appfigures_exporter",
		"licenses": "Apache-2.0",
		"version":  imageStamp["VERSION"],
		"revision": imageStamp["REVISION"],
		"created":  imageStamp["BUILD_DATE"],
	} {
		if got := config.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("label org.opencontainers.image.%s is %q, want %q", label, got, want)
		}
	}
	if config.Labels["org.opencontainers.image.description"] == "" {
		t.Error("the image has no description")
	}
}

// testImageFiles checks that the image has these files and no others, so no shell; that its user can write only to its
// state directory; that it has CA certificates; and its size.
func testImageFiles(t *testing.T, root string) {
	want := []string{"LICENSE", "appfigures_exporter", "etc/ssl/certs/ca-certificates.crt"}
	var got []string
	var size int64
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		relative, _ := filepath.Rel(root, path)
		mode, owner := info.Mode().Perm(), info.Sys().(*syscall.Stat_t).Uid
		wantOwner := uint32(0)
		if relative == imageStateDir {
			wantOwner = imageUser
		}
		if mode&0o022 != 0 || owner != wantOwner {
			t.Errorf("%s has mode %s and owner %d; only %d may write to it", relative, mode, owner, wantOwner)
		}
		if !entry.IsDir() {
			got = append(got, relative)
			size += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the image's files are %q, want %q", got, want)
	}
	if size > imageMaxSize {
		t.Errorf("the image has %d bytes, want at most %d", size, imageMaxSize)
	}
	t.Logf("the image has %.1f MiB", float64(size)/(1<<20))
	authorities := harness.Read(t, filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"))
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(authorities)) {
		t.Error("the image has no CA certificates")
	}
}

func testImageBinary(t *testing.T, path string, machine elf.Machine) {
	binary, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	if binary.Machine != machine {
		t.Errorf("the binary is for %s, want %s", binary.Machine, machine)
	}
	for _, program := range binary.Progs {
		if program.Type == elf.PT_INTERP {
			t.Error("the binary needs a dynamic linker, which the image does not have")
		}
	}
	content := []byte(harness.Read(t, path))
	for name, value := range imageStamp {
		if !bytes.Contains(content, []byte(value)) {
			t.Errorf("the binary does not contain %s=%s", name, value)
		}
	}
	toolchain := goCommand(t, "env", "GOROOT")
	if strings.HasPrefix(toolchain, "/") && bytes.Contains(content, []byte(toolchain+"/src/")) {
		t.Errorf("the binary contains paths of the machine that built it: %s", toolchain)
	}
}

// testImageRun does what `docker run --read-only --cap-drop ALL` does, without an engine: it enters the image's files,
// which are read-only except for the volume, as the image's user with the image's environment and nothing else.
func testImageRun(t *testing.T, root string, image imageConfig) {
	mountReadOnly(t, root)
	volume := t.TempDir()
	if err := os.Chown(volume, imageUser, imageUser); err != nil {
		t.Fatal(err)
	}
	bindMount(t, volume, filepath.Join(root, imageStateDir))
	container := func(args ...string) *exec.Cmd {
		command := exec.Command(args[0], args[1:]...)
		command.Dir = image.Config.WorkingDir
		command.Env = append([]string{}, image.Config.Env...)
		command.SysProcAttr = &syscall.SysProcAttr{
			Chroot:     root,
			Credential: &syscall.Credential{Uid: imageUser, Gid: imageUser},
			Pdeathsig:  syscall.SIGKILL,
		}
		return command
	}
	entrypoint := func(args ...string) *exec.Cmd { return container(append(image.Config.Entrypoint, args...)...) }
	healthcheck := func(address string) error {
		return container(append(image.Config.Healthcheck.Test[1:], "--web.listen-address="+address)...).Run()
	}

	version := harness.Output(t, entrypoint("--version"))
	for name, value := range imageStamp {
		if !strings.Contains(version, value) {
			t.Errorf("--version does not contain %s=%s:\n%s", name, value, version)
		}
	}
	if err := healthcheck(harness.FreeAddress(t)); err == nil {
		t.Error("the health check succeeds although nothing listens")
	}

	t.Run("demo", func(t *testing.T) {
		x := harness.NewExporter(t)
		x.StartCommand(entrypoint("demo", "--web.listen-address=127.0.0.1:0"))
		if err := healthcheck(x.Address); err != nil {
			t.Errorf("the health check fails: %v", err)
		}
		status := harness.Read(t, fmt.Sprintf("/proc/%d/status", x.PID()))
		if !strings.Contains(status, "CapEff:\t0000000000000000") {
			t.Errorf("the exporter has capabilities:\n%s", status)
		}
		if _, verdicts := harness.Sum(x.Scrape(), `appfigures_token_valid\{.*\}`); verdicts == 0 {
			t.Error("the demo has no verdict")
		}
		x.Stop()
	})
	t.Run("serve", func(t *testing.T) {
		api := simulator.New(simulator.Options{})
		api.Set("pat_1", simulator.Valid)
		server := httptest.NewServer(http.Handler(api))
		defer server.Close()
		command := entrypoint("--web.listen-address=127.0.0.1:0")
		command.Env = append(command.Env, "APPFIGURES_API_KEY=pat_1", "APPFIGURES_API_BASE_URL="+server.URL+"/v2/")
		x := harness.NewExporter(t).StartCommand(command)
		if err := harness.Expect(x.Scrape(), `appfigures_token_valid{token="default"} 1`); err != nil {
			t.Error(err)
		}
		x.Stop()
		states, _ := filepath.Glob(filepath.Join(volume, "*.json"))
		if len(states) != 1 {
			t.Errorf("the volume has %d state files, want 1; log:\n%s", len(states), x.Log())
		}
	})
}

// mountReadOnly makes the directory read-only, for root too, until the test ends.
func mountReadOnly(t *testing.T, dir string) {
	t.Helper()
	bindMount(t, dir, dir)
	if err := syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatalf("making %s read-only: %v", dir, err)
	}
	if err := os.WriteFile(dir+"/written", nil, 0o644); err == nil {
		t.Fatalf("%s can be written to although it is mounted read-only", dir)
	}
}

func bindMount(t *testing.T, from, to string) {
	t.Helper()
	if err := syscall.Mount(from, to, "", syscall.MS_BIND, ""); err != nil {
		t.Fatalf("mounting %s at %s: %v", from, to, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(to, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting %s: %v", to, err)
		}
	})
}
