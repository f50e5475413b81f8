package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/appfigures-exporter/appfigures_exporter/internal/check"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// check probes every token once and prints what came of it.
func (p *program) check(ctx context.Context) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	cfg, warnings, err := p.read()
	if err != nil {
		return p.fail(err, check.Unknown)
	}
	p.warn(warnings) // but not of pacing, which the next lines turn off
	// One look at each token may take what it needs of the quota: only the API's own limit stops it. What it finds
	// is printed, so the log says nothing.
	once := *cfg
	once.Pacing.QuotaShare, once.Pacing.MinInterval = 1, 0
	m := monitor.New(&once, connect, slog.New(slog.DiscardHandler))
	defer m.Stop()
	return check.Run(ctx, check.Options{
		Config:  &once,
		Scraper: m,
		Format:  check.Format(*p.output),
		Stdout:  screen(p.stdout),
		Stderr:  screen(p.stderr),
		Getenv:  os.Getenv,
	})
}

// screen finds out whether w is a terminal, and how wide.
func screen(w io.Writer) check.Screen {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return check.Screen{Writer: w}
	}
	width, _, _ := term.GetSize(int(file.Fd())) // 0 when not known
	return check.Screen{Writer: w, Terminal: true, Width: width}
}
