package exporter

import (
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

type loadFunc = func() (*config.Config, error)

func newTestReloader(load loadFunc, use func(*config.Config), log *strings.Builder) *reloader {
	r := &reloader{load: load, use: use, logger: slog.New(slog.NewTextHandler(log, nil))}
	r.last.Store(&attempt{time.Now(), time.Now(), nil})
	return r
}

func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		var used []*config.Config
		var next loadFunc
		load := func() (*config.Config, error) { return next() }
		r := newTestReloader(load, func(cfg *config.Config) { used = append(used, cfg) }, &log)
		start := time.Now()
		first, second := &config.Config{Warnings: []string{"unwise"}}, new(config.Config)
		hangs := make(chan struct{})
		for i, test := range []struct {
			next    loadFunc
			used    []*config.Config
			log     string // part of it
			success time.Duration
		}{
			{func() (*config.Config, error) { return first, nil },
				[]*config.Config{first}, "level=WARN msg=unwise\n", 1},
			{func() (*config.Config, error) { return nil, errors.New("config.yml:1: wrong") },
				[]*config.Config{first}, `keeping the old one" err="config.yml:1: wrong"`, 1},
			{func() (*config.Config, error) { <-hangs; return second, nil },
				[]*config.Config{first}, `err="the configuration cannot be read in time; `, 1},
			{func() (*config.Config, error) { return second, nil },
				[]*config.Config{first, second}, `msg="Configuration reloaded"`, 4 + loadTimeout/time.Second},
		} {
			time.Sleep(time.Second)
			synctest.Wait()
			next = test.next
			log.Reset()
			err := r.reload()
			if !slices.Equal(used, test.used) || !strings.Contains(log.String(), test.log) {
				t.Errorf("%d: uses %v; log: %s", i, used, log.String())
			}
			last := r.last.Load()
			if !errors.Is(last.err, err) || last.success.Sub(start) != test.success*time.Second || last.time != time.Now() {
				t.Errorf("%d: %v was recorded as %+v", i, err, last)
			}
		}
		close(hangs)
		synctest.Wait()
		if len(used) != 2 {
			t.Error("a load that ended too late was put into use")
		}
	})
}

// TestWatch checks that signals reload, also one from before, and changes once two looks in a row see the same.
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
				r := newTestReloader(func() (*config.Config, error) {
					loads++
					return new(config.Config), nil
				}, func(*config.Config) {}, new(strings.Builder))
				hangups, looks := make(chan os.Signal, 1), make(chan time.Time)
				var seen any
				go r.watch(t.Context(), hangups, looks, "a", func() (string, error) {
					if err, failed := seen.(error); failed {
						return "", err
					}
					return seen.(string), nil
				})
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
