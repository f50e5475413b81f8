package monitor

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// TestRandomDays drives random days: scrapes of all and of single tokens, outages of each kind, flapping tokens, limits
// that change or are never reported, other programs that use up the quota, reloads that add and remove tokens, changed
// and missing secrets, restarts with and without a state file, checks between them, and clock steps. It checks that
//
//   - on no UTC day an account gets more requests than its budget, but for one more per clock step or lost state,
//   - no request follows a report that showed the limit reached, on the API's same day,
//   - no token that is scraped waits longer than its interval and one scrape, unless its account is held,
//   - what there may be news about does not wait while the extra turns of the day suffice,
//   - and no verdict changes without the answers that decide it.
func TestRandomDays(t *testing.T) {
	withSeeds(t, 2, func(t *testing.T, random *rand.Rand) { // the same with -count=100 finds what is rarer
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, random)
			for end := time.Now().Add(3 * day); time.Now().Before(end) && !t.Failed(); {
				w.event()
				time.Sleep(time.Duration(1 + random.Int64N(int64(time.Second)<<random.IntN(9))))
				if one := w.cfg.Tokens[random.IntN(len(w.cfg.Tokens))]; random.IntN(4) == 0 {
					w.scrape(one.Name)
				} else {
					w.scrape()
				}
			}
			w.m.Close()
			if len(w.days) == 0 {
				t.Error("nothing was requested")
			}
		})
	})
}

// world is a random API, its other users, and a monitor that is scraped, reloaded and restarted.
type world struct {
	t      *testing.T
	random *rand.Rand
	cfg    *config.Config
	store  *memoryStore
	m      *Monitor
	offset time.Duration // of the monitor's clock, ahead of the API's
	outage probe.Result  // Valid: none

	mu       sync.Mutex // guards the fields below, and random during probes
	accounts map[string]*worldAccount
	tokens   map[string]*worldToken // by name
	days     map[string]*worldDay   // by account and UTC day of the monitor's clock
}

type worldAccount struct {
	limit, used int64
	day         time.Time // of used
	silent      bool      // answers without a quota
	reported    int64     // the limit, as last reported
	full        time.Time // when a report showed the limit reached; zero if not today
}

type worldToken struct {
	account  string
	secret   string
	result   probe.Result // of probes with the secret
	flapping bool         // whether half of them are rejected
	answers  string       // first letters of the answers to the secret that decided something
	known    TokenState   // as of the last scrape
	judged   int          // how many of the answers known rests on

	scraped, tried time.Time     // last
	waits          time.Time     // since when it waits for a turn
	longest        time.Duration // interval since then
}

// worldDay is a UTC day of an account.
type worldDay struct{ requests, budget, allowance int64 }

func newWorld(t *testing.T, random *rand.Rand) *world {
	w := &world{
		t: t, random: random, cfg: configOf(), store: new(memoryStore), accounts: make(map[string]*worldAccount),
		tokens: make(map[string]*worldToken), days: make(map[string]*worldDay),
	}
	w.cfg.MaxConcurrency = 1000 // a request that waits for a slot over midnight would count for the day before
	w.cfg.Pacing = config.Pacing{
		QuotaShare: 0.02 + 0.98*random.Float64(), AssumedDailyLimit: 1000, Reserve: random.Float64() * 0.2,
		MinInterval: time.Duration(random.IntN(2)) * time.Minute,
	}
	for range 1 + random.IntN(1<<random.IntN(5)) {
		w.addToken()
	}
	w.start(state.Content{})
	return w
}

func (w *world) now() time.Time { return time.Now().Add(w.offset).Round(0) }

func (w *world) start(content state.Content) {
	w.m = New(w.cfg, Options{
		NewProber: func(*config.Config) Prober { return w }, Store: w.store, State: content,
		Logger: slog.New(slog.DiscardHandler), Now: w.now,
	})
}

func (w *world) addToken() {
	name, account := fmt.Sprintf("TEST_TOKEN_%d", len(w.tokens)), fmt.Sprintf("account%d", w.random.IntN(3))
	if w.accounts[account] == nil {
		w.accounts[account] = &worldAccount{limit: 20 + w.random.Int64N(2000), silent: w.random.IntN(4) == 0}
	}
	if w.m != nil && w.m.accounts[account] == nil { // it left the configuration on an earlier day, and is forgotten
		w.accounts[account].reported = 0
	}
	w.tokens[name] = &worldToken{account: account, waits: time.Now(), scraped: time.Now()}
	w.rotate(name)
	w.cfg.Tokens = append(w.cfg.Tokens, config.Token{Name: name, Account: account, Source: config.EnvSource(name)})
}

// rotate gives a token another secret.
func (w *world) rotate(name string) {
	tok := w.tokens[name]
	tok.secret, tok.answers, tok.judged = fmt.Sprintf("%s/%d", name, w.random.Int64()), "", 0
	tok.result, tok.flapping = probe.Valid, w.random.IntN(10) == 0
	_ = os.Setenv(name, tok.secret)
}

