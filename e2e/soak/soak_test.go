// Package soak runs the real exporter under everything that can happen to it at once: an API that treats tokens
// differently every moment, outages, secrets that are replaced or hang when they are read, good and bad reloads, a
// standard error that blocks, and for the last third kill -9. It checks that every scrape gets a whole response in time,
// that no verdict is wrong, that every request is in the budget and no budget is exceeded, and that memory, goroutines
// and descriptors do not grow. It takes as long as make soak SOAK=1h says.
package soak

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

var length = flag.Duration("soak", time.Minute, "how long to soak the exporter")

func TestMain(m *testing.M) { harness.Main(m) }

const (
	tokens   = 60
	accounts = 6 // of ten tokens; the last account has the usual limit and is paced, the others are not
	prefix   = "pat_s0ak"
	paced    = "account-5"
	budget   = simulator.DefaultDailyLimit / 4 // of the paced account

	scrapeTimeout = 4 * time.Second // the scrapers'; the exporter responds half a second before
)

// undecided are behaviors that must not change a verdict.
var undecided = []simulator.Behavior{
	simulator.ServerError, simulator.ProxyPage, simulator.Redirect, simulator.Hang, simulator.Drop,
}

// soak is one run.
type soak struct {
	t        *testing.T
	api      *harness.API
	exporter *harness.Exporter
	address  string
	secrets  [tokens][]string // of each token, the current one at the end
	config   string

	process  sync.RWMutex // held for writing while the exporter is started again
	killing  atomic.Bool  // whether the exporter has been killed and not started again
	settled  bool         // whether each token has had its verdict
	readings []reading    // by one scraper
}

// reading is what the process uses.
type reading struct{ resident, goroutines, descriptors float64 }

func TestSoak(t *testing.T) {
	s := &soak{t: t, exporter: harness.NewExporter(t)}
	s.api = harness.NewAPI(t, simulator.Options{SlowDelay: 300 * time.Millisecond, RetryAfter: time.Second})
	s.api.SetLimit(paced, simulator.DefaultDailyLimit)
	s.config = s.api.Config() + "pacing: {assumed_daily_limit: 1000000000}\ntimeout: 1s\nmax_concurrency: 50\ntokens:\n"
	for i := range tokens {
		s.config += fmt.Sprintf("  - {name: token-%02d, account: account-%d, token_file: token-%[1]d}\n", i, i*accounts/tokens)
		s.rotate(i)
	}
	s.exporter.WriteConfig(s.config)
	s.exporter.StateFile = filepath.Join(s.exporter.Dir, "state.json")
	s.address = s.exporter.Start().Address
	day := time.Now().UTC().YearDay()
	s.awaitTruth()
	first := s.read(s.scrape())

	s.run(*length*2/3, s.change, s.replace, s.hang, s.outage, s.blockOutput, s.reload, s.measure)
	s.awaitTruth()
	harness.Until(t, time.Minute, func() error {
		if now := s.read(s.scrape()); now.goroutines > first.goroutines+10 || now.descriptors > first.descriptors+10 {
			return fmt.Errorf("settled at %+v, at first %+v", now, first)
		}
		return nil
	})
	s.checkFlat()

	s.run(*length/3, s.change, s.replace, s.hang, s.outage, s.kill)
	s.awaitTruth()
	if day == time.Now().UTC().YearDay() { // the counters are a day's
		s.checkCounted()
	}
	if log := s.exporter.Log(); strings.Contains(log, prefix) || strings.Contains(log, "owner-") || strings.Contains(log, "panic: ") {
		t.Error("the log has a token, a user's e-mail address or a panic")
	}
}

// run does everything at once for a time, with three scrapers. Then all faults are over.
func (s *soak) run(lasting time.Duration, parts ...func(context.Context)) {
	ctx, cancel := context.WithTimeout(s.t.Context(), lasting)
	defer cancel()
	scraper := func(ctx context.Context) {
		for pause(ctx, time.Second) {
			s.scrape()
		}
	}
	var load sync.WaitGroup
	for _, part := range append(parts, scraper, scraper, scraper) {
		load.Go(func() { part(ctx) })
	}
	load.Wait()
	for i := range tokens {
		s.api.Set(s.secret(i), truth(i))
	}
}

