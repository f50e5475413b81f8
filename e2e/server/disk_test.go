package server

import (
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

// TestNothingIsWritten uses everything that the exporter serves, and checks that it creates or changes no file, and
// opens none for writing, when it keeps no state.
func TestNothingIsWritten(t *testing.T) {
	x := prepare(t, "--web.enable-pprof", "--config.auto-reload", "--config.auto-reload-interval=10ms")
	cmd := confine(t, x)
	before := files(t, x.Dir)
	x.StartCommand(cmd)
	for _, path := range []string{
		"/", "/metrics", "/probe?target=watched", "/sd", "/api/v1/status", "/-/healthy", "/-/ready",
		"/debug/pprof/heap", "/debug/pprof/profile?seconds=1",
	} {
		x.Get(path)
		checkNotOpenForWriting(t, x.PID())
	}
	if response, _, err := x.Request(http.MethodPost, "/-/reload"); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("reloading: %v, %v", response, err)
	}
	x.Signal(syscall.SIGHUP)
	harness.Until(t, 10*time.Second, func() error {
		if n := strings.Count(x.Log(), "Configuration reloaded"); n < 2 {
			return fmt.Errorf("%d reloads", n)
		}
		return nil
	})
	checkNotOpenForWriting(t, x.PID())
	x.Stop()
	if after := files(t, x.Dir); !maps.Equal(before, after) {
		t.Errorf("the files were\n%v\nand are\n%v", before, after)
	}
}

// confine returns a command whose whole file system is the exporter's directory, so that anything it writes is found
// there. It may write everywhere in it: a write that fails could pass unnoticed.
func confine(t *testing.T, x *target) *exec.Cmd {
	t.Helper()
	harness.NeedRoot(t)
	for _, dir := range []string{
		"dev/shm", "etc", "home", "root", "run", "tmp", "usr/local",
		"var/cache", "var/lib", "var/log", "var/run", "var/tmp",
	} {
		if err := os.MkdirAll(filepath.Join(x.Dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const inside = "/appfigures_exporter"
	if err := os.WriteFile(x.Dir+inside, []byte(harness.Read(t, x.Binary)), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := x.Command("--web.listen-address=" + x.Address)
	cmd.Path, cmd.Dir, cmd.Env = inside, "/", []string{"TMPDIR=/tmp", "HOME=/root"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: x.Dir}
	return cmd
}

// files returns modes, sizes and times of all files below dir, by path.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		found[path] = fmt.Sprint(info.Mode(), info.Size(), info.ModTime().UnixNano())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// checkNotOpenForWriting checks all open files of a process.
func checkNotOpenForWriting(t *testing.T, pid int) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d", pid)
	entries, err := os.ReadDir(dir + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) < 4 {
		t.Fatalf("the process has only %d files open", len(entries))
	}
	for _, entry := range entries {
		file, err := os.Readlink(dir + "/fd/" + entry.Name())
		if err != nil || !strings.HasPrefix(file, "/") || file == os.DevNull {
			continue // closed by now, a socket, or a pipe
		}
		text, err := os.ReadFile(dir + "/fdinfo/" + entry.Name())
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(text), "flags:")
		flags, err := strconv.ParseUint(strings.Fields(rest)[0], 8, 64)
		if err != nil {
			t.Fatal(err)
		}
		if mode := flags & syscall.O_ACCMODE; mode != syscall.O_RDONLY {
			t.Errorf("%s is open for writing", file)
		}
	}
}
