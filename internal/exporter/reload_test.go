package exporter

import (
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

// loads is a configuration that changes: each load is counted, and does what next says.
type loads struct {
	next  func() (*config.Config, []string, error)
	count atomic.Int64
}

func (l *loads) load() (*config.Config, []string, error) {
	l.count.Add(1)
	return l.next()
}

// TestReload checks what is put into use and what is logged: a configuration that cannot be loaded changes nothing.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l loads
		var log strings.Builder
		var used []*config.Config
		use := func(cfg *config.Config) { used = append(used, cfg) }
		r := newReloader(l.load, use, slog.New(slog.NewTextHandler(&log, nil)))
		start := time.Now()
		first, second := new(config.Config), new(config.Config)
		hangs := make(chan struct{})
		for i, test := range []struct {
			next    func() (*config.Config, []string, error)
			used    []*config.Config
			log     string // part of it
			success time.Duration
		}{
			{func() (*config.Config, []string, error) { return first, []string{"unwise"}, nil },
				[]*config.Config{first}, "level=WARN msg=unwise\n", 1},
			{func() (*config.Config, []string, error) { return nil, nil, errors.New("config.yml:1: wrong") },
				[]*config.Config{first}, `keeping the old one" err="config.yml:1: wrong"`, 1},
			{func() (*config.Config, []string, error) { <-hangs; return second, nil, nil },
				[]*config.Config{first}, `err="the configuration cannot be read in time; `, 1},
			{func() (*config.Config, []string, error) { return second, nil, nil },
				[]*config.Config{first, second}, `msg="Configuration reloaded"`, 4 + loadTimeout/time.Second},
		} {
			time.Sleep(time.Second)
			synctest.Wait()
			l.next = test.next
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

// TestWatch checks when changes are taken: once two looks in a row see the same, also for what cannot be read.
func TestWatch(t *testing.T) {
	gone := errors.New("no such file")
	for _, test := range []struct {
		name  string
		looks []any // what each sees: a fingerprint or an error
		loads int64
	}{
		{"unchanged", []any{"a", "a", "a"}, 0},
		{"changed", []any{"a", "b", "b", "b"}, 1},
		{"being written", []any{"b", "bc", "bcd", "bcde"}, 0},
		{"written", []any{"b", "bc", "bc", "bc"}, 1},
		{"changed back", []any{"b", "a", "a"}, 0},
		{"replaced", []any{gone, "b", "b"}, 1},
		{"gone", []any{gone, gone, gone}, 1},
		{"gone and back", []any{gone, gone, "a", "a", "a"}, 2},
		{"changed twice", []any{"b", "b", "c", "c"}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l loads
				l.next = func() (*config.Config, []string, error) { return new(config.Config), nil, nil }
				r := newReloader(l.load, func(*config.Config) {}, slog.New(slog.DiscardHandler))
				look := 0
				go r.watch(t.Context(), nil, time.Minute, "a", func() (string, error) {
					look++
					if err, failed := test.looks[look-1].(error); failed {
						return "", err
					}
					return test.looks[look-1].(string), nil
				})
				time.Sleep(time.Duration(len(test.looks))*time.Minute + time.Second)
				synctest.Wait()
				if n := l.count.Load(); n != test.loads || look != len(test.looks) {
					t.Errorf("%d loads, want %d, after %d looks", n, test.loads, look)
				}
			})
		})
	}
}

// TestSignals checks that each signal reloads, also without looks for changes.
func TestSignals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l loads
		l.next = func() (*config.Config, []string, error) { return nil, nil, errors.New("wrong") }
		r := newReloader(l.load, nil, slog.New(slog.DiscardHandler))
		hangups := make(chan os.Signal, 1)
		hangups <- os.Interrupt // it came before watch began
		go r.watch(t.Context(), hangups, 0, "", nil)
		synctest.Wait()
		hangups <- os.Interrupt
		synctest.Wait()
		if n := l.count.Load(); n != 2 {
			t.Errorf("%d loads, want 2", n)
		}
	})
}
