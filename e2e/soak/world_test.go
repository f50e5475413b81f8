package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

const (
	accounts     = 5
	secretPrefix = "pat_s0ak"
	probeTimeout = time.Second
	// grace is how long a replaced secret still works: longer than any probe with it can take, and its confirmation.
	grace = 6 * time.Second
	// blur is how far the times of the test and the exporter may differ, although both have the same clock.
	blur = 5 * time.Millisecond
	// aftermath is how long after an outage connections that it closed may still fail.
	aftermath = time.Second
)

// results are those of probes of each behavior. Any probe can also time out if the machine is too busy.
var results = map[simulator.Behavior]string{
	simulator.Valid:               "valid",
	simulator.Slow:                "valid",
	simulator.Unmetered:           "valid",
	simulator.Revoked:             "rejected",
	simulator.RevokedQuotingEmail: "rejected",
	simulator.Rejected:            "rejected",
	simulator.Locked:              "locked",
	simulator.Disabled:            "locked",
	simulator.Forbidden:           "forbidden",
	simulator.SlowDown:            "rate_limited",
	simulator.ServerError:         "server_error",
	simulator.Maintenance:         "unexpected",
	simulator.ProxyPage:           "unexpected",
	simulator.Redirect:            "unexpected",
	simulator.Hang:                "timeout",
	simulator.Drop:                "unreachable",
}

// cutOff lists the other results that an outage can cause.
var cutOff = []string{"timeout", "unreachable", "unexpected"}

// verdicts are those of the results that have one, as values of appfigures_token_valid.
var verdicts = map[string]float64{"valid": 1, "rejected": 0, "locked": 0, "forbidden": 0}

// behaviors lists those of results, valid as often as all others together.
var behaviors = func() (all []simulator.Behavior) {
	for _, b := range simulator.Behaviors() {
		if _, known := results[b]; known {
			all = append(all, simulator.Valid, b)
		}
	}
	return all
}()

// span is a period.
type span struct{ from, to time.Time }

func (s span) overlaps(other span) bool { return !s.from.After(other.to) && !other.from.After(s.to) }

// since returns the span from a time until now.
func since(from time.Time) span { return span{from, time.Now()} }

// world is the true state of all tokens, now and in the past.
type world struct {
	t          *testing.T
	api        *harness.API
	configFile string
	secretsDir string
	watched    []*watched
	byName     map[string]*watched
	configLock sync.Mutex // held while the configuration is written and reloaded

	outage periods // of the API
	down   periods // of the exporter

	mu       sync.Mutex
	replaced int // secrets so far; guarded by mu
}

// periods are the times when something was out of order.
type periods struct {
	mu    sync.Mutex
	spans []span // guarded by mu
}

// begin begins a period, whose end is not known.
func (p *periods) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.spans = append(p.spans, span{now, now.Add(time.Hour)})
}

// end ends the last period, with its aftermath.
func (p *periods) end(aftermath time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spans[len(p.spans)-1].to = time.Now().Add(aftermath)
}

// overlap reports whether there was such a period at any time in s.
func (p *periods) overlap(s span) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.spans, s.overlaps)
}

// watched is one token.
type watched struct {
	name, account string

	mu      sync.Mutex // guards the fields below
	secrets []string   // the last one is the current one
	working int        // how many of the last secrets work: 2 while probes may still use the one before
	changed time.Time  // the last secret
	changes []change
	missing []span // when its file did not exist, or hung
	result  shown
	verdict shown
}

// shown is when the first response that had a fact about the current secret was complete; zero before that.
type shown struct{ first time.Time }

// lost reports whether a response lacks what another one had that was complete when this one was requested. A new
// secret makes the exporter forget what it knew; a response soon after it may still be about the secret before.
func (s *shown) lost(present bool, response span, changed time.Time) bool {
	if present {
		if response.from.After(changed.Add(grace)) && (s.first.IsZero() || response.to.Before(s.first)) {
			s.first = response.to
		}
		return false
	}
	return s.first.After(changed) && response.from.After(s.first)
}

// change is the beginning of a behavior, within the span.
type change struct {
	when     span
	behavior simulator.Behavior
}

func newWorld(t *testing.T, api *harness.API, dir string, count int) *world {
	w := &world{
		t: t, api: api, byName: make(map[string]*watched),
		configFile: filepath.Join(dir, "config.yml"), secretsDir: filepath.Join(dir, "secrets"),
	}
	if err := os.Mkdir(w.secretsDir, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range count {
		token := &watched{name: fmt.Sprintf("token-%03d", i), account: fmt.Sprintf("account-%d", i%accounts)}
		w.watched = append(w.watched, token)
		w.byName[token.name] = token
		w.behave(token, simulator.Valid)
		w.newSecret(token)
	}
	w.writeConfig("")
	return w
}

// writeConfig writes the configuration with extra tokens.
func (w *world) writeConfig(extra string) {
	var text strings.Builder
	text.WriteString(w.api.Config() + harness.Unpaced)
	fmt.Fprintf(&text, "timeout: %s\nmax_concurrency: 100\ntokens:\n", probeTimeout)
	for _, token := range w.watched {
		fmt.Fprintf(&text, "  - {name: %s, account: %s, token_file: %s}\n", token.name, token.account, w.file(token))
	}
	text.WriteString(extra)
	w.replace(w.configFile, text.String())
}

func (w *world) file(token *watched) string { return filepath.Join(w.secretsDir, token.name) }

// replace writes a file atomically.
func (w *world) replace(path, text string) {
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		w.t.Errorf("writing a file: %v", err)
		return
	}
	if err := os.Rename(path+".new", path); err != nil {
		w.t.Errorf("replacing a file: %v", err)
	}
}

