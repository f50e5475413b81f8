package exporter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	dto "github.com/prometheus/client_model/go"

	"github.com/appfigures-exporter/appfigures_exporter/collector"
	"github.com/appfigures-exporter/appfigures_exporter/internal/check"
	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

// Check reports the state of the tokens as one scrape of [Run] would find it, with the same turns, budget and state
// file, and returns the exit code. While an exporter uses the state file, it reports the state in it and probes
// nothing. If lookAgain, tokens that are not valid get an extra turn.
func Check(ctx context.Context, o check.Options, location config.Location, stateFile string, lookAgain bool) int {
	cfg, err := location.Load()
	if err != nil {
		return o.Fail(err)
	}
	kept, err := openState(stateFile, location.String())
	locked := errors.Is(err, state.ErrLocked)
	if locked {
		kept.content, err = state.Read(kept.path)
	}
	if err != nil {
		return o.Fail(err)
	}
	defer kept.close()
	saves := kept.store != nil && kept.store.Save(kept.content) == nil // a full disk shows only in a write
	switch {
	case locked:
		o.Note = "Another process, such as a running exporter or another check, uses the state file. " +
			"This is the state in it; nothing was probed (reload the exporter to look again)."
	case !saves:
		o.Note = fmt.Sprintf("Without a state file, each run makes a request per token: once a minute, that is %d per "+
			"day. The API grants an account 1,000 per day. If an exporter runs here, --exporter=http://localhost:10187 "+
			"asks it instead.", 24*60*cmp.Or(len(o.Tokens), len(cfg.Tokens)))
	}
	for _, warning := range slices.Concat(cfg.Warnings, kept.warnings) {
		if o.Format == check.Table && !o.Quiet { // other formats are for programs, which run it again and again
			_, _ = fmt.Fprintf(o.Stderr, "warning: %s\n", warning)
		}
	}
	cfg.Timeout = min(cfg.Timeout, o.Timeout*9/10) // so that an API that hangs is a result, not a probe cut off
	m := newMonitor(cfg, kept, slog.New(slog.DiscardHandler))
	defer m.Close()
	if lookAgain && !locked {
		m.LookAgain()
	}
	o.Load = func(ctx context.Context) (status.Report, []*dto.MetricFamily, error) {
		snapshot := m.Snapshot(o.Tokens...)
		if !locked {
			snapshot = m.Scrape(ctx, o.Tokens...)
		}
		return status.NewReport(snapshot, o.Thresholds), collector.Families(snapshot), nil
	}
	return check.Run(ctx, o)
}