// event makes something happen, sometimes.
func (w *world) event() {
	i := w.random.IntN(len(w.cfg.Tokens))
	name := w.cfg.Tokens[i].Name
	tok := w.tokens[name]
	a := w.accounts[tok.account]
	switch w.random.IntN(300) {
	case 0, 1:
		w.outage = []probe.Result{probe.ServerError, probe.Unexpected, probe.Timeout, probe.Unreachable}[w.random.IntN(4)]
	case 2, 3, 4, 5:
		w.outage = probe.Valid
	case 6, 7, 8:
		results := []probe.Result{probe.Valid, probe.Valid, probe.Rejected, probe.Locked, probe.Forbidden, probe.RateLimited}
		tok.result = results[w.random.IntN(len(results))]
	case 9, 10:
		a.use(w.random.Int64N(a.limit))
	case 11:
		a.limit = 20 + w.random.Int64N(2000)
	case 12:
		w.addToken()
		w.m.Reload(w.cfg)
	case 13:
		if len(w.cfg.Tokens) > 1 {
			w.cfg.Tokens = slices.Delete(w.cfg.Tokens, i, i+1)
			w.m.Reload(w.cfg)
		}
	case 14, 15:
		w.rotate(name)
	case 16:
		_ = os.Setenv(name, "")
	case 17, 18:
		_ = os.Setenv(name, tok.secret)
	case 19, 20:
		w.restart()
	case 21:
		if w.random.IntN(10) == 0 {
			w.loseCount()
			w.offset = time.Duration(w.random.Int64N(int64(72*time.Hour))) - 36*time.Hour
			w.loseCount()
		}
	}
}

// restart ends the monitor and starts another one, with the state as kill -9 leaves it, with that of a shutdown and of
// some checks after it, as cron makes them, or without one.
func (w *world) restart() {
	content := w.store.load(w.t)
	w.m.Close()
	switch w.random.IntN(8) {
	case 0:
		content = state.Content{}
		w.loseCount()
		for _, a := range w.accounts {
			a.reported = 0
		}
	case 1, 2, 3, 4, 5:
		for range max(0, w.random.IntN(10)-5) {
			w.start(w.store.load(w.t))
			if w.random.IntN(3) == 0 {
				w.m.LookAgain()
			}
			w.scrape()
			w.m.Close()
		}
		content = w.store.load(w.t)
	}
	w.start(content)
	w.m.BeginSetUp()
}

// loseCount grants each account one more budget on the present day: the monitor has lost count, or will.
func (w *world) loseCount() {
	for name, a := range w.accounts {
		d := w.dayOf(name)
		d.allowance += max(d.budget, w.budget(a)) + int64(len(w.tokens))
		a.full = time.Time{}
	}
	for _, tok := range w.tokens {
		tok.waits = time.Now()
	}
}

func (w *world) budget(a *worldAccount) int64 {
	limit := cmp.Or(a.reported, w.cfg.Pacing.AssumedDailyLimit)
	return max(1, int64(w.cfg.Pacing.QuotaShare*float64(limit)+1e-6))
}

func (w *world) dayOf(account string) *worldDay {
	key := account + w.now().UTC().Format(time.DateOnly)
	if w.days[key] == nil {
		w.days[key] = new(worldDay)
	}
	return w.days[key]
}

func (a *worldAccount) use(requests int64) {
	if today := time.Now().UTC().Truncate(day); !a.day.Equal(today) {
		a.day, a.used, a.full = today, 0, time.Time{}
	}
	a.used += requests
}

// Probe implements [Prober].
func (w *world) Probe(_ context.Context, secret config.Secret) (probe.Outcome, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name, _, _ := strings.Cut(secret.Reveal(), "/")
	tok := w.tokens[name]
	if tok.secret != secret.Reveal() {
		w.t.Errorf("%s: probed with a secret that has changed", name)
	}
	tok.tried = time.Now()
	o := w.request(tok)
	o.Start, o.Duration = w.now(), time.Duration(1+w.random.IntN(2000))*time.Millisecond
	if o.Result == probe.Timeout {
		o.Duration = w.cfg.Timeout
	}
	w.mu.Unlock()
	time.Sleep(o.Duration)
	w.mu.Lock()
	o.ServerTime = time.Now()
	if a := w.accounts[tok.account]; o.Quota.LimitOK {
		a.reported = o.Quota.Limit
		if o.Quota.Used >= o.Quota.Limit && a.day.Equal(time.Now().UTC().Truncate(day)) {
			a.full = time.Now()
		}
	}
	if o.Result.Verdict() != probe.VerdictUnknown {
		tok.answers += o.Result.String()[:1]
	}
	return o, nil
}

