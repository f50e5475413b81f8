package exporter

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/appfigures-exporter/appfigures_exporter/collector"
	"github.com/appfigures-exporter/appfigures_exporter/internal/check"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

// Check reports the state of the tokens as one scrape of [Run] would find it, with the same state file and budget, and
// returns the exit code. While an exporter uses the state file, it reports the state in it and probes nothing.
func Check(ctx context.Context, o check.Options, location config.Location, stateFile string) int {
	cfg, warnings, err := location.Load()
	if err != nil {
		return o.Fail(err)
	}
	kept := openState(ctx, stateFile, location.String(), os.Getenv, checkLockTimeout, slog.New(slog.DiscardHandler))
	defer kept.Close()
	store := kept.Store()
	switch {
	case kept.Locked:
		store = nil
		o.Note = "Another process uses the state file, such as a running exporter. " +
			"This is the state in it; nothing was probed."
	case store == nil || kept.Failing:
		store = nil
		requests := cmp.Or(len(o.Tokens), len(cfg.Tokens))
		o.Note = fmt.Sprintf("Without a state file, each run makes %s or more: once a minute, that is %s per day. "+
			"The API grants an account 1,000 per day.",
			status.Plural(requests, "request"), status.Number(int64(requests)*24*60))
	}
	if o.Format != check.Table { // each run would say them again; but without a state file it costs requests
		warnings = nil
	}
	if !kept.Locked { // otherwise the note explains it
		warnings = slices.Concat(warnings, kept.Warnings)
		if (o.Format == check.JSON || o.Format == check.Prometheus) && len(kept.Warnings) > 0 && o.Note != "" {
			warnings = append(warnings, o.Note)
		}
	}
	if !o.Quiet {
		for _, warning := range warnings {
			_, _ = fmt.Fprintf(o.Stderr, "warning: %s\n", warning)
		}
	}
	m := monitor.New(cfg, monitor.Options{
		Connect: Connect, Store: store, State: kept.Content, Logger: slog.New(slog.DiscardHandler),
	})
	defer m.Close()
	var snapshot monitor.Snapshot
	o.Load = func(ctx context.Context) (status.Report, error) {
		if kept.Locked {
			snapshot = m.Snapshot(o.Tokens...)
		} else {
			var deadline time.Time
			if store != nil { // an exporter that starts may wait for the file
				deadline = time.Now().Add(checkTimeout(cfg))
			}
			snapshot = m.Scrape(ctx, deadline, o.Tokens...)
		}
		return status.NewReport(snapshot, o.Thresholds), nil
	}
	o.Exposition = func(w io.Writer) error { return writeExposition(w, snapshot) }
	return check.Run(ctx, o)
}

// writeExposition writes the metrics of a snapshot in the text format.
func writeExposition(w io.Writer, snapshot monitor.Snapshot) error {
	for family := range collector.Families(snapshot) {
		if _, err := expfmt.MetricFamilyToText(w, family); err != nil {
			return err
		}
	}
	return nil
}