// newSecret replaces the token's secret by one of the same behavior. While the one before still works it returns false
// and does nothing.
func (w *world) newSecret(token *watched) bool {
	token.mu.Lock()
	defer token.mu.Unlock()
	if token.working > 1 {
		return false
	}
	w.mu.Lock()
	w.replaced++
	secret := fmt.Sprintf("%s%08dabcdefghijklmnop", secretPrefix, w.replaced)
	w.mu.Unlock()
	token.secrets = append(token.secrets, secret)
	token.working++
	token.changed = time.Now()
	w.api.SetAccount(secret, token.account)
	w.api.Set(secret, token.changes[len(token.changes)-1].behavior)
	w.replace(w.file(token), secret+"\n")
	return true
}

// retire revokes the secret before the current one.
func (w *world) retire(token *watched) {
	token.mu.Lock()
	defer token.mu.Unlock()
	w.api.Set(token.secrets[len(token.secrets)-2], simulator.Revoked)
	token.working = 1
}

// behave changes the behavior of all the token's secrets that may still be in use.
func (w *world) behave(token *watched, behavior simulator.Behavior) {
	token.mu.Lock()
	defer token.mu.Unlock()
	began := time.Now()
	for _, secret := range token.secrets[len(token.secrets)-token.working:] {
		w.api.Set(secret, behavior)
	}
	token.changes = append(token.changes, change{since(began), behavior})
}

// pick returns a random token.
func (w *world) pick(random *rand.Rand) *watched { return w.watched[random.IntN(len(w.watched))] }

// change changes behaviors.
func (w *world) change(ctx context.Context, random *rand.Rand) {
	for pause(ctx, random, 60*time.Millisecond) {
		w.behave(w.pick(random), behaviors[random.IntN(len(behaviors))])
	}
}

// rotate replaces secrets. The one before is retired once no probe can still use it.
func (w *world) rotate(ctx context.Context, random *rand.Rand) {
	var retiring sync.WaitGroup
	defer retiring.Wait()
	for pause(ctx, random, 500*time.Millisecond) {
		token := w.pick(random)
		if !w.newSecret(token) {
			continue
		}
		retiring.Go(func() {
			elapse(context.WithoutCancel(ctx), grace)
			w.retire(token)
		})
	}
}

// misplace removes token files for a moment.
func (w *world) misplace(ctx context.Context, random *rand.Rand) {
	for pause(ctx, random, time.Second) {
		token := w.pick(random)
		token.mu.Lock() // so that no secret changes
		began := time.Now()
		if err := os.Remove(w.file(token)); err != nil {
			w.t.Errorf("removing a token file: %v", err)
		}
		pause(ctx, random, 300*time.Millisecond)
		w.replace(w.file(token), token.secrets[len(token.secrets)-1]+"\n")
		token.missing = append(token.missing, since(began))
		token.mu.Unlock()
	}
}

// block makes token files hang when they are opened, for longer than the exporter waits for them, or shorter.
func (w *world) block(ctx context.Context, random *rand.Rand) {
	for pause(ctx, random, time.Second) {
		token := w.pick(random)
		token.mu.Lock() // so that no secret changes
		began := time.Now()
		unblock, err := harness.BlockOpen(w.file(token))
		if err == nil {
			pause(ctx, random, time.Second)
			unblock()
		} else if !errors.Is(err, syscall.EAGAIN) { // the exporter has just opened it
			w.t.Error(err)
		}
		token.missing = append(token.missing, since(began))
		token.mu.Unlock()
	}
}

// outages makes the API unreachable now and then.
func (w *world) outages(ctx context.Context, random *rand.Rand) {
	for pause(ctx, random, 20*time.Second) {
		w.outage.begin()
		w.api.Close()
		pause(ctx, random, 2*time.Second)
		w.api.Open()
		w.outage.end(aftermath)
	}
}

// calm ends all faults: each token is valid or denied and stays so.
func (w *world) calm() {
	lasting := []simulator.Behavior{simulator.Valid, simulator.Revoked, simulator.Locked, simulator.Forbidden}
	for i, token := range w.watched {
		w.behave(token, lasting[i%len(lasting)])
	}
	w.writeConfig("")
}

// pause waits for a random time of that mean. It returns false if ctx has ended.
func pause(ctx context.Context, random *rand.Rand, mean time.Duration) bool {
	return elapse(ctx, time.Duration(random.Float64()*2*float64(mean)))
}

// elapse waits. It returns false if ctx has ended.
func elapse(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