// request makes a request for a token, and checks whether the rules allow it.
func (w *world) request(tok *worldToken) probe.Outcome {
	if w.outage == probe.Unreachable {
		return probe.Outcome{Result: probe.Unreachable}
	}
	a, d := w.accounts[tok.account], w.dayOf(tok.account)
	a.use(1)
	d.budget = max(d.budget, w.budget(a))
	if d.requests++; d.requests > d.budget+d.allowance {
		w.t.Errorf("%s: request %d of the day, the budget is %d (and %d)", tok.account, d.requests, d.budget, d.allowance)
	}
	// In the first minutes of a day, the count may be that of the day before: then the hold is short.
	again := a.full.Sub(a.full.Truncate(day)) < defaultPause && time.Since(a.full) >= defaultPause
	if !a.full.IsZero() && time.Now().After(a.full) && !again {
		w.t.Errorf("%s: a request %s after the limit was reported as reached", tok.account, time.Since(a.full))
	}
	o := probe.Outcome{Result: tok.result, Sent: true}
	switch {
	case w.outage != probe.Valid:
		o.Result = w.outage
	case a.used > a.limit:
		o.Result = probe.QuotaExhausted
	case tok.flapping && w.random.IntN(2) == 0:
		o.Result = probe.Rejected
	}
	if o.Result.Answered() && o.Result != probe.Rejected && !a.silent {
		o.Quota = probe.Quota{Limit: a.limit, LimitOK: true, Used: a.used, UsedOK: true}
	}
	return o
}

// scrape scrapes all tokens or those named, and checks what came of it.
func (w *world) scrape(names ...string) {
	began, before, news := time.Now(), w.m.Snapshot(names...), w.news(names)
	w.m.Scrape(w.t.Context(), names...)
	synctest.Wait() // until it has saved
	for i, s := range w.m.Snapshot(names...).Tokens {
		tok, t := w.tokens[s.Name], w.m.byName[s.Name]
		w.checkVerdict(tok, s)
		held, _ := t.account.heldBy(w.now())
		probed := !tok.tried.Before(began)
		// Near a limit, requests under way can stop the others; so can those that are given back because none is sent.
		stopped := s.Last.Result == probe.NoToken || held != NotHeld && held != Reserve ||
			w.outage == probe.Unreachable || t.account.remaining() <= 2*int64(len(t.account.tokens))
		if !stopped && held == NotHeld && slices.Contains(news, s.Name) && !probed {
			w.t.Errorf("%s: there may be news, and there are extra turns, but it was not probed: %+v", s.Name, t.Turns)
		}
		tok.longest = max(tok.longest, before.Tokens[i].Interval, s.Interval) // the answers can have made it shorter
		if stopped || probed {
			tok.waits, tok.longest = began, s.Interval
		}
		since := tok.waits
		if w.offset != 0 { // a turn in the future counts as now, from when the token could be read
			since = later(since, t.LastTurn.Add(-w.offset))
		}
		if waited := time.Since(since); waited > tok.longest+time.Since(tok.scraped)+time.Minute {
			w.t.Errorf("%s waits for %s at an interval of %s: %+v", s.Name, waited, tok.longest, t.Turns)
		}
		tok.scraped = began
	}
}

// news returns which of the tokens must be probed by a scrape now: those with news, if extra turns, and what is left
// above the reserve, suffice for them and for a confirmation of each token.
func (w *world) news(names []string) (news []string) {
	candidates := make(map[*account][]string)
	for _, t := range w.m.selectLocked(names) {
		if !t.SecretTried || t.LookAgain {
			candidates[t.account] = append(candidates[t.account], t.Name)
		}
	}
	for a, tokens := range candidates {
		a.rollOver(w.now())
		truth, needed := w.accounts[a.Name], int64(len(tokens)+len(a.tokens))
		aboveReserve := truth.limit - truth.used - int64(a.settings.Reserve*float64(truth.limit)) - 1
		knowsLimit := a.effectiveLimit() == truth.limit // else the first answer can change the budget
		if reason, _ := a.heldBy(w.now()); knowsLimit && reason == NotHeld &&
			needed <= min(a.extra()-a.ExtraUsed, a.budget()-a.Used, aboveReserve) {
			news = append(news, tokens...)
		}
	}
	return news
}

// checkVerdict checks that a verdict changed only on the answers that decide it.
func (w *world) checkVerdict(tok *worldToken, s TokenState) {
	recent := tok.answers[max(0, tok.judged-1):]
	reason := s.Reason.String()[:1]
	switch {
	case s.Verdict == probe.VerdictUnknown || s.Verdict == tok.known.Verdict && s.Reason == tok.known.Reason:
	case s.Verdict == probe.VerdictValid && strings.Contains(recent, "v"):
	case s.Verdict == probe.VerdictDenied && strings.Contains(recent, reason+reason):
	default:
		w.t.Errorf("%s: %s (%s) after the answers %q", s.Name, s.Verdict, s.Reason, recent)
	}
	tok.known, tok.judged = s, len(tok.answers)
}
