package soak

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// shownFaults is how many faults are shown in full.
const shownFaults = 20

// tally counts what happened.
type tally struct {
	mu       sync.Mutex // guards the fields below
	faults   []string
	answers  map[string][]time.Duration // by path, without its query
	results  map[string]int
	network  int // results that blame the network without its being to blame
	gone     int // scrapers that hung up
	readings []usage
}

func newTally() *tally {
	return &tally{answers: make(map[string][]time.Duration), results: make(map[string]int)}
}

func (c *tally) fault(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

func (c *tally) answered(path string, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	path, _, _ = strings.Cut(path, "?")
	c.answers[path] = append(c.answers[path], took)
}

func (c *tally) result(name string, blamesNetwork bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.results[name]++
	if blamesNetwork {
		c.network++
	}
}

func (c *tally) hungUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone++
}

func (c *tally) sample(p usage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readings = append(c.readings, p)
}

// report logs the figures, and fails for what must not happen at all, or not often.
func (c *tally) report(t *testing.T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, path := range slices.Sorted(maps.Keys(c.answers)) {
		took := slices.Sorted(slices.Values(c.answers[path]))
		t.Logf("%-12s %7d answers, half within %s, 99 %% within %s, all within %s", path, len(took),
			took[len(took)/2].Round(time.Millisecond), took[len(took)*99/100].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	}
	total := 0
	for _, name := range slices.Sorted(maps.Keys(c.results)) {
		t.Logf("result %-14s seen %d times", name, c.results[name])
		total += c.results[name]
	}
	t.Logf("%d scrapers hung up; %d of %d results blame the network for what was the machine's load", c.gone, c.network, total)
	for _, result := range truth {
		if c.results[result] == 0 {
			t.Errorf("no probe had the result %s, so nothing was tested of it", result)
		}
	}
	if c.network*20 > total {
		t.Errorf("more than a twentieth of the results blame the network")
	}
	for _, fault := range c.faults[:min(len(c.faults), shownFaults)] {
		t.Error(fault)
	}
	if more := len(c.faults) - shownFaults; more > 0 {
		t.Errorf("and %d more faults", more)
	}
}

// measure is something that the exporter uses, and how much more of it than before passes for the same.
type measure struct {
	name  string
	of    func(usage) float64
	share float64 // of what it was before
	more  float64 // on top of that
}

var (
	resident    = measure{"MiB resident", func(p usage) float64 { return float64(p.memory) / (1 << 20) }, 0.15, 5}
	heap        = measure{"MiB of heap", func(p usage) float64 { return float64(p.heap) / (1 << 20) }, 0.15, 5}
	goroutines  = measure{"goroutines", func(p usage) float64 { return p.goroutines }, 0.5, 25}
	descriptors = measure{"descriptors", func(p usage) float64 { return p.descriptors }, 0.5, 25}
)

// comparableQuarter is how long a quarter of the time must be to be compared with another. In shorter ones there is more or
// less going on, and what is used doubles or halves with it.
const comparableQuarter = 2 * time.Minute

// checkFlat holds that of each measure as much is used in the last quarter of the time as in the second.
func (c *tally) checkFlat(t *testing.T, lasting time.Duration, measures []measure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	quarter := len(c.readings) / 4
	if quarter < 5 {
		t.Fatalf("only %d readings", len(c.readings))
	}
	second, last := c.readings[quarter:2*quarter], c.readings[3*quarter:]
	for _, m := range measures {
		before, after := median(second, m.of), median(last, m.of)
		t.Logf("%-12s %.1f in the second quarter, %.1f in the last, %.1f at most", m.name, before, after, highest(c.readings, m.of))
		if lasting/4 >= comparableQuarter && after > before*(1+m.share)+m.more {
			t.Errorf("%s grew from %.1f in the second quarter to %.1f in the last", m.name, before, after)
		}
	}
}

func median(readings []usage, of func(usage) float64) float64 {
	values := make([]float64, len(readings))
	for i, reading := range readings {
		values[i] = of(reading)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func highest(readings []usage, of func(usage) float64) float64 {
	top := math.Inf(-1)
	for _, reading := range readings {
		top = max(top, of(reading))
	}
	return top
}
