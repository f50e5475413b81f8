package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// bench takes the measurements, one after the other, and prints them.
type bench struct {
	ctx      context.Context
	dir      string // for files, gone in the end
	self     string // this program
	exporter string // the program under test
	rounds   int
	missed   int // targets
}

// report prints a figure and whether it is within its limit.
func (b *bench) report(what string, value, limit float64, unit string) {
	verdict := "PASS"
	if value > limit {
		verdict = "FAIL"
		b.missed++
	}
	fmt.Printf("%s  %-64s %8.2f%-4s of at most %g\n", verdict, what, value, unit, limit)
}

// note prints a figure that has no limit.
func (b *bench) note(what string, value float64, unit string) {
	fmt.Printf("      %-64s %8.2f%s\n", what, value, unit)
}

// load is what there is to do in a measurement.
type load struct {
	tokens      int
	atOnce      int           // requests under way; the exporter's max_concurrency, by default 50
	latency     time.Duration // of the API
	minInterval time.Duration // between two probes of a token
}

// contender is one of the programs that make the same probes in turns.
type contender struct {
	*process
	name   string
	round  func() error    // probes each token once
	repeat int             // how often, before its CPU time is read
	probe  []time.Duration // CPU time of one probe, by round
}

// compareCPU measures the CPU time of one probe, the exposition included.
func (b *bench) compareCPU() error {
	l := load{tokens: 1000, atOnce: 50}
	api, exporter, err := b.startBoth(l)
	if err != nil {
		return err
	}
	defer api.stop()
	defer exporter.stop()
	bare, askAll, err := b.startBare(api, l)
	if err != nil {
		return err
	}
	defer bare.stop()
	contenders := []*contender{
		{process: exporter.process, name: "exporter", repeat: 5, round: func() error { _, err := exporter.scrape(); return err }},
		{process: bare, name: "bare client", repeat: 5, round: askAll},
	}
	if binary := findBlackbox(); binary != "" {
		blackbox, probeAll, err := b.startBlackbox(binary, api, l)
		if err != nil {
			return err
		}
		defer blackbox.stop()
		contenders = append(contenders, &contender{process: blackbox, name: "blackbox_exporter", repeat: 1, round: probeAll})
	}
	if err := b.takeTurns(contenders, l.tokens); err != nil {
		return err
	}

	fmt.Printf("\n%d tokens over TLS, %d at once; medians of %d rounds\n", l.tokens, l.atOnce, b.rounds)
	for _, c := range contenders {
		b.note("CPU of a probe by "+c.name, float64(median(c.probe).Microseconds()), " µs")
	}
	b.report("CPU of a probe and its exposition, in bare requests", ratio(contenders[0], contenders[1]), 3, "")
	if len(contenders) > 2 {
		b.report("CPU of a probe and its exposition, in blackbox_exporter's probes", ratio(contenders[0], contenders[2]), 0.2, "")
	} else {
		fmt.Println("      blackbox_exporter is not installed: no comparison")
	}
	return nil
}

// takeTurns lets each contender probe in each round, after one round that does not count.
func (b *bench) takeTurns(contenders []*contender, tokens int) error {
	for round := range 1 + b.rounds {
		for _, c := range contenders {
			for range c.repeat {
				if err := c.round(); err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
			}
			used, err := c.cpu()
			if err != nil {
				return err
			}
			if round > 0 {
				c.probe = append(c.probe, used/time.Duration(c.repeat*tokens))
			}
		}
	}
	return nil
}

// ratio returns the median over the rounds of what a probe of a cost for each of b's.
func ratio(a, b *contender) float64 {
	ratios := make([]float64, len(a.probe))
	for i := range ratios {
		ratios[i] = float64(a.probe[i]) / float64(b.probe[i])
	}
	return median(ratios)
}

func median[T cmp.Ordered](values []T) T {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

// scrapeManyTokens measures scrapes of ten thousand tokens. They take as long as the machine is busy with other things,
// so it lets a bare client make the same requests in turn, for comparison.
func (b *bench) scrapeManyTokens() error {
	l := load{tokens: 10_000, atOnce: 1000, latency: 50 * time.Millisecond}
	api, exporter, err := b.startBoth(l)
	if err != nil {
		return err
	}
	defer api.stop()
	defer exporter.stop()
	bare, askAll, err := b.startBare(api, l)
	if err != nil {
		return err
	}
	defer bare.stop()
	var scrapes, rounds []float64
	for range b.rounds {
		taken, err := exporter.scrape()
		if err != nil {
			return err
		}
		scrapes = append(scrapes, taken.Seconds())
		begin := time.Now()
		if err := askAll(); err != nil {
			return fmt.Errorf("bare client: %w", err)
		}
		rounds = append(rounds, time.Since(begin).Seconds())
	}
	memory, err := exporter.memory(peakResident)
	if err != nil {
		return err
	}
	fmt.Printf("\n%d tokens over TLS, %s latency, %d at once; medians of %d rounds\n", l.tokens, l.latency, l.atOnce, b.rounds)
	b.note("the same requests by bare client", median(rounds), " s")
	b.report("one scrape", median(scrapes), 3, " s")
	b.note("the slowest of them", slices.Max(scrapes), " s")
	b.report("resident at the peak", memory, 250, " MiB")
	return nil
}

// scrapeWithoutProbes measures scrapes that find no token due.
func (b *bench) scrapeWithoutProbes() error {
	l := load{tokens: 1000, atOnce: 50, minInterval: time.Hour}
	api, exporter, err := b.startBoth(l)
	if err != nil {
		return err
	}
	defer api.stop()
	defer exporter.stop()
	if _, err := exporter.scrape(); err != nil { // this one probes
		return err
	}
	var scrapes []float64
	for range b.rounds {
		taken, err := exporter.scrape()
		if err != nil {
			return err
		}
		scrapes = append(scrapes, taken.Seconds()*1000)
	}
	fmt.Printf("\n%d tokens, none of them due; the median of %d scrapes\n", l.tokens, b.rounds)
	b.report("one scrape", median(scrapes), 100, " ms")
	return nil
}

// rest measures an exporter of a few tokens that is scraped now and then.
func (b *bench) rest() error {
	const scrapes, pause = 5, 2 * time.Second
	l := load{tokens: 10, atOnce: 50}
	api, exporter, err := b.startBoth(l)
	if err != nil {
		return err
	}
	defer api.stop()
	defer exporter.stop()
	for range scrapes {
		if _, err := exporter.scrape(); err != nil {
			return err
		}
		time.Sleep(pause)
	}
	memory, err := exporter.memory(resident)
	if err != nil {
		return err
	}
	fmt.Printf("\n%d tokens, %s after the last of %d scrapes\n", l.tokens, pause, scrapes)
	b.report("resident", memory, 25, " MiB")
	return nil
}

// startBoth starts an API and an exporter that probes it.
func (b *bench) startBoth(l load) (simulated, *exporter, error) {
	api, err := b.startAPI(l)
	if err != nil {
		return simulated{}, nil, err
	}
	e, err := b.startExporter(api, l)
	if err != nil {
		api.stop()
	}
	return api, e, err
}
