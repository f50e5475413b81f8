package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

const (
	accounts     = 5
	secretPrefix = "pat_s0ak"
	probeTimeout = time.Second
	// grace is how long a secret that was replaced still works: longer than any probe that read it can take.
	grace = 6 * time.Second
	// blur is how far the times of the test and of the exporter, on one clock, may be apart.
	blur = 5 * time.Millisecond
	// aftermath is how long connections that an outage cut may still tell of it.
	aftermath = time.Second
)

// truth says what each behaviour of the API must be reported as. Whatever it is, a probe can also time out where the
// machine has too much to do.
var truth = map[simulator.Behaviour]string{
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

// cutOff lists what else an outage can make of a probe.
var cutOff = []string{"timeout", "unreachable", "unexpected"}

// verdicts are those of the results that have one, as appfigures_token_valid shows them.
var verdicts = map[string]float64{"valid": 1, "rejected": 0, "locked": 0, "forbidden": 0}

// behaviours lists those of truth, valid as often as all others.
var behaviours = func() (all []simulator.Behaviour) {
	for _, b := range simulator.Behaviours() {
		if _, known := truth[b]; known {
			all = append(all, simulator.Valid, b)
		}
	}
	return all
}()

// span is a time within which something began or ended, or lasted.
type span struct{ from, to time.Time }

func (s span) overlaps(other span) bool { return !s.from.After(other.to) && !other.from.After(s.to) }

// since returns the span from a time until now.
func since(from time.Time) span { return span{from, time.Now()} }

// world is what is true of the tokens, and was.
type world struct {
	t          *testing.T
	api        *harness.API
	configFile string
	secretsDir string
	watched    []*watched
	byName     map[string]*watched
	configLock sync.Mutex // held from writing the configuration until the exporter was told to read it

	mu       sync.Mutex
	outage   []span
	replaced int // secrets so far
}

// watched is one token.
type watched struct {
	name, account string

	mu      sync.Mutex // guards the fields below
	secrets []string   // the last one is the present one
	working int        // how many of the last secrets work: 2 while probes may still use the former
	changes []change
	missing []span // when its file was not there
	result  shown  // any at all
	verdict shown
}

// shown is when an answer was complete that was the first to show something; zero before that.
type shown struct{ first time.Time }

// lost reports whether an answer lacks what has been shown. Answers overtake one another: only one that was asked for
// after another was complete must hold what that one did.
func (s *shown) lost(there bool, answer span) bool {
	if there {
		if s.first.IsZero() || answer.to.Before(s.first) {
			s.first = answer.to
		}
		return false
	}
	return !s.first.IsZero() && answer.from.After(s.first)
}

// change is the beginning of a behaviour, some time within when.
type change struct {
	when      span
	behaviour simulator.Behaviour
}

func newWorld(t *testing.T, api *harness.API, count int) *world {
	dir := t.TempDir()
	w := &world{t: t, api: api, configFile: filepath.Join(dir, "config.yml"), secretsDir: filepath.Join(dir, "secrets"), byName: make(map[string]*watched)}
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

// writeConfig writes the configuration, with more tokens if extra lists them.
func (w *world) writeConfig(extra string) {
	var text strings.Builder
	fmt.Fprintf(&text, "api_url: %s\ntimeout: %s\nmax_concurrency: 100\npacing: {quota_share: 1}\ntokens:\n", w.api.URL(), probeTimeout)
	for _, token := range w.watched {
		fmt.Fprintf(&text, "  - {name: %s, account: %s, token_file: %s}\n", token.name, token.account, w.file(token))
	}
	text.WriteString(extra)
	w.replace(w.configFile, text.String())
}

func (w *world) file(token *watched) string { return filepath.Join(w.secretsDir, token.name) }

// replace writes a file so that readers see either the old or the new one, whole.
func (w *world) replace(path, text string) {
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		w.t.Errorf("writing a file: %v", err)
		return
	}
	if err := os.Rename(path+".new", path); err != nil {
		w.t.Errorf("replacing a file: %v", err)
	}
}

// newSecret gives the token another secret that behaves as the present one. It returns false, and does nothing, while
// the one before still works.
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
	w.api.SetAccount(secret, token.account)
	w.api.Set(secret, token.changes[len(token.changes)-1].behaviour)
	w.replace(w.file(token), secret+"\n")
	return true
}

// retire revokes the token's former secret.
func (w *world) retire(token *watched) {
	token.mu.Lock()
	defer token.mu.Unlock()
	w.api.Set(token.secrets[len(token.secrets)-2], simulator.Revoked)
	token.working = 1
}

// behave makes the API treat the token so: all of its secrets that may still be in use.
func (w *world) behave(token *watched, behaviour simulator.Behaviour) {
	token.mu.Lock()
	defer token.mu.Unlock()
	began := time.Now()
	for _, secret := range token.secrets[len(token.secrets)-token.working:] {
		w.api.Set(secret, behaviour)
	}
	token.changes = append(token.changes, change{since(began), behaviour})
}

// pick returns any token.
func (w *world) pick(random *rand.Rand) *watched { return w.watched[random.IntN(len(w.watched))] }

// change changes how the API treats tokens.
func (w *world) change(ctx context.Context, random *rand.Rand) {
	for pause(ctx, random, 60*time.Millisecond) {
		w.behave(w.pick(random), behaviours[random.IntN(len(behaviours))])
	}
}

// rotate replaces secrets on the disk. A former one is retired when no probe can still be using it.
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

// misplace takes secrets away for a moment.
func (w *world) misplace(ctx context.Context, random *rand.Rand) {
	for pause(ctx, random, time.Second) {
		token := w.pick(random)
		token.mu.Lock() // no rotation meanwhile
		began := time.Now()
		if err := os.Remove(w.file(token)); err != nil {
			w.t.Errorf("taking a secret away: %v", err)
		}
		pause(ctx, random, 300*time.Millisecond)
		w.replace(w.file(token), token.secrets[len(token.secrets)-1]+"\n")
		token.missing = append(token.missing, since(began))
		token.mu.Unlock()
	}
}

// outages makes the API unreachable for moments.
func (w *world) outages(ctx context.Context, random *rand.Rand) {
	for pause(ctx, random, 20*time.Second) {
		began := time.Now()
		w.mu.Lock()
		w.outage = append(w.outage, span{began, began.Add(time.Hour)}) // until its end is known
		w.mu.Unlock()
		w.api.Close()
		pause(ctx, random, 2*time.Second)
		w.api.Open()
		w.mu.Lock()
		w.outage[len(w.outage)-1] = span{began, time.Now().Add(aftermath)}
		w.mu.Unlock()
	}
}

// calm ends all faults: each token is valid or denied, and stays so.
func (w *world) calm() {
	lasting := []simulator.Behaviour{simulator.Valid, simulator.Revoked, simulator.Locked, simulator.Forbidden}
	for i, token := range w.watched {
		w.behave(token, lasting[i%len(lasting)])
	}
	w.writeConfig("")
}

// inOutage reports whether the API was unreachable at some time within s.
func (w *world) inOutage(s span) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.outage, s.overlaps)
}

// pause waits for any time up to twice the mean; it returns false when ctx has ended.
func pause(ctx context.Context, random *rand.Rand, mean time.Duration) bool {
	return elapse(ctx, time.Duration(random.Float64()*2*float64(mean)))
}

// elapse waits; it returns false when ctx has ended.
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
