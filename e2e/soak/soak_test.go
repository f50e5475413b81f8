// Package soak runs the real exporter for as long as one likes under everything that can happen to it at once: an API
// that treats each token another way every few seconds, outages, secrets that rotate or are missing for a while, reloads
// good and bad, scrapers that are many, impatient, slow or gone. All the while it holds what was promised: every scrape
// is answered in time, no verdict is wrong, no request is made that is not counted, and memory, goroutines and
// descriptors stay where they were. A third of the time the exporter is one that was built with the race detector.
//
// It takes a minute unless told otherwise:
//
//	go test -count=1 -v -timeout 0 ./soak -soak 1h
package soak

import (
	"context"
	"flag"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

var (
	length   = flag.Duration("soak", time.Minute, "how long to soak the exporter")
	interval = flag.Duration("scrape-interval", time.Second, "how often each of the scrapers scrapes")
	tokens   = flag.Int("tokens", 200, "how many tokens there are")
	seed     = flag.Uint64("seed", 0, "of all that is random; 0: another one each time")
)

// settling is how long everything may take to come to rest when the load has ended.
const settling = 30 * time.Second

// soak is one run.
type soak struct {
	t     *testing.T
	seed  uint64
	api   *harness.API
	watch *harness.Exporter
	world *world
	tally *tally
}

func TestSoak(t *testing.T) {
	raced := *length / 3
	t.Run("as released", func(t *testing.T) {
		newSoak(t, harness.Build(t)).run(*length-raced, 0.0001, resident, heap, goroutines, descriptors)
	})
	// The race detector's own memory is most of what is resident, and its own work makes probes late on a busy machine.
	t.Run("under the race detector", func(t *testing.T) {
		newSoak(t, harness.Build(t, "-race")).run(raced, 0.02, heap, goroutines, descriptors)
	})
}

// newSoak starts the API and the exporter.
func newSoak(t *testing.T, binary string) *soak {
	s := &soak{t: t, seed: *seed, tally: newTally()}
	for s.seed == 0 {
		s.seed = rand.Uint64()
	}
	ca := harness.NewAuthority(t)
	s.api = simulated.Start(t, ca, simulator.New(simulator.Options{
		DailyLimit: harness.Plenty, SlowDelay: 300 * time.Millisecond, RetryAfter: time.Second,
	}), nil)
	s.world = newWorld(t, s.api, *tokens)
	s.watch = exporter.Start(t, binary, exporter.AnyPort, []string{"SSL_CERT_FILE=" + ca.File}, "--config.file="+s.world.configFile)
	return s
}

// run soaks for so long and judges what happened, and whether what is used of each thing stayed as it was. late is the
// share of the probes that may time out without the API being to blame.
func (s *soak) run(lasting time.Duration, late float64, flat ...measure) {
	t := s.t
	defer s.tally.report(t, late) // also where it does not come to rest
	first := s.calmest(t.Context())
	t.Logf("seed %d, %d tokens, %s; at first %s", s.seed, *tokens, lasting, first)

	ctx, cancel := context.WithTimeout(t.Context(), lasting)
	defer cancel()
	var load sync.WaitGroup
	for i, part := range s.everything() {
		load.Go(func() { part(ctx, rand.New(rand.NewPCG(s.seed, uint64(i)))) })
	}
	load.Wait()

	s.settle(first)
	s.tally.checkFlat(t, lasting, flat)
	if log := s.watch.Log(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic") {
		t.Error("the exporter's log tells of a data race or a panic")
	}
}

// calmest returns the least that is used after each of some scrapes: their connections take a moment to end.
func (s *soak) calmest(ctx context.Context) usage {
	least := s.scrape(ctx).usage
	for range 5 {
		if next := s.scrape(ctx).usage; next.goroutines < least.goroutines {
			least = next
		}
	}
	return least
}

// everything lists what goes on at once.
func (s *soak) everything() []func(context.Context, *rand.Rand) {
	return []func(context.Context, *rand.Rand){
		s.scraper, s.scraper, s.scraper, s.prober, s.prober, s.visitor,
		s.hangUp, s.hangUp, s.slowReader, s.slowReader, s.slowLoris,
		s.reloadBySignal, s.reloadByRequest,
		s.world.change, s.world.rotate, s.world.misplace, s.world.outages,
	}
}

// settle ends all faults and checks that the exporter then knows the truth about every token, has counted every request,
// and has given everything back.
func (s *soak) settle(first usage) {
	s.t.Helper()
	ctx := context.WithoutCancel(s.t.Context())
	s.world.calm()
	var last *exposition
	harness.Until(s.t, settling, func() error {
		last = s.scrape(ctx)
		return s.world.settled(last)
	})
	s.world.checkCounted(s.t, last)
	client.CloseIdleConnections()
	harness.Until(s.t, settling, func() error {
		last = s.scrape(ctx)
		return last.usage.near(first)
	})
	s.t.Logf("at last %s", last.usage)
	if s.world.leak(s.watch.Log()) {
		s.t.Error("the log holds a token")
	}
	if strings.Contains(s.watch.Log(), "owner-") {
		s.t.Error("the log holds a user's e-mail address")
	}
}
