//go:build unix

package state

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestMain lets the test binary also be the other process that some tests need.
func TestMain(m *testing.M) {
	path := os.Getenv("STATE_TEST_PATH")
	switch os.Getenv("STATE_TEST_PROCESS") {
	case "":
		os.Exit(m.Run())
	case "hold": // the lock, until standard input ends
		if _, err := Open(path); err != nil {
			fmt.Println(err)
		}
		fmt.Println("open")
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "save": // until killed, and report each number that is on disk
		f, err := Open(path)
		if err != nil {
			fmt.Println(err)
			return
		}
		for i := int64(1); ; i++ {
			if err := f.Save(numbered(i)); err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println(i)
		}
	case "full": // as on a full disk, which takes the beginning of a file only
		signal.Ignore(syscall.SIGXFSZ)
		f, err := Open(path)
		if err != nil {
			fmt.Println(err)
			return
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1000, Max: 1000}); err != nil {
			fmt.Println(err)
		}
		fmt.Println(f.Save(numbered(2)))
	}
}

// process returns a command that runs the test binary as another process.
func process(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), "STATE_TEST_PROCESS="+role, "STATE_TEST_PATH="+path)
	command.Stderr = os.Stderr
	return command
}

// numbered returns a state of about 100 KiB that is about i everywhere.
func numbered(i int64) State {
	s := State{Saved: time.Unix(i, 0).UTC(), Salt: []byte("salt")}
	for range 1000 {
		s.Accounts = append(s.Accounts, Account{Name: strconv.FormatInt(i, 10), Used: i, Limit: i})
	}
	return s
}

func mustOpen(t *testing.T, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func mustSave(t *testing.T, f *File, s State) {
	t.Helper()
	if err := f.Save(s); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t *testing.T, path string) State {
	t.Helper()
	s, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustWrite(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// names returns what a directory holds.
func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestSaveAndRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	if s := mustRead(t, path); !reflect.DeepEqual(s, State{}) {
		t.Errorf("without a file: %v", s)
	}
	now := time.Date(2026, 7, 1, 12, 0, 0, 1, time.UTC)
	want := State{
		Version: version, Saved: now, Boot: "b", Steady: now, Salt: []byte{1, 2},
		Tokens: []Token{{
			Name: "<a>", Source: "s", Secret: "d", Verdict: "denied", Reason: "locked", Message: "no “access”",
			VerdictTime: now, VerdictSince: now, SinceStart: true, Unconfirmed: "rejected",
			Last: &Probe{
				Result: "timeout", HTTPStatus: 200, Message: "m", Start: now, Duration: 5, Phases: []time.Duration{1, 2},
			},
			ResultSince: now, Begun: now, Urgent: []time.Time{now}, Spread: true,
		}},
		Accounts: []Account{{
			Name: "x", Limit: 1000, Used: -1, Day: 20000, Reported: now, APITime: now, Bins: []Bin{{7, now, 7}}, Tokens: 3, Permits: -1.5, Last: now,
			HoldReason: "daily_limit", HoldUntil: now,
		}},
	}
	f := mustOpen(t, path)
	mustSave(t, f, numbered(1))
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	mustSave(t, f, want)
	if got := mustRead(t, path); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v, want mode 0600", info.Mode(), err)
	}
}

// TestReadUnusable checks that a file which is not what was saved yields no state, one line of explanation and no
// obstacle to the next Save.
func TestReadUnusable(t *testing.T) {
	intact, err := encode(State{Version: version, Tokens: []Token{{Name: "a", Verdict: "valid"}}})
	if err != nil {
		t.Fatal(err)
	}
	newer, err := encode(State{Version: version + 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		content, want string
		foreign       bool
	}{
		"empty":          {"", "damaged", false},
		"text":           {"hello\n", "damaged", true},
		"other JSON":     {`{"version":1,"tokens":[]}` + "\n", "damaged", true},
		"zeros":          {strings.Repeat("\x00", len(intact)), "damaged", false},
		"an image":       {strings.Repeat("\x00", 4096) + "x", "damaged", true},
		"truncated":      {string(intact[:len(intact)/2]), "damaged", false},
		"twice":          {string(intact) + string(intact), "damaged", false},
		"another digest": {strings.Replace(string(intact), "valid", "vblid", 1), "damaged", false},
		"too large":      {strings.Repeat(" ", maxBytes) + string(intact), "damaged", true},
		"newer":          {string(newer), "its format is version 2; this exporter reads version 1", false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.json")
			mustWrite(t, path, test.content)
			s, err := Read(path)
			want := "reading state file " + path + ": " + test.want
			if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want %s", err, want)
			}
			if !reflect.DeepEqual(s, State{}) {
				t.Errorf("state %+v", s)
			}
			if test.foreign {
				const foreign = "not a state file; it was left alone"
				if _, err := Open(path); err == nil || !strings.Contains(err.Error(), foreign) {
					t.Errorf("error %v, want %s", err, foreign)
				}
				if got, err := os.ReadFile(path); err != nil || string(got) != test.content {
					t.Errorf("%v, or the file was changed", err)
				}
				mustWrite(t, path+".lock", "") // the file was a state file
				file := mustOpen(t, path)
				if got, err := os.ReadFile(path + ".damaged"); err != nil || string(got) != test.content || file.Damaged == "" {
					t.Errorf("%v, or the damaged file was not kept", err)
				}
				mustSave(t, file, numbered(1))
				mustRead(t, path)
				return
			}
			mustSave(t, mustOpen(t, path), numbered(1))
			mustRead(t, path)
		})
	}
}