// truth is the behavior of a token without faults: every third is revoked.
func truth(i int) simulator.Behavior {
	if i%3 == 0 {
		return simulator.Revoked
	}
	return simulator.Valid
}

// scrape scrapes everything, and checks that the response is whole, in time and true. While the exporter is down there
// is none.
func (s *soak) scrape() string {
	s.process.RLock()
	defer s.process.RUnlock()
	start := time.Now()
	response, exposition, err := s.exporter.Request(http.MethodGet, "/metrics",
		"X-Prometheus-Scrape-Timeout-Seconds", fmt.Sprint(scrapeTimeout.Seconds()))
	if err != nil && s.killing.Load() {
		return ""
	}
	if err != nil || response.StatusCode != http.StatusOK || time.Since(start) > scrapeTimeout {
		s.t.Errorf("a scrape of %s: %v, %v", time.Since(start), response, err)
		return ""
	}
	if _, count := harness.Sum(exposition, `appfigures_token_info\{.*\}`); count < tokens || strings.Contains(exposition, prefix) {
		s.t.Errorf("an exposition with %d tokens, or with a secret", count)
	}
	if wrong, _ := verdicts(exposition); wrong > 0 && s.settled {
		s.t.Errorf("%d verdicts are wrong", wrong)
	}
	if used, _ := harness.Sum(exposition, `appfigures_account_budget_used_requests\{account="`+paced+`"\}`); used > budget {
		s.t.Errorf("%v requests of a budget of %d", used, budget)
	}
	return exposition
}

// verdicts returns how many tokens have a wrong verdict, and how many have none, as those whose secret has just changed.
func verdicts(exposition string) (wrong, none int) {
	for i := range tokens {
		valid, found := harness.Sum(exposition, fmt.Sprintf(`appfigures_token_valid\{token="token-%02d"\}`, i))
		if found == 0 {
			none++
		} else if (valid == 1) != (truth(i) == simulator.Valid) {
			wrong++
		}
	}
	return wrong, none
}

// awaitTruth waits until each token has its verdict, but for the paced account, whose tokens have their turns.
func (s *soak) awaitTruth() {
	s.t.Helper()
	harness.Until(s.t, time.Minute, func() error {
		if wrong, none := verdicts(s.scrape()); wrong > 0 || none > tokens/accounts {
			return fmt.Errorf("%d verdicts are wrong, %d are missing", wrong, none)
		}
		return nil
	})
	s.settled = true
}

func (s *soak) secret(i int) string { return s.secrets[i][len(s.secrets[i])-1] }

// rotate gives a token another secret with the token's true behavior.
func (s *soak) rotate(i int) {
	s.secrets[i] = append(s.secrets[i], fmt.Sprintf("%s%02d%016x", prefix, i, rand.Uint64()))
	s.api.SetAccount(s.secret(i), fmt.Sprintf("account-%d", i*accounts/tokens))
	s.api.Set(s.secret(i), truth(i))
	path := fmt.Sprintf("%s/token-%d", s.exporter.Dir, i)
	harness.Write(s.t, path+".new", s.secret(i)+"\n")
	if err := os.Rename(path+".new", path); err != nil {
		s.t.Error(err)
	}
}

// change makes the API answer even tokens so that nothing is decided, or as it should. Odd tokens get other secrets.
func (s *soak) change(ctx context.Context) {
	for pause(ctx, 50*time.Millisecond) {
		i := rand.IntN(tokens/2) * 2
		s.api.Set(s.secret(i), append(undecided, truth(i), truth(i), truth(i))[rand.IntN(len(undecided)+3)])
	}
}

// replace replaces the secrets of odd tokens.
func (s *soak) replace(ctx context.Context) {
	for pause(ctx, time.Second) {
		s.rotate(rand.IntN(tokens/2)*2 + 1)
	}
}

// hang makes files of even tokens hang when they are opened.
func (s *soak) hang(ctx context.Context) {
	for pause(ctx, time.Second) {
		path := fmt.Sprintf("%s/token-%d", s.exporter.Dir, rand.IntN(tokens/2)*2)
		if unblock, err := harness.BlockOpen(path); err == nil { // else the exporter has just opened it
			pause(ctx, 2*time.Second)
			unblock()
		}
	}
}

