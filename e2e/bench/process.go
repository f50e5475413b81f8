package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// process is a program that is being measured.
type process struct {
	cmd     *exec.Cmd
	address string // where it listens
	counted time.Duration
}

// listening is how each of the programs says where it listens.
var listening = regexp.MustCompile(`address=(\S+)`)

// start starts a program and waits until it listens. It ends with ctx, or by stop.
func start(ctx context.Context, name string, args ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	output, input := io.Pipe()
	cmd.Stdout, cmd.Stderr = input, input
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = input.CloseWithError(cmd.Wait()) }()
	lines := bufio.NewScanner(output)
	var said strings.Builder
	for lines.Scan() {
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			go func() { _, _ = io.Copy(io.Discard, output) }()
			return &process{cmd: cmd, address: found[1]}, nil
		}
		said.WriteString(lines.Text() + "\n")
	}
	return nil, fmt.Errorf("%s ended before it listened: %v\n%s", name, lines.Err(), &said)
}

// stop ends the program.
func (p *process) stop() { _ = p.cmd.Process.Kill() }

// tick is the unit in which the kernel tells CPU times, on all of Linux' platforms that Go has.
const tick = 10 * time.Millisecond

// cpu returns the CPU time that the process has used since the last call, its work in the background included.
func (p *process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// See proc_pid_stat(5): utime and stime are fields 14 and 15, and the name, field 2, ends with the last parenthesis.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.Atoi(fields[14-3])
	system, _ := strconv.Atoi(fields[15-3])
	before := p.counted
	p.counted = time.Duration(user+system) * tick
	return p.counted - before, nil
}

const (
	resident     = "VmRSS"
	peakResident = "VmHWM"
)

// memory returns resident or peakResident in MiB.
func (p *process) memory(key string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if amount, found := strings.CutPrefix(line, key+":"); found {
			kibibytes, err := strconv.Atoi(strings.Fields(amount)[0])
			return float64(kibibytes) / 1024, err
		}
	}
	return 0, fmt.Errorf("no %s in the status of %d", key, p.cmd.Process.Pid)
}
