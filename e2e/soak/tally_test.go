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

const (
	// shownFaults is how many faults are shown in full.
	shownFaults = 20
	// handful is how many probes may be late however short the run: one stall of the machine can delay so many.
	handful = 20
)

// tally counts what happened.
type tally struct {
	mu       sync.Mutex // guards the fields below
	faults   []string
	answers  map[string][]time.Duration // by path, without its query
	results  map[string]int
	tooLate  map[string]bool // probes that timed out although the API responded
	gone     int             // scrapers that hung up
	oldest   time.Duration   // age of a token's last probe at a request
	readings []usage
}

func newTally() *tally {
	return &tally{
		answers: make(map[string][]time.Duration), results: make(map[string]int), tooLate: make(map[string]bool),
	}
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

func (c *tally) result(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.results[name]++
}

func (c *tally) late(probe string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tooLate[probe] = true
}

func (c *tally) aged(age time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.oldest = max(c.oldest, age)
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

// report logs the figures, and fails the test for faults and for a larger share of late probes than late.
func (c *tally) report(t *testing.T, late float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, path := range slices.Sorted(maps.Keys(c.answers)) {
		took := slices.Sorted(slices.Values(c.answers[path]))
		percentile := func(p int) time.Duration { return took[(len(took)-1)*p/100].Round(time.Millisecond) }
		t.Logf("%-14s %7d responses, half within %s, 99 %% within %s, all within %s",
			path, len(took), percentile(50), percentile(99), percentile(100))
	}
	total := 0
	for _, name := range slices.Sorted(maps.Keys(c.results)) {
		t.Logf("result %-14s seen %d times", name, c.results[name])
		total += c.results[name]
	}
	t.Logf("the oldest last probe of a token was %s old", c.oldest.Round(time.Millisecond))
	t.Logf("%d scrapers hung up; of %d results, %d were late", c.gone, total, len(c.tooLate))
	for _, result := range results {
		if c.results[result] == 0 {
			t.Errorf("no probe had the result %s, so it was not tested", result)
		}
	}
	if most := handful + int(late*float64(total)); len(c.tooLate) > most {
		t.Errorf("more than %d probes were late, the first of them %s", most, slices.Sorted(maps.Keys(c.tooLate))[0])
	}
	for _, fault := range c.faults[:min(len(c.faults), shownFaults)] {
		t.Error(fault)
	}
	if more := len(c.faults) - shownFaults; more > 0 {
		t.Errorf("and %d more faults", more)
	}
}

// measure is a resource, and the growth that counts as none.
type measure struct {
	name  string
	of    func(usage) float64
	share float64 // of the amount before
	more  float64 // on top of share
}

var (
	resident    = measure{"MiB resident", func(p usage) float64 { return float64(p.memory) / (1 << 20) }, 0.10, 3}
	heap        = measure{"MiB of heap", func(p usage) float64 { return float64(p.heap) / (1 << 20) }, 0.10, 3}
	goroutines  = measure{"goroutines", func(p usage) float64 { return p.goroutines }, 0.5, 25}
	descriptors = measure{"descriptors", func(p usage) float64 { return p.descriptors }, 0.5, 25}
)

// comparableQuarter is how long a quarter must be to be compared with another. Usage follows the load, which varies:
// in one long run, the medians of two minutes were 37 to 46 MiB resident, those of five minutes 38 to 43, those of ten
// 42.6 and 42.2.
const comparableQuarter = 5 * time.Minute

// checkFlat checks that no measure has grown from the second quarter of the time to the last.
func (c *tally) checkFlat(t *testing.T, lasting time.Duration, measures []measure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	quarter := len(c.readings) / 4
	if len(measures) > 0 && quarter < 5 {
		t.Fatalf("only %d readings", len(c.readings))
	}
	second, last := c.readings[quarter:2*quarter], c.readings[3*quarter:]
	for _, m := range measures {
		before, after := median(second, m.of), median(last, m.of)
		t.Logf("%-12s %.1f in the second quarter, %.1f in the last, %.1f at most",
			m.name, before, after, highest(c.readings, m.of))
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
