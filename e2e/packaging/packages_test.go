package packaging

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
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
	packageName  = "appfigures-exporter"
	packageUser  = 61184 // the first that systemd gives to services with DynamicUser=
	packageState = "var/lib/appfigures_exporter"
)

// packageFiles are the modes of what both packages install.
var packageFiles = map[string]string{
	"/etc/appfigures_exporter":                                   "drwxr-xr-x",
	"/etc/appfigures_exporter/config.yml":                        "-rw-r--r--",
	"/etc/appfigures_exporter/tokens":                            "drwx------",
	"/usr/bin/appfigures_exporter":                               "-rwxr-xr-x",
	"/usr/lib/systemd/system/" + unitName:                        "-rw-r--r--",
	"/usr/share/bash-completion/completions/appfigures_exporter": "-rw-r--r--",
	"/usr/share/doc/appfigures-exporter/appfigures-tokens.json":  "-rw-r--r--",
	"/usr/share/doc/appfigures-exporter/appfigures.rules.yml":    "-rw-r--r--",
	"/usr/share/doc/appfigures-exporter/config.yml.example":      "-rw-r--r--",
	"/usr/share/man/man1/appfigures_exporter.1.gz":               "-rw-r--r--",
}

// TestPackages builds the packages from a checkout with generated documentation.
func TestPackages(t *testing.T) {
	harness.NeedRoot(t)
	source := packageSource(t)
	t.Run("deb", func(t *testing.T) { testDeb(t, source) })
	t.Run("rpm", func(t *testing.T) { testRPM(t, source) })
	t.Run("reproducible", func(t *testing.T) {
		another := packageSource(t)
		for _, packager := range []string{"deb", "rpm"} {
			if harness.Read(t, source.build(t, packager, "1.2.3")) != harness.Read(t, another.build(t, packager, "1.2.3")) {
				t.Errorf("two builds of the %s differ", packager)
			}
		}
	})
}

// testDeb installs, runs, upgrades, removes and purges the deb with dpkg in a root directory of its own.
func testDeb(t *testing.T, source checkoutForPackages) {
	r := newPackageRoot(t)
	dpkg := func(args ...string) {
		t.Helper()
		run(t, ".", []string{"DEBIAN_FRONTEND=noninteractive"}, "dpkg",
			append([]string{"--root=" + r.dir, "--log=/dev/null", "--path-include=*"}, args...)...)
	}
	// What it depends on.
	var installed strings.Builder
	for _, name := range []string{"ca-certificates", "procps"} {
		fmt.Fprintf(&installed, "Package: %s\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n"+
			"Maintainer: test\nDescription: test\n\n", name)
		r.write("var/lib/dpkg/info/"+name+".list", "/.\n")
	}
	r.write("var/lib/dpkg/status", installed.String())
	r.write("var/lib/dpkg/info/format", "1\n")
	if err := os.Mkdir(r.path("var/lib/dpkg/updates"), 0o755); err != nil {
		t.Fatal(err)
	}
	before := r.files()

	dpkg("--install", source.build(t, "deb", "1.2.3"))
	r.expectCalls("daemon-reload", "try-restart "+unitName)
	want := maps.Clone(packageFiles)
	want["/usr/share/doc/appfigures-exporter/copyright"] = "-rw-r--r--"
	want["/usr/share/zsh/vendor-completions/_appfigures_exporter"] = "-rw-r--r--"
	got := r.files()
	maps.DeleteFunc(got, func(path, mode string) bool {
		_, wanted := want[path]
		return before[path] != "" || !wanted && mode == "drwxr-xr-x" // directories of the system
	})
	if !maps.Equal(got, want) {
		t.Errorf("files:\n%s", harness.Difference(got, want))
	}
	r.testProgram("1.2.3")
	r.testCompletion("/usr/share/zsh/vendor-completions/_appfigures_exporter")

	api := simulator.New(simulator.Options{})
	api.Set("pat_1", simulator.Valid)
	server := httptest.NewServer(http.Handler(api))
	defer server.Close()
	config := harness.Read(t, r.path("etc/appfigures_exporter/config.yml")) + "api_url: " + server.URL + "/v2/\n"
	r.write("etc/appfigures_exporter/config.yml", config)
	r.write("etc/appfigures_exporter/tokens/reporting", "pat_1\n")
	r.addState()
	x := r.startService()
	if err := harness.Expect(x.Scrape(), `appfigures_token_valid{token="reporting"} 1`); err != nil {
		t.Error(err)
	}
	r.stopService(x)

	dpkg("--install", source.build(t, "deb", "1.2.4"))
	r.expectCalls("daemon-reload", "try-restart "+unitName)
	r.testProgram("1.2.4")
	if got := harness.Read(t, r.path("etc/appfigures_exporter/config.yml")); got != config {
		t.Errorf("the upgrade changed the configuration to\n%s", got)
	}
	server.Close() // so that the verdict can only be the stored one
	x = r.startService()
	if _, body := x.Get("/api/v1/status"); !strings.Contains(body, `"verdict":"valid"`) {
		t.Errorf("the upgrade lost the verdict: %s", body)
	}
	r.stopService(x)

	dpkg("--remove", packageName)
	r.expectCalls("disable --now "+unitName, "daemon-reload")
	if got := r.files(); got["/usr/bin/appfigures_exporter"] != "" || got["/etc/appfigures_exporter/config.yml"] == "" ||
		got["/etc/appfigures_exporter/tokens/reporting"] == "" || got["/"+packageState] == "" {
		t.Errorf("after the removal there are %v", slices.Sorted(maps.Keys(got)))
	}
	dpkg("--purge", packageName)
	if got := r.files(); !maps.Equal(got, before) {
		t.Errorf("after the purge:\n%s", harness.Difference(got, before))
	}
}

