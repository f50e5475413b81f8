package packaging

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

const (
	packageUser    = 61184 // the first that systemd gives to services with DynamicUser=
	packageConfig  = "/etc/appfigures_exporter/config.yml"
	packageProgram = "/usr/bin/appfigures_exporter"
	packageState   = "/var/lib/appfigures_exporter"
)

// packageFiles are the modes of what both packages install.
var packageFiles = map[string]string{
	"/etc/appfigures_exporter":            "drwxr-xr-x",
	packageConfig:                         "-rw-r--r--",
	"/etc/appfigures_exporter/tokens":     "drwx------",
	packageProgram:                        "-rwxr-xr-x",
	"/usr/lib/systemd/system/" + unitName: "-rw-r--r--",
	"/usr/share/bash-completion/completions/appfigures_exporter": "-rw-r--r--",
	"/usr/share/doc/appfigures-exporter/appfigures-tokens.json":  "-rw-r--r--",
	"/usr/share/doc/appfigures-exporter/appfigures.rules.yml":    "-rw-r--r--",
	"/usr/share/doc/appfigures-exporter/config.yml.example":      "-rw-r--r--",
	"/usr/share/doc/appfigures-exporter/runbooks.md":             "-rw-r--r--",
	"/usr/share/man/man1/appfigures_exporter.1.gz":               "-rw-r--r--",
}

// TestDeb installs, runs, upgrades, removes and purges the deb with dpkg in a root directory of its own.
func TestDeb(t *testing.T) {
	t.Parallel()
	source, r := packageSource(t), newPackageRoot(t)
	dpkg := func(args ...string) {
		t.Helper()
		harness.Run(t, ".", []string{"DEBIAN_FRONTEND=noninteractive"}, "dpkg",
			append([]string{"--root=" + r.dir, "--log=/dev/null", "--path-include=*"}, args...)...)
	}
	before := r.files()
	dpkg("--install", source.build(t, "deb", "1.2.3"))
	r.expectCalls("daemon-reload", "try-restart "+unitName)
	want := maps.Clone(packageFiles)
	want["/usr/share/doc/appfigures-exporter/copyright"] = "-rw-r--r--"
	want["/usr/share/zsh/vendor-completions/_appfigures_exporter"] = "-rw-r--r--"
	got := r.files()
	maps.DeleteFunc(got, func(path, mode string) bool {
		return before[path] != "" || want[path] == "" && mode == "drwxr-xr-x" // directories of the system
	})
	if !maps.Equal(got, want) {
		t.Errorf("files:\n%s", harness.Difference(got, want))
	}
	r.testProgram("1.2.3")

	api := simulator.New(simulator.Options{})
	api.Set("pat_1", simulator.Valid)
	server := httptest.NewServer(api)
	defer server.Close()
	config := harness.Read(t, r.path(packageConfig)) + "api_url: " + server.URL + "/v2/\n"
	r.write(packageConfig, config)
	state := r.path("/var/lib/private/appfigures_exporter") // as systemd makes it for a service with DynamicUser=
	if err := errors.Join(os.MkdirAll(filepath.Dir(state), 0o700), os.Mkdir(state, 0o700),
		os.Chown(state, packageUser, packageUser), os.Symlink("private/appfigures_exporter", r.path(packageState))); err != nil {
		t.Fatal(err)
	}
	x := r.startService(t)
	x.Until(harness.ResponseTimeout, func(exposition string) error {
		return harness.Expect(exposition, `appfigures_token_valid{token="reporting"} 1`)
	})
	x.Stop()

	dpkg("--install", source.build(t, "deb", "1.2.4"))
	r.expectCalls("daemon-reload", "try-restart "+unitName)
	r.testProgram("1.2.4")
	if got := harness.Read(t, r.path(packageConfig)); got != config {
		t.Errorf("the upgrade changed the configuration to\n%s", got)
	}
	server.Close() // so that the verdict can only be the stored one
	x = r.startService(t)
	if body := x.Get("/api/v1/status"); !strings.Contains(body, `"verdict":"valid"`) {
		t.Errorf("the upgrade lost the verdict: %s", body)
	}
	x.Stop()
	if log := x.Log(); strings.Contains(log, "state file") {
		t.Errorf("the log complains about the state:\n%s", log)
	}

	dpkg("--remove", "appfigures-exporter")
	r.expectCalls("disable --now "+unitName, "daemon-reload")
	if got := r.files(); got[packageProgram] != "" || got[packageConfig] == "" || got[packageState] == "" {
		t.Errorf("after the removal there are %v", slices.Sorted(maps.Keys(got)))
	}
	dpkg("--purge", "appfigures-exporter")
	got = r.files()
	maps.DeleteFunc(got, func(path, _ string) bool { return strings.HasPrefix(path, "/run/credentials") })
	if !maps.Equal(got, before) {
		t.Errorf("after the purge:\n%s", harness.Difference(got, before))
	}
}