// TestEveryFlippedBitIsNoticed checks that no damaged bit changes what is read.
func TestEveryFlippedBitIsNoticed(t *testing.T) {
	intact, err := encode(State{Version: version, Tokens: []Token{{Name: "a", Verdict: "denied", Reason: "locked"}}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(intact) * 8 {
		damaged := bytes.Clone(intact)
		damaged[i/8] ^= 1 << (i % 8)
		if s, err := decode(damaged); err == nil {
			t.Errorf("byte %d, %q: %+v", i/8, damaged[i/8], s)
		}
	}
}

func TestOneProcessAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	holder := process(t, "hold", path)
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "open\n" {
		t.Fatal(line, err)
	}
	if _, err := Open(path); !errors.Is(err, ErrLocked) {
		t.Errorf("error %v, want ErrLocked", err)
	}
	_ = stdin.Close()
	_ = holder.Wait()
	first := mustOpen(t, path)
	if _, err := Open(path); !errors.Is(err, ErrLocked) {
		t.Errorf("error %v, want ErrLocked", err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	mustOpen(t, path)
	if err := first.Save(State{}); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("saving to a file that another one has: error %v, want ErrClosed", err)
	}
}

// TestKill kills a process that saves all the time. Whatever it reported as saved must be there, whole, and the files
// of interrupted writes must not accumulate.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	leftovers := 0
	for i := range 40 {
		saver := process(t, "save", path)
		stdout, err := saver.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := saver.Start(); err != nil {
			t.Fatal(err)
		}
		reported := int64(0)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			n, err := strconv.ParseInt(lines.Text(), 10, 64)
			if err != nil {
				t.Fatal(lines.Text())
			}
			reported = n
			if n == int64(1+i%3) { // in the midst of the next one, each time at another moment
				time.AfterFunc(time.Duration(i)*50*time.Microsecond, func() { _ = saver.Process.Kill() })
			}
		}
		_ = saver.Wait()
		s := mustRead(t, path)
		last := s.Accounts[0].Used
		if want := numbered(last); !reflect.DeepEqual(s.Accounts, want.Accounts) || last < reported {
			t.Errorf("%d was reported, %d is on disk", reported, last)
		}
		if n := len(names(t, dir)); n > 3 {
			t.Fatalf("%q", names(t, dir))
		} else if n == 3 {
			leftovers++
		}
	}
	t.Logf("%d of 40 left a temporary file", leftovers)
	_ = mustOpen(t, path).Close()
	if got := names(t, dir); !reflect.DeepEqual(got, []string{"state.json", "state.json.lock"}) {
		t.Errorf("%q is left", got)
	}
}

// TestLeftoversOfOthers checks that only temporary files of this file are removed.
func TestLeftoversOfOthers(t *testing.T) {
	dir := t.TempDir()
	others := []string{".state.json", ".state.json.lock", ".state.json12x", ".state.jsonx", "other", "state.json.lock"}
	for _, name := range append(others, ".state.json12", ".state.json7") {
		mustWrite(t, filepath.Join(dir, name), "")
	}
	mustOpen(t, filepath.Join(dir, "state.json"))
	if got := names(t, dir); !reflect.DeepEqual(got, others) {
		t.Errorf("%q are left, want %q", got, others)
	}
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	f := mustOpen(t, path)
	mustSave(t, f, numbered(1))
	_ = f.Close()
	output, err := process(t, "full", path).Output()
	if want := "writing state file " + path + ": file too large\n"; err != nil || string(output) != want {
		t.Errorf("%q, %v, want %q", output, err, want)
	}
	if s := mustRead(t, path); s.Accounts[0].Used != 1 {
		t.Errorf("the old state is gone: %v", s.Saved)
	}
	if n := len(names(t, dir)); n != 2 {
		t.Errorf("%q is left", names(t, dir))
	}
}

