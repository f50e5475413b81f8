package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeout = 30 * time.Second // until a program listens
	stopTimeout  = 15 * time.Second // from SIGTERM to SIGKILL
)

// Process is a running program.
type Process struct {
	t       testing.TB
	name    string
	cmd     *exec.Cmd
	output  output
	done    chan struct{} // closed when the program has ended
	err     error         // of the program; valid once done is closed
	cpuRead time.Duration // by CPU so far
}

// output collects what a program prints.
type output struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// StartProcess starts a program and collects its output, unless cmd sends that elsewhere. If the test fails, it logs
// the last lines under the program's name.
func StartProcess(t testing.TB, name string, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{t: t, name: name, cmd: cmd, done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = &p.output
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &p.output
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.terminate()
		if t.Failed() {
			const tail = 100
			lines := strings.SplitAfter(p.Log(), "\n")
			t.Logf("log of %s:\n%s", name, strings.Join(lines[max(0, len(lines)-tail-1):], ""))
		}
	})
	return p
}

// Stop ends the program by SIGTERM. An exit code other than 0 is an error of the test.
func (p *Process) Stop() {
	p.t.Helper()
	if err := p.terminate(); err != nil {
		p.t.Errorf("%s ended with %v", p.name, err)
	}
}

// terminate can be called again.
func (p *Process) terminate() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
	select {
	case <-p.done:
		return p.err
	case <-time.After(stopTimeout):
	}
	p.Kill()
	return errors.New("SIGKILL, because SIGTERM did not end it")
}

// Kill ends the program by SIGKILL.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Signal sends the program a signal.
func (p *Process) Signal(signal os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Fatalf("sending %v to %s: %v", signal, p.name, err)
	}
}

// Log returns what the program has printed.
func (p *Process) Log() string { return p.output.String() }

// BlockOutput makes the program's writes to its standard error block, once 4 KiB are in the pipe, until unblock is
// called. [Process.Log] blocks, too.
func (p *Process) BlockOutput() (unblock func(), err error) {
	pipe, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/2", p.PID()), os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	defer pipe.Close()
	const setPipeSize = 1031 // F_SETPIPE_SZ
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, pipe.Fd(), setPipeSize, 4096); errno != 0 {
		return nil, fmt.Errorf("shrinking the pipe: %w", errno)
	}
	p.output.mu.Lock()
	return p.output.mu.Unlock, nil
}

// BlockOpen makes the next opening of a file block until unblock is called, or until the kernel breaks the lease, 45 s
// later by default.
func BlockOpen(path string) (unblock func(), err error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	const setLease = 1024 // F_SETLEASE
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, file.Fd(), setLease, syscall.F_WRLCK); errno != 0 {
		_ = file.Close()
		return nil, fmt.Errorf("taking a lease of %s: %w", path, errno)
	}
	return func() { _ = file.Close() }, nil
}

var listening = regexp.MustCompile(`Listening on"?.* address=(\S+)`)

// AwaitListening returns the address that the program has logged: with port 0 on its command line it chooses the port,
// so that no two programs want the same one.
func (p *Process) AwaitListening() string {
	p.t.Helper()
	var address string
	Until(p.t, startTimeout, func() error {
		select {
		case <-p.done:
			p.t.Fatalf("%s has ended: %v", p.name, p.err)
		default:
		}
		found := listening.FindStringSubmatch(p.Log())
		if found == nil {
			return errors.New(p.name + " does not listen")
		}
		address = found[1]
		return nil
	})
	return address
}

// Until waits until condition returns nil. If that takes longer than the timeout, it fails the test with the last
// error.
func Until(t testing.TB, timeout time.Duration, condition func() error) {
	t.Helper()
	deadline := time.After(timeout)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after %v: %v", timeout, err)
		}
	}
}

// PID returns the program's process ID.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// CPU returns the CPU time that the program has used since the last call.
func (p *Process) CPU() time.Duration {
	p.t.Helper()
	const tick = 10 * time.Millisecond // the kernel's unit on all platforms of Go
	stat := Read(p.t, fmt.Sprintf("/proc/%d/stat", p.PID()))
	// proc_pid_stat(5): utime and stime are fields 14 and 15; field 2, the name, ends with the last parenthesis.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	user, _ := strconv.Atoi(fields[14-3])
	system, _ := strconv.Atoi(fields[15-3])
	before := p.cpuRead
	p.cpuRead = time.Duration(user+system) * tick
	return p.cpuRead - before
}
