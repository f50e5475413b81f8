// Package process runs the programs that the suites of this module test together: the exporter, Prometheus,
// Alertmanager. Each ends with its test, and tells its log when the test has failed.
package process

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	startPatience = 30 * time.Second // until a program listens
	endPatience   = 15 * time.Second // from SIGTERM to SIGKILL
)

// Process is a running program.
type Process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	log  log
	done chan struct{} // closed when the program has ended
	err  error         // how it ended; after done
}

// Start starts the program. name is how its log is headed. The program ends with the test at the latest.
func Start(t *testing.T, name string, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{t: t, name: name, cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.end()
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, p.log.tail())
		}
	})
	return p
}

// Stop asks the program to end and waits until it has. It fails the test if the program does not end, or ends with an
// error.
func (p *Process) Stop() {
	p.t.Helper()
	if err := p.end(); err != nil {
		p.t.Errorf("%s ended with %v", p.name, err)
	}
}

// end is Stop with the error returned. It can be called again.
func (p *Process) end() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
	select {
	case <-p.done:
		return p.err
	case <-time.After(endPatience):
	}
	_ = p.cmd.Process.Kill()
	<-p.done
	return errors.New("SIGKILL, as SIGTERM did not end it")
}

// Signal sends the program a signal.
func (p *Process) Signal(signal os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Fatalf("sending %v to %s: %v", signal, p.name, err)
	}
}

// Log returns what the program has printed.
func (p *Process) Log() string { return p.log.text() }

// listening is what exporter-toolkit logs in all three programs.
var listening = regexp.MustCompile(`msg="Listening on".* address=(\S+)`)

// Address waits until the program listens, and returns the address: with port 0 on its command line, the program has
// chosen the port itself, so no two programs want the same one.
func (p *Process) Address() string {
	p.t.Helper()
	var address string
	Until(p.t, startPatience, func() error {
		select {
		case <-p.done:
			p.t.Fatalf("%s ended before it listened: %v", p.name, p.err)
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

// Until waits until condition returns no error, and fails the test with its last one when that takes longer than
// patience.
func Until(t *testing.T, patience time.Duration, condition func() error) {
	t.Helper()
	deadline := time.After(patience)
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
			t.Fatalf("waited %v in vain: %v", patience, err)
		}
	}
}

// Tool returns the path of a program that the suite needs: from PATH, or where `go install` puts it. install is what
// to do when it is in neither.
func Tool(t *testing.T, name, install string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	gopath, err := exec.Command("go", "env", "GOPATH").Output()
	if err != nil {
		t.Fatalf("asking go for GOPATH: %v", err)
	}
	path := filepath.Join(strings.TrimSpace(string(gopath)), "bin", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("this suite needs %s, which is neither in PATH nor at %s; install it with: %s", name, path, install)
	}
	return path
}
