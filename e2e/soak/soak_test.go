// Package soak runs the real exporter for as long as one likes under everything that can happen to it at once: an API
// that treats each token another way every few seconds, outages, secrets that rotate or are missing for a while, reloads
// good and bad, scrapers that are many, impatient, slow or gone. All the while it holds what was promised: every scrape
// is answered in time, no verdict is wrong, no request is made that is not counted, and memory, goroutines and
// descriptors stay where they were.
//
// It takes half a minute unless told otherwise:
//
//	go test -count=1 -v -timeout 0 ./soak -soak 1h
//	go test -count=1 -v -timeout 0 ./soak -soak 20m -exporter-race
package soak

import (
	"context"
	"flag"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/exporter"
	"github.com/appfigures-exporter/appfigures_exporter/e2e/process"
	"github.com/appfigures-exporter/appfigures_exporter/e2e/simulated"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

var (
	length    = flag.Duration("soak", 30*time.Second, "how long to soak the exporter")
	interval  = flag.Duration("scrape-interval", time.Second, "how often each of the scrapers scrapes")
	tokens    = flag.Int("tokens", 200, "how many tokens there are")
	seed      = flag.Uint64("seed", 0, "of all that is random; 0: another one each time")
	raceBuild = flag.Bool("exporter-race", false, "build the exporter with the race detector")
)

// settling is how long everything may take to come to rest when the load has ended.
const settling = 30 * time.Second

// soak is one run.
type soak struct {
	t     *testing.T
	seed  uint64
	api   *simulated.Server
	watch *exporter.Running
	world *world
	tally *tally
}

func TestSoak(t *testing.T) {
	s := newSoak(t)
	first := s.scrape(t.Context())
	t.Logf("seed %d, %d tokens, %s; at first %s", s.seed, *tokens, *length, first.usage)

	ctx, cancel := context.WithTimeout(t.Context(), *length)
	defer cancel()
	var load sync.WaitGroup
	for i, run := range s.everything() {
		load.Go(func() { run(ctx, rand.New(rand.NewPCG(s.seed, uint64(i)))) })
	}
	load.Wait()

	s.settle(first)
	s.tally.report(t)
	s.tally.checkFlat(t)
	if log := s.watch.Log(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic") {
		t.Error("the exporter's log tells of a race or a panic")
	}
}

// newSoak starts the API and the exporter.
func newSoak(t *testing.T) *soak {
	s := &soak{t: t, seed: *seed, tally: newTally()}
	for s.seed == 0 {
		s.seed = rand.Uint64()
	}
	ca := simulated.NewAuthority(t)
	s.api = simulated.Start(t, ca, simulator.New(simulator.Options{
		DailyLimit: simulated.Plenty, SlowDelay: 300 * time.Millisecond, RetryAfter: time.Second,
	}), nil)
	s.world = newWorld(t, s.api, *tokens)
	if *raceBuild {
		t.Setenv("GOFLAGS", "-race")
	}
	s.watch = exporter.Start(t, exporter.Build(t), exporter.AnyPort, []string{"SSL_CERT_FILE=" + ca.File}, "--config.file="+s.world.configFile)
	return s
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

// settle ends all faults and holds that the exporter then knows the truth about every token, has counted every request,
// and has given everything back.
func (s *soak) settle(first *exposition) {
	s.t.Helper()
	ctx := context.WithoutCancel(s.t.Context())
	s.world.calm()
	var last *exposition
	process.Until(s.t, settling, func() error {
		last = s.scrape(ctx)
		return s.world.settled(last)
	})
	s.world.checkCounted(s.t, last)
	client.CloseIdleConnections()
	process.Until(s.t, settling, func() error {
		last = s.scrape(ctx)
		return last.usage.near(first.usage)
	})
	s.t.Logf("at last %s", last.usage)
	if s.world.leak(s.watch.Log()) {
		s.t.Error("the log holds a token")
	}
	if strings.Contains(s.watch.Log(), "owner-") {
		s.t.Error("the log holds a user's e-mail address")
	}
}
