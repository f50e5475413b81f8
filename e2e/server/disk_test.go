package server

import (
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

// TestNothingIsWritten uses everything that the exporter serves, and checks that it has created and changed no file
// anywhere, and has none open for writing.
func TestNothingIsWritten(t *testing.T) {
	x := prepare(t, "--web.enable-pprof", "--config.auto-reload", "--config.auto-reload-interval=10ms")
	confine(t, x)
	before := files(t, x.dir)
	x.run(t)
	for _, path := range []string{"/", "/metrics", "/probe?target=watched", "/sd", "/-/healthy", "/-/ready", "/debug/pprof/heap", "/debug/pprof/profile?seconds=1"} {
		x.get(t, path)
		checkNotOpenForWriting(t, x.pid)
	}
	response, err := http.Post("http://"+x.address+"/-/reload", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	x.Signal(syscall.SIGHUP)
	harness.Until(t, 10*time.Second, func() error {
		if n := strings.Count(x.Log(), "Configuration reloaded"); n < 2 {
			return fmt.Errorf("%d reloads", n)
		}
		return nil
	})
	checkNotOpenForWriting(t, x.pid)
	x.Stop()
	if after := files(t, x.dir); !maps.Equal(before, after) {
		t.Errorf("the files were\n%v\nand are\n%v", before, after)
	}
}

// confine makes the exporter's directory all that it sees of the disk, so that whatever it writes is there to be seen.
// It may write everywhere in it: a write that fails, as with ulimit -f 0, could pass unnoticed.
func confine(t *testing.T, x *target) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("run this suite as root: nobody else can confine a program to a directory")
	}
	for _, usual := range []string{"dev/shm", "etc", "home", "root", "run", "usr/local", "var/cache", "var/lib", "var/log", "var/run", "var/tmp"} {
		if err := os.MkdirAll(filepath.Join(x.dir, usual), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const inside = "/appfigures_exporter"
	copyFile(t, binary, x.dir+inside)
	if err := os.Chmod(x.dir+inside, 0o755); err != nil {
		t.Fatal(err)
	}
	x.cmd.Path, x.cmd.Dir, x.cmd.Env = inside, "/", []string{"TMPDIR=/tmp", "HOME=/root"}
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: x.dir}
}

// files lists what is below dir: sizes and times by path.
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

// checkNotOpenForWriting looks at the files that a process has open, except its standard output and error.
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
		if err != nil || !strings.HasPrefix(file, "/") || file == os.DevNull { // closed by now, or no file: a socket, a pipe
			continue
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
