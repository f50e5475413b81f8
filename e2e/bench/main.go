// Bench measures what the exporter costs, beside the least that the same requests can cost. It needs Linux and takes
// about two minutes:
//
//	cd e2e && go run ./bench
//
// It runs the real exporter over TLS against the simulated API and, in turns with it on the same machine, a bare
// net/http client that makes the same requests, and blackbox_exporter where one is installed. Each is a process of its
// own, so that each one's CPU time is the kernel's word. A loaded machine slows all of them alike: ratios are medians
// over rounds that take turns. It prints each figure beside its target, and exits 1 when one is missed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
)

// Roles that this program plays for itself, as its first argument.
const (
	apiRole  = "api"
	bareRole = "bare"
)

func main() {
	role := ""
	if len(os.Args) > 1 {
		role = os.Args[1]
	}
	var err error
	switch role {
	case apiRole:
		err = serveAPI(os.Args[2:])
	case bareRole:
		err = serveBare(os.Args[2:])
	default:
		rounds := flag.Int("rounds", 7, "how many rounds to take the median of")
		flag.Parse()
		err = run(*rounds)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run takes all measurements.
func run(rounds int) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "appfigures_bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	exporter := filepath.Join(dir, "appfigures_exporter")
	build := exec.CommandContext(ctx, "sh", "deploy/build.sh", exporter)
	build.Dir, build.Stderr = "..", os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building the exporter (run this in e2e/): %w", err)
	}

	load, err := os.ReadFile("/proc/loadavg") // of other programs: more than one for each processor, and times tell little
	if err != nil {
		return err
	}
	fmt.Printf("%d processors, load %s, %s\n", runtime.NumCPU(), strings.Fields(string(load))[0], runtime.Version())
	b := &bench{ctx: ctx, dir: dir, self: self, exporter: exporter, rounds: rounds}
	for _, measure := range []func() error{b.compareCPU, b.scrapeManyTokens, b.scrapeWithoutProbes, b.rest} {
		if err := measure(); err != nil {
			return err
		}
	}
	if b.missed > 0 {
		return fmt.Errorf("targets missed: %d", b.missed)
	}
	return nil
}
