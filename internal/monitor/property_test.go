package monitor

import (
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
	runs, days := 2, 3 // the same with -count=100 finds what is rarer
	if testing.Short() {
		runs, days = 1, 2
	}
	for range runs {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, rand.New(rand.NewPCG(seed, 0)))
				for end := time.Now().Add(time.Duration(days) * day); time.Now().Before(end) && !t.Failed(); {
					w.event()
					w.scrape()
				}
				w.m.Close()
				if len(w.days) == 0 {
					t.Error("nothing was requested")
				}
			})
		})
	}
}

// world is a random API, its other users, and a monitor that is scraped, reloaded and restarted.
type world struct {
	t       *testing.T
	random  *rand.Rand
	cfg     *config.Config
	store   *memoryStore
	m       *Monitor
	offset  time.Duration // of the monitor's clock, ahead of the API's
	stepped time.Time     // when that clock was last set
	outage  probe.Result  // Valid: none

	mu       sync.Mutex // guards the fields below, and random during probes
	accounts map[string]*worldAccount
	secrets  map[string]*worldSecret // by text
	tokens   map[string]*worldToken  // by name
	days     map[string]*worldDay    // by account and UTC day of the monitor's clock
}

type worldAccount struct {
	limit, used int64
	day         time.Time // of used
	silent      bool      // answers without a quota
	reported    int64     // the limit, as last reported
	full        time.Time // when a report showed the limit reached; zero if not today
}

type worldSecret struct {
	token    *worldToken
	result   probe.Result
	flapping bool
	answers  string // first letters of the answers that decided something
}

type worldToken struct {
	account string
	secret  string
	tried   time.Time     // last
	waits   time.Time     // since when it waits for a turn
	longest time.Duration // interval since then
	scraped time.Time     // last
	known   TokenState    // as of the last scrape
	judged  int           // how many of the secret's answers known rests on
}

// worldDay is a UTC day of an account.
type worldDay struct{ requests, budget, allowance int64 }

