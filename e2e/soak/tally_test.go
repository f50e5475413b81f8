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

// memory is how the resident memory is called.
const memory = "MiB resident"

// checkFlat holds that what the exporter uses is in the last quarter of the time what it was in the second.
func (c *tally) checkFlat(t *testing.T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	quarter := len(c.readings) / 4
	if quarter < 5 {
		t.Fatalf("only %d readings", len(c.readings))
	}
	second, last := c.readings[quarter:2*quarter], c.readings[3*quarter:]
	for _, use := range []struct {
		name  string
		of    func(usage) float64
		share float64 // how much more of it the last quarter may have
		more  float64 // and on top of that
	}{
		{memory, func(p usage) float64 { return float64(p.memory) / (1 << 20) }, 0.15, 5},
		{"goroutines", func(p usage) float64 { return p.goroutines }, 0.25, 25},
		{"descriptors", func(p usage) float64 { return p.descriptors }, 0.25, 25},
	} {
		before, after := median(second, use.of), median(last, use.of)
		t.Logf("%-12s %.1f in the second quarter, %.1f in the last, %.1f at most", use.name, before, after, highest(c.readings, use.of))
		if *raceBuild && use.name == memory {
			continue // the race detector keeps a history of its own
		}
		if after > before*(1+use.share)+use.more {
			t.Errorf("%s grew from %.1f in the second quarter to %.1f in the last", use.name, before, after)
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
