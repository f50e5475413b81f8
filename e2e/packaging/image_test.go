// Package image holds the test of the container image: it builds the Dockerfile, reads what came out, and runs it.
package packaging

import (
	"bytes"
	"crypto/x509"
	"debug/elf"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	// maxSize of all files of the image, in bytes.
	maxSize = 20 << 20
	// user is nobody's: it owns nothing in the image and need not exist on the host.
	user = 65532
)

// stamp stands for what deploy/stamp.sh prints.
var stamp = map[string]string{
	"VERSION":    "1.2.3-test",
	"REVISION":   "0123456789abcdef0123456789abcdef01234567",
	"BRANCH":     "of-the-test",
	"BUILD_DATE": "2026-01-02T03:04:05Z",
}

func TestImage(t *testing.T) {
	b := newBuildah(t)
	for _, p := range []struct {
		platform
		machine elf.Machine
	}{
		{platform{"linux", "amd64"}, elf.EM_X86_64},
		{platform{"linux", "arm64"}, elf.EM_AARCH64},
	} {
		t.Run(p.arch, func(t *testing.T) {
			image := b.build(t, p.platform, stamp)
			config := b.inspect(t, image)
			root := b.unpack(t, image)

			if config.Architecture != p.arch {
				t.Errorf("the image says that it is for %q, want %q", config.Architecture, p.arch)
			}
			testConfiguration(t, config)
			testFiles(t, root)
			testCertificates(t, root)
			testBinary(t, root, p.machine)
			if p.arch == goCommand(t, "env", "GOHOSTARCH") {
				testRun(t, root, config)
			}
		})
	}
}

func testConfiguration(t *testing.T, image configuration) {
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
	if _, ok := config.ExposedPorts["10187/tcp"]; !ok || len(config.ExposedPorts) != 1 {
		t.Errorf("exposed ports are %v, want 10187/tcp alone", config.ExposedPorts)
	}
	if want := []string{"CMD", "/appfigures_exporter", "healthcheck"}; config.Healthcheck == nil || !slices.Equal(config.Healthcheck.Test, want) {
		t.Errorf("health check is %v, want %q: there is no shell to run it", config.Healthcheck, want)
	}
	for label, want := range map[string]string{
		"title":    "appfigures_exporter",
		"source":   "https://github.com/appfigures-exporter/appfigures_exporter",
		"licenses": "Apache-2.0",
		"version":  stamp["VERSION"],
		"revision": stamp["REVISION"],
		"created":  stamp["BUILD_DATE"],
	} {
		if got := config.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("label org.opencontainers.image.%s is %q, want %q", label, got, want)
		}
	}
	if config.Labels["org.opencontainers.image.description"] == "" {
		t.Error("the image has no description")
	}
}

// testFiles checks that the image has these files and no other, so no shell, and that its user can change none.
func testFiles(t *testing.T, root string) {
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
		if info.Mode().Perm()&0o022 != 0 {
			t.Errorf("%s has mode %s: others than root can write to it", path, info.Mode())
		}
		if !entry.IsDir() {
			relative, _ := filepath.Rel(root, path)
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
	if size > maxSize {
		t.Errorf("the image has %d bytes, want at most %d", size, maxSize)
	}
	t.Logf("the image has %.1f MiB", float64(size)/(1<<20))
}

func testCertificates(t *testing.T, root string) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(read(t, filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"))) {
		t.Error("the image has no CA certificates")
	}
}

func testBinary(t *testing.T, root string, machine elf.Machine) {
	path := filepath.Join(root, "appfigures_exporter")
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
			t.Error("the binary asks for a dynamic linker, which the image does not have")
		}
	}
	content := read(t, path)
	for name, value := range stamp {
		if !bytes.Contains(content, []byte(value)) {
			t.Errorf("the binary is not stamped with %s=%s", name, value)
		}
	}
	if toolchain := goCommand(t, "env", "GOROOT"); strings.HasPrefix(toolchain, "/") && bytes.Contains(content, []byte(toolchain+"/src/")) {
		t.Errorf("the binary holds paths of the machine that built it: %s", toolchain)
	}
}
