// Package soak runs the real exporter under everything that can happen to it at once: an API that treats each token
// differently every few seconds, outages, secrets that are replaced, missing or hang when they are read, good and bad
// reloads, a standard error that blocks, and many scrapers, some of which are impatient, slow or leave. It checks that
// every scrape gets a response in time, that no verdict is wrong, that every request is counted, and that memory,
// goroutines and descriptors do not grow. For a sixth of the time the exporter is killed and restarted now and then, and
// must lose nothing; for a third it is built with the race detector.
//
// It takes a minute by default:
//
//	go test -count=1 -v -timeout 0 ./soak -soak 1h
package soak

import (
	"context"
	"flag"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

var (
	length   = flag.Duration("soak", time.Minute, "how long to soak the exporter")
	interval = flag.Duration("scrape-interval", time.Second, "how often each scraper scrapes")
	tokens   = flag.Int("tokens", 200, "how many tokens there are")
	seed     = flag.Uint64("seed", 0, "of all random numbers; 0: a different one each time")
)

func TestMain(m *testing.M) { harness.Main(m) }

// settling is how long everything may take to settle after the load.
const settling = 30 * time.Second

// soak is one run.
type soak struct {
	t        *testing.T
	seed     uint64
	api      *harness.API
	exporter *harness.Exporter
	address  string
	world    *world
	tally    *tally

	longest time.Duration // that a response may take
	kills   bool
	process sync.Mutex // held while the process is killed and started, gets a signal, or its output is blocked
	log     string     // of the killed processes
}

func TestSoak(t *testing.T) {
	killed, raced := *length/6, *length/3
	t.Run("as released", func(t *testing.T) {
		newSoak(t, harness.Build(t)).run(*length-killed-raced, 0.0001, resident, heap, goroutines, descriptors)
	})
	t.Run("killed", func(t *testing.T) {
		s := newSoak(t, harness.Build(t))
		s.kills = true
		s.run(killed, 0.0001)
	})
	// The race detector's own memory is most of what is resident, and its own work makes probes and responses late on a
	// busy machine.
	t.Run("under the race detector", func(t *testing.T) {
		s := newSoak(t, harness.BuildRace(t))
		s.longest = 2 * scrapeTimeout
		s.run(raced, 0.02, heap, goroutines, descriptors)
	})
}

// newSoak starts the API and the exporter.
func newSoak(t *testing.T, binary string) *soak {
	s := &soak{t: t, seed: *seed, tally: newTally(), longest: scrapeTimeout}
	for s.seed == 0 {
		s.seed = rand.Uint64()
	}
	s.api = harness.NewAPI(t, simulator.Options{SlowDelay: 300 * time.Millisecond, RetryAfter: time.Second})
	s.exporter = harness.NewExporter(t)
	s.exporter.Binary = binary
	s.exporter.StateFile = filepath.Join(s.exporter.Dir, "state.json")
	s.world = newWorld(t, s.api, s.exporter.Dir, *tokens)
	s.address = s.exporter.Start().Address
	return s
}

// run soaks for a time, and checks what happened and that the measures did not grow. late is the share of probes that
// may time out because the machine is busy.
func (s *soak) run(lasting time.Duration, late float64, flat ...measure) {
	t := s.t
	defer s.tally.report(t, late) // also if it does not settle
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
	s.log += s.exporter.Log()
	for _, problem := range []string{"WARNING: DATA RACE", "panic: "} {
		if _, after, found := strings.Cut(s.log, problem); found {
			t.Errorf("the exporter's log has %s%.4000s", problem, after)
		}
	}
	for _, secret := range []string{secretPrefix, "owner-"} { // tokens, and e-mail addresses of users
		if strings.Contains(s.log, secret) {
			t.Errorf("the log contains %q", secret)
		}
	}
	s.tally.checkFlat(t, lasting, flat)
}

// calmest returns the least usage after each of some scrapes, because connections take a moment to end.
func (s *soak) calmest(ctx context.Context) usage {
	least := s.scrape(ctx).usage
	for range 5 {
		if next := s.scrape(ctx).usage; next.goroutines < least.goroutines {
			least = next
		}
	}
	return least
}

// everything lists what runs at the same time.
func (s *soak) everything() []func(context.Context, *rand.Rand) {
	parts := []func(context.Context, *rand.Rand){
		s.scraper, s.scraper, s.scraper, s.prober, s.prober, s.visitor,
		s.hangUp, s.hangUp, s.slowReader, s.slowReader, s.slowLoris,
		s.reloadBySignal, s.reloadByRequest, s.blockOutput,
		s.world.change, s.world.rotate, s.world.misplace, s.world.block, s.world.outages,
	}
	if s.kills {
		parts = append(parts, s.kill)
	}
	return parts
}

// blockOutput makes the exporter's standard error block now and then.
func (s *soak) blockOutput(ctx context.Context, random *rand.Rand) {
	for pause(ctx, random, 10*time.Second) {
		s.process.Lock()
		if unblock, err := s.exporter.BlockOutput(); err != nil {
			s.t.Error(err)
		} else {
			pause(ctx, random, 3*time.Second)
			unblock()
		}
		s.process.Unlock()
	}
}

// kill kills the exporter now and then, and starts it again.
func (s *soak) kill(ctx context.Context, random *rand.Rand) {
	for pause(ctx, random, 5*time.Second) {
		s.world.configLock.Lock()
		s.process.Lock()
		s.world.down.begin()
		s.exporter.Kill()
		s.log += s.exporter.Log()
		s.exporter.Start()
		s.world.down.end(0)
		s.process.Unlock()
		s.world.configLock.Unlock()
	}
}

// settle ends all faults and checks that the exporter then has the right verdict on every token, has counted every
// request, and uses as little as at first.
func (s *soak) settle(first usage) {
	s.t.Helper()
	ctx := context.WithoutCancel(s.t.Context())
	s.world.calm()
	var last *exposition
	harness.Until(s.t, settling, func() error {
		last = s.scrape(ctx)
		return s.world.settled(last)
	})
	s.world.checkCounted(s.t, last, s.kills)
	if kills := len(s.world.down.spans); s.kills && kills == 0 {
		s.t.Error("the exporter was not killed")
	} else if s.kills {
		s.t.Logf("killed %d times", kills)
	}
	client.CloseIdleConnections()
	harness.Until(s.t, settling, func() error {
		last = s.scrape(ctx)
		return last.usage.near(first)
	})
	s.t.Logf("at last %s", last.usage)
}