func (s *soak) outage(ctx context.Context) {
	for pause(ctx, 20*time.Second) {
		s.api.Close()
		pause(ctx, 2*time.Second)
		s.api.Open()
	}
}

func (s *soak) blockOutput(ctx context.Context) {
	for pause(ctx, 10*time.Second) {
		if unblock, err := s.exporter.BlockOutput(); err != nil {
			s.t.Error(err)
		} else {
			pause(ctx, 3*time.Second)
			unblock()
		}
	}
}

// reload reloads configurations with one more token, and broken ones.
func (s *soak) reload(ctx context.Context) {
	for pause(ctx, 5*time.Second) {
		more := []string{"", "  - {name: passer, account: passers, token: passer}\n", "broken"}
		s.exporter.WriteConfig(s.config + more[rand.IntN(3)])
		s.exporter.Signal(syscall.SIGHUP)
	}
	s.exporter.WriteConfig(s.config)
	s.exporter.Signal(syscall.SIGHUP)
}

func (s *soak) kill(ctx context.Context) {
	kills := 0
	for ; pause(ctx, 3*time.Second); kills++ {
		s.killing.Store(true)
		s.exporter.Kill() // in the midst of scrapes, which fail
		s.process.Lock()
		s.exporter.Start()
		s.killing.Store(false)
		s.process.Unlock()
	}
	s.t.Logf("killed %d times", kills)
}

// measure reads what the process uses.
func (s *soak) measure(ctx context.Context) {
	for pause(ctx, time.Second) {
		s.readings = append(s.readings, s.read(s.scrape()))
	}
}

func (s *soak) read(exposition string) (r reading) {
	r.resident, _ = harness.Sum(exposition, "process_resident_memory_bytes")
	r.goroutines, _ = harness.Sum(exposition, "go_goroutines")
	r.descriptors, _ = harness.Sum(exposition, "process_open_fds")
	return r
}

// checkFlat checks that nothing has grown from the second quarter of the time to the last. Usage follows the load, which
// varies: only quarters of five minutes are compared.
func (s *soak) checkFlat() {
	quarter := len(s.readings) / 4
	for _, m := range []struct {
		name string
		of   func(reading) float64
		more float64 // that counts as no growth, besides a tenth
	}{
		{"bytes resident", func(r reading) float64 { return r.resident }, 3 << 20},
		{"goroutines", func(r reading) float64 { return r.goroutines }, 25},
		{"descriptors", func(r reading) float64 { return r.descriptors }, 25},
	} {
		median := func(readings []reading) float64 {
			var values []float64
			for _, r := range readings {
				values = append(values, m.of(r))
			}
			slices.Sort(values)
			return values[len(values)/2]
		}
		before, after := median(s.readings[quarter:2*quarter+1]), median(s.readings[3*quarter:])
		s.t.Logf("%s: %.0f in the second quarter, %.0f in the last", m.name, before, after)
		if *length > 30*time.Minute && after > before*1.1+m.more {
			s.t.Errorf("%s grew from %.0f to %.0f", m.name, before, after)
		}
	}
}

// checkCounted checks that each request that came to the API is in the budget of its account, and hardly any more: those
// of a killed exporter are counted before they are sent.
func (s *soak) checkCounted() {
	exposition := s.scrape()
	for i := range accounts {
		account := fmt.Sprintf("account-%d", i)
		used, _ := harness.Sum(exposition, `appfigures_account_budget_used_requests\{account="`+account+`"\}`)
		came := 0.0
		for _, secret := range slices.Concat(s.secrets[i*tokens/accounts : (i+1)*tokens/accounts]...) {
			came += float64(s.api.Requests(secret))
		}
		s.t.Logf("%s: %.0f requests came, %.0f were counted", account, came, used)
		if came > used || used > came*1.05+50 {
			s.t.Errorf("%s: %.0f requests came, %.0f were counted", account, came, used)
		}
	}
}

// pause waits for a random time of that mean. It returns false if ctx has ended.
func pause(ctx context.Context, mean time.Duration) bool {
	timer := time.NewTimer(time.Duration(rand.Float64() * 2 * float64(mean)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