// TestOpenRefuses checks that nothing but a regular file in a directory that can be written is opened, or changed.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	mustWrite(t, target, "precious")
	for name, prepare := range map[string]func(path string) error{
		"link":      func(path string) error { return os.Symlink(target, path) },
		"lock link": func(path string) error { return os.Symlink(filepath.Join(dir, "new"), path+".lock") },
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"FIFO":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		path := filepath.Join(dir, name)
		if err := prepare(path); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path)
		if want := "opening state file " + path + ": not a regular file"; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		if _, err := Read(path); (err == nil) != (name == "lock link") {
			t.Errorf("reading: %v", err)
		}
	}
	if content, err := os.ReadFile(target); string(content) != "precious" {
		t.Errorf("target is %q, %v", content, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "new")); err == nil {
		t.Error("the lock was created through a link")
	}
	const noFiles = "/proc/state.json"
	if _, err := Open(noFiles); err == nil || !strings.HasPrefix(err.Error(), "opening state file "+noFiles+": ") {
		t.Errorf("error %v of a directory that takes no files", err)
	}
	missing := filepath.Join(dir, "none", "state.json")
	if _, err := Open(missing); err == nil || !strings.HasSuffix(err.Error(), ": no such file or directory") {
		t.Errorf("error %v of a directory that does not exist", err)
	}
}

// TestReadOnlyDirectory checks that a directory which can only be read is noticed when the file is opened, although
// its lock exists already.
func TestReadOnlyDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	_ = mustOpen(t, path).Close()
	if err := os.Chmod(filepath.Dir(path), 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Dir(path), 0o700) })
	if os.Getuid() == 0 { // who may write everywhere
		const nobody = 65534
		if err := errors.Join(os.Chown(filepath.Dir(path), nobody, -1), syscall.Seteuid(nobody)); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Seteuid(0) }()
	}
	if _, err := Open(path); err == nil || !strings.HasSuffix(err.Error(), ": permission denied") {
		t.Errorf("error %v, want permission denied", err)
	}
}

// TestSaveToADiskThatHangs checks that Save returns, starts no second write meanwhile, and works again afterwards.
func TestSaveToADiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &File{path: "state.json"}
		var writes atomic.Int32
		release := make(chan struct{})
		f.write = func(string, []byte) error {
			writes.Add(1)
			<-release
			return nil
		}
		for i, want := range []time.Duration{ioTimeout, 0, 0} {
			start := time.Now()
			err := f.Save(State{})
			if took := time.Since(start); !errors.Is(err, errHangs) || took != want || writes.Load() != 1 {
				t.Errorf("save %d: %v after %s, %d writes", i, err, took, writes.Load())
			}
		}
		if err := f.Close(); !errors.Is(err, errHangs) {
			t.Errorf("closing: %v", err)
		}
		close(release)
		synctest.Wait()
		if err := f.Save(State{}); err != nil || writes.Load() != 2 {
			t.Errorf("afterwards: %v, %d writes", err, writes.Load())
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	now := time.Now()
	s := State{Accounts: []Account{{Name: "default"}}}
	for i := range 10_000 {
		s.Tokens = append(s.Tokens, Token{
			Name: "token-" + strconv.Itoa(i), Source: "0123456789abcdef", Secret: "01234567", Verdict: "valid", Reason: "valid",
			VerdictTime: now, VerdictSince: now, Begun: now, ResultSince: now,
			Last: &Probe{Result: "valid", HTTPStatus: 200, Start: now, Duration: 1e8, Phases: make([]time.Duration, 5)},
		})
	}
	for b.Loop() {
		data, err := encode(s)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(data)))
	}
}

// TestOwner checks that files that root writes belong to the owner of their directory.
func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root can give files away
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 65532, 65532); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "state.json")
	file, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if err := file.Save(State{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + ".lock"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if owner := info.Sys().(*syscall.Stat_t); owner.Uid != 65532 {
			t.Errorf("%s belongs to %d", name, owner.Uid)
		}
	}
}