func newWorld(t *testing.T, random *rand.Rand) *world {
	w := &world{
		t: t, random: random, cfg: configOf(), store: new(memoryStore), accounts: make(map[string]*worldAccount),
		secrets: make(map[string]*worldSecret), tokens: make(map[string]*worldToken), days: make(map[string]*worldDay),
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
	w.tokens[name] = &worldToken{account: account, waits: time.Now(), scraped: time.Now()}
	w.rotate(name)
	changed := *w.cfg
	changed.Tokens = append(slices.Clone(w.cfg.Tokens), config.Token{Name: name, Account: account, Source: config.EnvSource(name)})
	w.cfg = &changed
}

// rotate gives a token another secret.
func (w *world) rotate(name string) {
	tok := w.tokens[name]
	tok.secret, tok.judged = fmt.Sprintf("%s-%d", name, len(w.secrets)), 0
	w.secrets[tok.secret] = &worldSecret{token: tok, result: probe.Valid, flapping: w.random.IntN(10) == 0}
	_ = os.Setenv(name, tok.secret)
}

// event makes something happen, sometimes.
func (w *world) event() {
	tok := w.cfg.Tokens[w.random.IntN(len(w.cfg.Tokens))]
	a := w.accounts[tok.Account]
	switch w.random.IntN(300) {
	case 0, 1:
		w.outage = []probe.Result{probe.ServerError, probe.Unexpected, probe.Timeout, probe.Unreachable}[w.random.IntN(4)]
	case 2, 3, 4, 5:
		w.outage = probe.Valid
	case 6, 7, 8:
		results := []probe.Result{probe.Valid, probe.Valid, probe.Rejected, probe.Locked, probe.Forbidden, probe.RateLimited}
		w.secrets[w.tokens[tok.Name].secret].result = results[w.random.IntN(len(results))]
	case 9, 10:
		a.use(w.random.Int64N(a.limit))
	case 11:
		a.limit = 20 + w.random.Int64N(2000)
	case 12:
		w.addToken()
		w.m.Reload(w.cfg)
	case 13:
		if len(w.cfg.Tokens) > 1 {
			changed := *w.cfg
			changed.Tokens = slices.DeleteFunc(slices.Clone(w.cfg.Tokens), func(c config.Token) bool { return c.Name == tok.Name })
			w.cfg = &changed
			w.m.Reload(w.cfg)
		}
	case 14, 15:
		w.rotate(tok.Name)
	case 16:
		_ = os.Setenv(tok.Name, "")
	case 17, 18:
		_ = os.Setenv(tok.Name, w.tokens[tok.Name].secret)
	case 19, 20:
		w.restart()
	case 21:
		if w.random.IntN(10) == 0 {
			w.step()
		}
	}
}

// restart ends the monitor and starts another one, in one of several ways.
func (w *world) restart() {
	synctest.Wait()
	content := w.store.load(w.t) // as kill -9 leaves it
	w.m.Close()
	switch w.random.IntN(8) {
	case 0: // the state is lost
		content = state.Content{}
		w.allow()
		for _, a := range w.accounts {
			a.reported = 0
		}
	case 1, 2: // some checks come between, as cron makes them
		for range w.random.IntN(5) {
			w.start(w.store.load(w.t))
			if w.random.IntN(3) == 0 {
				w.m.LookAgain()
			}
			w.scrapeNames()
			w.m.Close()
		}
		content = w.store.load(w.t)
	case 3, 4, 5:
		content = w.store.load(w.t)
	}
	w.start(content)
	w.m.BeginSetUp()
}

// step sets the monitor's clock.
func (w *world) step() {
	w.allow()
	w.stepped = time.Now()
	w.offset = time.Duration(w.random.Int64N(int64(72*time.Hour))) - 36*time.Hour
	w.allow()
}

// allow grants each account one more budget today: the monitor has lost count.
func (w *world) allow() {
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
	limit := w.cfg.Pacing.AssumedDailyLimit
	if a.reported > 0 {
		limit = a.reported
	}
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
	began := time.Now()
	w.mu.Lock()
	s := w.secrets[secret.Reveal()]
	s.token.tried = began
	o := w.request(s)
	latency := time.Duration(1+w.random.IntN(2000)) * time.Millisecond
	if o.Result == probe.Timeout {
		latency = w.cfg.Timeout
	}
	w.mu.Unlock()
	time.Sleep(latency)
	w.mu.Lock()
	defer w.mu.Unlock()
	o.Start, o.Duration, o.ServerTime = began.Add(w.offset), latency, time.Now()
	a := w.accounts[s.token.account]
	if o.Quota.LimitOK {
		if a.reported = o.Quota.Limit; o.Quota.Used >= o.Quota.Limit && a.day.Equal(time.Now().UTC().Truncate(day)) {
			a.full = time.Now()
		}
	}
	if o.Result.Verdict() != probe.VerdictUnknown {
		s.answers += o.Result.String()[:1]
	}
	return o, nil
}

// request makes a request with a secret, and checks whether the rules allow it.
func (w *world) request(s *worldSecret) probe.Outcome {
	if w.outage == probe.Unreachable {
		return probe.Outcome{Result: probe.Unreachable}
	}
	account := s.token.account
	a, d := w.accounts[account], w.dayOf(account)
	a.use(1)
	d.budget = max(d.budget, w.budget(a))
	if d.requests++; d.requests > d.budget+d.allowance {
		w.t.Errorf("%s: request %d of the day, the budget is %d (and %d)", account, d.requests, d.budget, d.allowance)
	}
	// In the first minutes of a day, the count may be that of the day before: then the hold is short.
	again := a.full.Sub(a.full.Truncate(day)) < defaultPause && time.Since(a.full) >= defaultPause
	if !a.full.IsZero() && time.Now().After(a.full) && !again {
		w.t.Errorf("%s: a request %s after the limit was reported as reached", account, time.Since(a.full))
	}
	o := probe.Outcome{Result: s.result, Sent: true}
	switch {
	case w.outage != probe.Valid:
		o.Result = w.outage
	case a.used > a.limit:
		o.Result = probe.QuotaExhausted
	case s.flapping && w.random.IntN(2) == 0:
		o.Result = probe.Rejected
	}
	if o.Result.Answered() && !a.silent {
		o.Quota = probe.Quota{Limit: a.limit, LimitOK: true, Used: a.used, UsedOK: true}
	}
	return o
}

// scrape waits for a while, scrapes all tokens or one, and checks what came of it.
func (w *world) scrape() {
	time.Sleep(time.Duration(1 + w.random.Int64N(int64(time.Second)<<w.random.IntN(9))))
	var names []string // all
	if w.random.IntN(4) == 0 {
		names = append(names, w.cfg.Tokens[w.random.IntN(len(w.cfg.Tokens))].Name)
	}
	w.scrapeNames(names...)
}

func (w *world) scrapeNames(names ...string) {
	began := time.Now()
	news := w.news(names)
	for _, s := range w.m.Snapshot(names...).Tokens { // the answers of this scrape can make the interval shorter
		w.tokens[s.Name].longest = max(w.tokens[s.Name].longest, s.Interval)
	}
	w.m.Scrape(w.t.Context(), names...)
	synctest.Wait()
	snapshot := w.m.Snapshot(names...)
	held := make(map[string]HoldReason)
	for _, a := range snapshot.Accounts {
		held[a.Name] = a.Held
	}
	for _, s := range snapshot.Tokens {
		tok := w.tokens[s.Name]
		w.checkVerdict(tok, s)
		readable := s.Last.Result != probe.NoToken
		a := w.m.accounts[tok.account]
		// Near a limit, requests under way can stop the others; so can those that will be given back because none is sent.
		nearLimit := a.remaining() <= 2*int64(len(a.tokens)) || w.outage == probe.Unreachable
		if readable && !nearLimit && held[tok.account] == NotHeld && slices.Contains(news, s.Name) && tok.tried.Before(began) {
			w.t.Errorf("%s: there may be news, and there are extra turns, but it was not probed: %+v", s.Name, w.m.byName[s.Name].Turns)
		}
		stopped := held[tok.account] != NotHeld && held[tok.account] != Reserve || nearLimit || tok.scraped.Before(w.stepped)
		if stopped || !readable || tok.tried.After(tok.waits) {
			tok.waits, tok.longest = tok.tried, 0
			if stopped || !readable {
				tok.waits = time.Now()
			}
		}
		tok.longest = max(tok.longest, s.Interval)
		since := tok.waits
		if !w.stepped.IsZero() { // a turn in the future counts as now, from when its token could be read
			since = later(since, w.m.byName[s.Name].LastTurn.Add(-w.offset))
		}
		if waited := time.Since(since); waited > tok.longest+time.Since(tok.scraped)+time.Minute {
			w.t.Errorf("%s waits for %s at an interval of %s: %+v", s.Name, waited, tok.longest, w.m.byName[s.Name].Turns)
		}
		tok.scraped = began
	}
}

// news returns which of the tokens must be probed by a scrape now: those with news, if extra turns suffice for them and
// for a confirmation of each token.
func (w *world) news(names []string) (news []string) {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	now := w.now()
	for _, a := range w.m.accounts {
		var own []string
		for _, t := range a.tokens {
			if scraped := len(names) == 0 || slices.Contains(names, t.Name); scraped && (!t.Sent || t.LookAgain) {
				own = append(own, t.Name)
			}
		}
		a.rollOver(now)
		reason, _ := a.heldBy(now)
		needed := int64(len(own) + len(a.tokens))
		knowsLimit := a.effectiveLimit() == w.accounts[a.Name].limit // else the first answer can change the budget
		if knowsLimit && reason == NotHeld && needed <= min(a.extra()-a.ExtraUsed, a.budget()-a.Used) {
			news = append(news, own...)
		}
	}
	return news
}

// checkVerdict checks that a verdict changed only on the answers that decide it.
func (w *world) checkVerdict(tok *worldToken, s TokenState) {
	answers := w.secrets[tok.secret].answers
	recent := answers[max(0, min(tok.judged, len(answers))-1):]
	reason := s.Reason.String()[:1]
	switch {
	case s.Verdict == probe.VerdictUnknown || s.Verdict == tok.known.Verdict && s.Reason == tok.known.Reason:
	case s.Verdict == probe.VerdictValid && strings.Contains(recent, "v"):
	case s.Verdict == probe.VerdictDenied && strings.Contains(recent, reason+reason):
	default:
		w.t.Errorf("%s: %s (%s) after the answers %q", s.Name, s.Verdict, s.Reason, recent)
	}
	tok.known, tok.judged = s, len(answers)
}
