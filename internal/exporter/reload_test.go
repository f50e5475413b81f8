package exporter

import (
	"errors"
	"log/slog"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

// TestWatch checks that signals reload, also one from before, and changes once two looks in a row see the same. What
// a reload does is in the tests of the program.
func TestWatch(t *testing.T) {
	gone, signal := errors.New("no such file"), os.Interrupt
	for _, test := range []struct {
		name  string
		looks []any // what each sees: a fingerprint or an error; or a signal
		loads int
	}{
		{"unchanged", []any{"a", "a", "a"}, 0},
		{"signals", []any{signal, signal}, 2},
		{"being written", []any{"b", "bc", "bcd", "bcde"}, 0},
		{"written", []any{"b", "bc", "bc", "bc"}, 1},
		{"changed back", []any{"b", "a", "a"}, 0},
		{"gone and back", []any{gone, gone, gone, "a", "a", "a"}, 2},
		{"changed twice", []any{"b", "b", "c", "c"}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				loads := 0
				hangups, looks := make(chan os.Signal, 1), make(chan time.Time)
				x := &exporter{logger: slog.New(slog.DiscardHandler), Options: Options{
					Load: func() (*config.Config, error) {
						loads++
						return nil, errors.New("no configuration")
					},
					Hangups: hangups,
				}}
				var seen any
				x.Fingerprint = func() (string, error) {
					if err, failed := seen.(error); failed {
						return "", err
					}
					return seen.(string), nil
				}
				go x.watch(t.Context(), looks, "a")
				for _, seen = range test.looks {
					if seen == signal {
						hangups <- signal
					} else {
						looks <- time.Now()
					}
					synctest.Wait()
				}
				if loads != test.loads {
					t.Errorf("%d loads, want %d", loads, test.loads)
				}
			})
		})
	}
}
