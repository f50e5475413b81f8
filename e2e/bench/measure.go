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
	fmt.Printf("%s  %-66s %8.2f of at most %g%s\n", verdict, what, value, limit, unit)
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
	const tokens = 1000
	api, err := b.startAPI(tokens, 0)
	if err != nil {
		return err
	}
	defer api.stop()
	exporter, err := b.startExporter(api, tokens, concurrency, 0)
	if err != nil {
		return err
	}
	defer exporter.stop()
	bare, askAll, err := b.startBare(api, tokens)
	if err != nil {
		return err
	}
	defer bare.stop()
	contenders := []*contender{
		{process: exporter.process, name: "exporter", repeat: 5, round: func() error { _, err := exporter.scrape(); return err }},
		{process: bare, name: "bare client", repeat: 5, round: askAll},
	}
	if binary := findBlackbox(); binary != "" {
		blackbox, probeAll, err := b.startBlackbox(binary, api, tokens)
		if err != nil {
			return err
		}
		defer blackbox.stop()
		contenders = append(contenders, &contender{process: blackbox, name: "blackbox_exporter", repeat: 1, round: probeAll})
	}
	if err := b.takeTurns(contenders, tokens); err != nil {
		return err
	}

	fmt.Printf("\n%d tokens over TLS, %d at once; medians of %d rounds\n", tokens, concurrency, b.rounds)
	for _, c := range contenders {
		fmt.Printf("      CPU of a probe by %-48s %8d µs\n", c.name, median(c.probe).Microseconds())
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

// scrapeManyTokens measures scrapes of ten thousand tokens.
func (b *bench) scrapeManyTokens() error {
	const tokens, latency, maxConcurrency = 10_000, 50 * time.Millisecond, 1000
	fmt.Printf("\n%d tokens over TLS, %s latency, %d at once; the median of %d scrapes\n", tokens, latency, maxConcurrency, b.rounds)
	taken, memory, err := b.timeScrapes(tokens, latency, maxConcurrency, 0)
	if err != nil {
		return err
	}
	b.report("one scrape", taken.Seconds(), 3, " s")
	b.report("resident at the peak", memory, 250, " MiB")
	return nil
}

// scrapeWithoutProbes measures scrapes that find no token due.
func (b *bench) scrapeWithoutProbes() error {
	const tokens = 1000
	fmt.Printf("\n%d tokens, none of them due; the median of %d scrapes\n", tokens, b.rounds)
	taken, _, err := b.timeScrapes(tokens, 0, concurrency, time.Hour)
	if err != nil {
		return err
	}
	b.report("one scrape", taken.Seconds()*1000, 100, " ms")
	return nil
}

// timeScrapes returns how long a scrape takes, without the first, and the memory at the peak of all in MiB.
func (b *bench) timeScrapes(tokens int, latency time.Duration, maxConcurrency int, minInterval time.Duration) (time.Duration, float64, error) {
	api, err := b.startAPI(tokens, latency)
	if err != nil {
		return 0, 0, err
	}
	defer api.stop()
	exporter, err := b.startExporter(api, tokens, maxConcurrency, minInterval)
	if err != nil {
		return 0, 0, err
	}
	defer exporter.stop()
	times := make([]time.Duration, 1+b.rounds)
	for i := range times {
		if times[i], err = exporter.scrape(); err != nil {
			return 0, 0, err
		}
	}
	memory, err := exporter.memory(peakResident)
	return median(times[1:]), memory, err
}

// rest measures an exporter of a few tokens that has been scraped now and then.
func (b *bench) rest() error {
	const tokens, scrapes, pause = 10, 5, 2 * time.Second
	fmt.Printf("\n%d tokens, %s after the last of %d scrapes\n", tokens, pause, scrapes)
	api, err := b.startAPI(tokens, 0)
	if err != nil {
		return err
	}
	defer api.stop()
	exporter, err := b.startExporter(api, tokens, concurrency, 0)
	if err != nil {
		return err
	}
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
	b.report("resident", memory, 25, " MiB")
	return nil
}