// testRPM installs, upgrades and removes the rpm in a root directory of its own.
func testRPM(t *testing.T, source checkoutForPackages) {
	harness.Tool(t, "rpm", "apt-get install rpm")
	file := source.build(t, "rpm", "1.2.3")
	want := maps.Clone(packageFiles)
	want["/usr/share/licenses/appfigures-exporter/LICENSE"] = "-rw-r--r--"
	want["/usr/share/zsh/site-functions/_appfigures_exporter"] = "-rw-r--r--"
	got := map[string]string{}
	const format = `[%{FILENAMES} %{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILEFLAGS:fflags}\n]`
	for line := range strings.Lines(run(t, ".", nil, "rpm", "--query", "--package", "--queryformat", format, file)) {
		fields := strings.Fields(line)
		got[fields[0]] = fields[1]
		config := slices.Contains(fields, "cn") // not replaced
		if fields[2] != "root:root" || config != (fields[0] == "/etc/appfigures_exporter/config.yml") {
			t.Errorf("%q", fields)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("files:\n%s", harness.Difference(got, want))
	}
	const head = `%{NAME} %{VERSION} %{LICENSE} %{BUILDHOST}`
	info := run(t, ".", nil, "rpm", "--query", "--package", "--queryformat", head, file)
	if want := "appfigures-exporter 1.2.3 Apache-2.0 localhost"; info != want {
		t.Errorf("information is %q, want %q", info, want)
	}

	r := newPackageRoot(t)
	rpm := func(args ...string) {
		t.Helper()
		run(t, ".", nil, "rpm", append([]string{"--root=" + r.dir, "--nodeps"}, args...)...)
	}
	rpm("--install", file)
	r.expectCalls("daemon-reload", "try-restart "+unitName)
	r.testProgram("1.2.3")
	r.testCompletion("/usr/share/zsh/site-functions/_appfigures_exporter")
	const edited = "tokens: [{name: edited, token_env: TOKEN}]\n"
	r.write("etc/appfigures_exporter/config.yml", edited)
	rpm("--upgrade", source.build(t, "rpm", "1.2.4"))
	r.expectCalls("daemon-reload", "try-restart "+unitName)
	if got := harness.Read(t, r.path("etc/appfigures_exporter/config.yml")); got != edited {
		t.Errorf("the upgrade changed the configuration to\n%s", got)
	}
	rpm("--erase", packageName)
	r.expectCalls("disable --now "+unitName, "daemon-reload")
	if got := harness.Read(t, r.path("etc/appfigures_exporter/config.yml.rpmsave")); got != edited {
		t.Errorf("the removal left the configuration\n%s", got)
	}
}

// checkoutForPackages is a checkout with the generated manual page and completions.
type checkoutForPackages string

func packageSource(t *testing.T) checkoutForPackages {
	t.Helper()
	source := checkout(t)
	run(t, source, nil, "sh", "deploy/packages/docs.sh")
	return checkoutForPackages(source)
}

// build returns the path of a package.
func (c checkoutForPackages) build(t *testing.T, packager, version string) string {
	t.Helper()
	binary := string(c) + "-" + version
	if _, err := os.Stat(binary); err != nil {
		run(t, string(c), []string{"VERSION=" + version}, "sh", "deploy/build.sh", binary)
	}
	file := filepath.Join(t.TempDir(), "package."+packager)
	env := []string{
		"VERSION=" + version, "ARCH=" + runtime.GOARCH, "BINARY=" + binary, "SOURCE_DATE_EPOCH=1767323045",
	}
	run(t, string(c), env, harness.Tool(t, "nfpm", "make nfpm"),
		"package", "--config=deploy/packages/nfpm.yaml", "--packager="+packager, "--target="+file)
	return file
}

// packageRoot is a root directory with a shell, and with a systemctl that records how it is called.
type packageRoot struct {
	t   *testing.T
	dir string
}

const systemctlCalls = "systemctl.calls"

func newPackageRoot(t *testing.T) packageRoot {
	t.Helper()
	r := packageRoot{t, t.TempDir()}
	r.write("usr/bin/busybox", harness.Read(t, busybox))
	r.write("usr/bin/systemctl", "#!/bin/sh\necho \"$@\" >>/"+systemctlCalls+"\n")
	for _, program := range []string{"busybox", "systemctl"} {
		if err := os.Chmod(r.path("usr/bin/"+program), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"bin": "usr/bin", "usr/bin/sh": "busybox", "usr/bin/rm": "busybox"} {
		if err := os.Symlink(target, r.path(link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"run/systemd/system", "var/lib/private", "tmp"} {
		if err := os.MkdirAll(r.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r packageRoot) path(name string) string { return filepath.Join(r.dir, name) }

// write writes a file as an administrator does.
func (r packageRoot) write(name, content string) {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Dir(r.path(name)), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(r.path(name), []byte(content), 0o644); err != nil {
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
		if path == r.path("var/lib/dpkg") {
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
	got := strings.Split(strings.TrimSpace(harness.Read(r.t, r.path(systemctlCalls))), "\n")
	if !slices.Equal(got, want) {
		r.t.Errorf("systemctl was called with %q, want %q", got, want)
	}
	if err := os.Remove(r.path(systemctlCalls)); err != nil {
		r.t.Fatal(err)
	}
}

// command returns a command in the root directory.
func (r packageRoot) command(program string, args ...string) *exec.Cmd {
	command := exec.Command(program, args...)
	command.Dir, command.Env = "/", []string{"PATH=/usr/bin:/bin"}
	command.SysProcAttr = &syscall.SysProcAttr{Chroot: r.dir, Pdeathsig: syscall.SIGKILL}
	return command
}

// testProgram checks the version, that the unit is the one that the other tests check, that the configuration is valid,
// and that the manual page names and explains the program and has all flags.
func (r packageRoot) testProgram(version string) {
	r.t.Helper()
	program := "/usr/bin/appfigures_exporter"
	if got := harness.Output(r.t, r.command(program, "--version")); !strings.Contains(got, "version "+version+" ") {
		r.t.Errorf("--version is\n%s", got)
	}
	if harness.Read(r.t, r.path("usr/lib/systemd/system/"+unitName)) != harness.Read(r.t, unitDir+unitName) {
		r.t.Error("the unit is not that of " + unitDir)
	}
	check := harness.Output(r.t, r.command(program, "--config.check", "--config.file=/etc/appfigures_exporter/config.yml"))
	if !strings.Contains(check, "is valid (1 token)") {
		r.t.Errorf("--config.check prints\n%s", check)
	}
	page := run(r.t, ".", nil, "zcat", r.path("usr/share/man/man1/appfigures_exporter.1.gz"))
	const name = ".TH appfigures_exporter 1\n.SH \"NAME\"\nappfigures_exporter \\- Prometheus exporter "
	if !strings.HasPrefix(page, name) {
		r.t.Errorf("the manual page begins with\n%.200s", page)
	}
	for _, flag := range helpFlag.FindAllStringSubmatch(harness.Output(r.t, r.command(program, "--help")), -1) {
		if !strings.Contains(page, "--"+flag[1]) {
			r.t.Errorf("the manual page does not have --%s", flag[1])
		}
	}
}

var helpFlag = regexp.MustCompile(`(?m)^ .*--(?:\[no-\])?([a-z.-]+)`)

// testCompletion completes a command in bash and in zsh.
func (r packageRoot) testCompletion(zshFunction string) {
	r.t.Helper()
	harness.Tool(r.t, "zsh", "apt-get install zsh")
	path := []string{"PATH=" + r.path("usr/bin") + ":" + os.Getenv("PATH")}
	bash := `source "$0" && COMP_WORDS=(appfigures_exporter health) COMP_CWORD=1 &&
		"$(complete -p appfigures_exporter | sed 's/.* -F \([^ ]*\) .*/\1/')" && echo "${COMPREPLY[@]}"`
	// The functions stand in for what zsh has only while someone types.
	zsh := `compadd() { print -l ${(M)matches:#$words[CURRENT]*} }; _files() {}
		words=(appfigures_exporter health) CURRENT=2
		source "$0" && _appfigures_exporter`
	for _, shell := range [][]string{
		{"bash", "-c", bash, r.path("usr/share/bash-completion/completions/appfigures_exporter")},
		{"zsh", "-f", "-c", zsh, r.path(zshFunction)},
	} {
		if got := run(r.t, ".", path, shell[0], shell[1:]...); got != "healthcheck" {
			r.t.Errorf("%s completes health to %q", shell[0], got)
		}
	}
}

// addState makes the state directory as systemd does for a service with DynamicUser=.
func (r packageRoot) addState() {
	r.t.Helper()
	state := r.path("var/lib/private/appfigures_exporter")
	err := errors.Join(os.Mkdir(state, 0o700), os.Chown(state, packageUser, packageUser),
		os.Symlink("private/appfigures_exporter", r.path(packageState)))
	if err != nil {
		r.t.Fatal(err)
	}
}

// startService runs the unit's command as systemd does: as a user who owns only the state directory and a copy of the
// token.
func (r packageRoot) startService() *harness.Exporter {
	r.t.Helper()
	credential := credentials + "/reporting"
	r.write(credential, harness.Read(r.t, r.path("etc/appfigures_exporter/tokens/reporting")))
	err := errors.Join(os.Chmod(r.path(credential), 0o400), os.Chown(r.path(credential), packageUser, packageUser))
	if err != nil {
		r.t.Fatal(err)
	}
	start := strings.Fields(settings(r.t, "ExecStart")[0])
	command := r.command("/usr/bin/"+start[0], append(start[1:], "--web.listen-address=127.0.0.1:0")...)
	command.Env = []string{"STATE_DIRECTORY=/" + packageState}
	command.SysProcAttr.Credential = &syscall.Credential{Uid: packageUser, Gid: packageUser}
	return harness.NewExporter(r.t).StartCommand(command)
}

// stopService ends it, without a warning in its log, and removes the copy of the token, which systemd does, too.
func (r packageRoot) stopService(x *harness.Exporter) {
	r.t.Helper()
	x.Stop()
	if strings.Contains(x.Log(), "level=WARN") {
		r.t.Errorf("the log has a warning:\n%s", x.Log())
	}
	if err := os.RemoveAll(r.path("run/credentials")); err != nil {
		r.t.Fatal(err)
	}
}