// TestRPM installs, upgrades and removes the rpm in a root directory of its own.
func TestRPM(t *testing.T) {
	t.Parallel()
	harness.Tool(t, "rpm", "apt-get install rpm")
	source, r := packageSource(t), newPackageRoot(t)
	file := source.build(t, "rpm", "1.2.3")
	want := maps.Clone(packageFiles)
	want["/usr/share/licenses/appfigures-exporter/LICENSE"] = "-rw-r--r--"
	want["/usr/share/zsh/site-functions/_appfigures_exporter"] = "-rw-r--r--"
	got := map[string]string{}
	const format = `[%{FILENAMES} %{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILEFLAGS:fflags}\n]`
	for line := range strings.Lines(harness.Run(t, ".", nil, "rpm", "--query", "--package", "--queryformat", format, file)) {
		fields := strings.Fields(line)
		got[fields[0]] = fields[1]
		config := slices.Contains(fields, "cn") // not replaced
		if fields[2] != "root:root" || config != (fields[0] == packageConfig) {
			t.Errorf("%q", fields)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("files:\n%s", harness.Difference(got, want))
	}

	rpm := func(args ...string) {
		t.Helper()
		harness.Run(t, ".", nil, "rpm", append([]string{"--root=" + r.dir, "--nodeps"}, args...)...)
	}
	rpm("--install", file)
	r.expectCalls("daemon-reload", "try-restart "+unitName)
	r.testProgram("1.2.3")
	const edited = "tokens: [{name: edited, token_env: TOKEN}]\n"
	r.write(packageConfig, edited)
	rpm("--upgrade", source.build(t, "rpm", "1.2.4"))
	r.expectCalls("daemon-reload", "try-restart "+unitName)
	if got := harness.Read(t, r.path(packageConfig)); got != edited {
		t.Errorf("the upgrade changed the configuration to\n%s", got)
	}
	rpm("--erase", "appfigures-exporter")
	r.expectCalls("disable --now "+unitName, "daemon-reload")
	if got := harness.Read(t, r.path(packageConfig+".rpmsave")); got != edited {
		t.Errorf("the removal left the configuration\n%s", got)
	}
}

// packageCheckout is a checkout with the generated manual page and completions.
type packageCheckout string

func packageSource(t *testing.T) packageCheckout {
	t.Helper()
	harness.NeedRoot(t)
	source := checkout(t)
	harness.Run(t, source, nil, "sh", "deploy/packages/docs.sh")
	return packageCheckout(source)
}

// build returns the path of a package.
func (c packageCheckout) build(t *testing.T, packager, version string) string {
	t.Helper()
	binary, file := string(c)+"-"+version, filepath.Join(t.TempDir(), "package."+packager)
	harness.Run(t, string(c), []string{"VERSION=" + version}, "sh", "deploy/build.sh", binary)
	env := []string{"VERSION=" + version, "ARCH=" + runtime.GOARCH, "BINARY=" + binary, "SOURCE_DATE_EPOCH=1767323045"}
	harness.Run(t, string(c), env, harness.Tool(t, "nfpm", "make nfpm"),
		"package", "--config=deploy/packages/nfpm.yaml", "--packager="+packager, "--target="+file)
	return file
}

// packageRoot is a root directory with a shell, what the deb depends on, and a systemctl that records how it is called.
type packageRoot struct {
	t   *testing.T
	dir string
}

func newPackageRoot(t *testing.T) packageRoot {
	t.Helper()
	r := packageRoot{t, t.TempDir()}
	r.write("/usr/bin/busybox", harness.Read(t, busybox))
	r.write("/usr/bin/systemctl", "#!/bin/sh\necho \"$@\" >>/systemctl.calls\n")
	r.write("/var/lib/dpkg/info/format", "1\n")
	var installed strings.Builder
	for _, name := range []string{"ca-certificates", "procps"} {
		fmt.Fprintf(&installed, "Package: %s\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n"+
			"Maintainer: test\nDescription: test\n\n", name)
		r.write("/var/lib/dpkg/info/"+name+".list", "/.\n")
	}
	r.write("/var/lib/dpkg/status", installed.String())
	for _, dir := range []string{"/run/systemd/system", "/var/lib/dpkg/updates", "/var/lib/private", "/tmp"} {
		if err := os.MkdirAll(r.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(r.path("/usr/bin/busybox"), 0o755), os.Chmod(r.path("/usr/bin/systemctl"), 0o755),
		os.Symlink("usr/bin", r.path("/bin")), os.Symlink("busybox", r.path("/usr/bin/sh")),
		os.Symlink("busybox", r.path("/usr/bin/rm"))); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r packageRoot) path(name string) string { return filepath.Join(r.dir, name) }

// write writes a file as an administrator does.
func (r packageRoot) write(name, content string) {
	r.t.Helper()
	err := os.MkdirAll(filepath.Dir(r.path(name)), 0o755)
	if err = errors.Join(err, os.WriteFile(r.path(name), []byte(content), 0o644)); err != nil {
		r.t.Fatal(err)
	}
}

// files returns the modes of all files but dpkg's own. Those that root owns have only a mode.
func (r packageRoot) files() map[string]string {
	r.t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(r.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == r.path("/var/lib/dpkg") {
			return filepath.SkipDir
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().String()
		if owner := info.Sys().(*syscall.Stat_t); owner.Uid != 0 || owner.Gid != 0 {
			mode += " of another user"
		}
		files[strings.TrimPrefix(path, r.dir)] = mode
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return files
}

// expectCalls checks how systemctl was called since the last check.
func (r packageRoot) expectCalls(want ...string) {
	r.t.Helper()
	got := strings.Split(strings.TrimSpace(harness.Read(r.t, r.path("systemctl.calls"))), "\n")
	if !slices.Equal(got, want) {
		r.t.Errorf("systemctl was called with %q, want %q", got, want)
	}
	if err := os.Remove(r.path("systemctl.calls")); err != nil {
		r.t.Fatal(err)
	}
}

// command returns a command in the root directory.
func (r packageRoot) command(args ...string) *exec.Cmd {
	command := exec.Command(packageProgram, args...)
	command.Dir, command.Env = "/", []string{"PATH=/usr/bin:/bin"}
	command.SysProcAttr = &syscall.SysProcAttr{Chroot: r.dir, Pdeathsig: syscall.SIGKILL}
	return command
}

// testProgram checks the version, that the configuration is valid, and that the manual page has all flags.
func (r packageRoot) testProgram(version string) {
	r.t.Helper()
	if got := harness.Output(r.t, r.command("--version")); !strings.Contains(got, "version "+version+" ") {
		r.t.Errorf("--version is\n%s", got)
	}
	check := harness.Output(r.t, r.command("--config.check", "--config.file="+packageConfig))
	if !strings.Contains(check, "is valid (1 token") {
		r.t.Errorf("--config.check prints\n%s", check)
	}
	page := harness.Run(r.t, ".", nil, "zcat", r.path("usr/share/man/man1/appfigures_exporter.1.gz"))
	help := harness.Output(r.t, r.command("--help"))
	for _, flag := range regexp.MustCompile(`(?m)^ .*--(?:\[no-\])?([a-z.-]+)`).FindAllStringSubmatch(help, -1) {
		if !strings.Contains(page, "--"+flag[1]) {
			r.t.Errorf("the manual page does not have --%s", flag[1])
		}
	}
}

// startService runs the unit's command as systemd does: as a user who owns only the state directory and a copy of the
// token.
func (r packageRoot) startService(t *testing.T) *harness.Exporter {
	t.Helper()
	unit := harness.Read(t, r.path("usr/lib/systemd/system/"+unitName))
	credential := "/run/credentials/" + unitName + "/reporting"
	if !strings.Contains(unit, "\nLoadCredential=reporting:") || !strings.Contains(unit, "\nStateDirectory=appfigures_exporter\n") {
		t.Errorf("the unit loads no credential, or keeps no state:\n%s", unit)
	}
	r.write(credential, "pat_1\n")
	if err := os.Chown(r.path(credential), packageUser, packageUser); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(r.path(credential), 0o400); err != nil {
		t.Fatal(err)
	}
	start := regexp.MustCompile(`(?m)^ExecStart=appfigures_exporter (.*)$`).FindStringSubmatch(unit)
	if start == nil {
		t.Fatal("the unit does not start the exporter")
	}
	command := r.command(append(strings.Fields(start[1]), "--web.listen-address=127.0.0.1:0")...)
	command.Env = []string{"STATE_DIRECTORY=" + packageState}
	command.SysProcAttr.Credential = &syscall.Credential{Uid: packageUser, Gid: packageUser}
	return harness.NewExporter(t).StartCommand(command)
}
