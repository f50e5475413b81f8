package monitor

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
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

// TestBudgetProperty drives random weeks: scrape intervals from 1 s to 1 h, hasty scrapers, 1 to 400 tokens in 1 to 5
// accounts, limits that change, vanish or were never reported, denials without quota headers, outages of each kind,
// other programs that use up the quota, flapping tokens, restarts and boots that keep the state, clock steps, suspended
// machines, reloads, renamed accounts and changed secrets. It checks that
//
//   - in no 24 hours an account gets more requests than its budget,
//   - no request follows a report that showed the limit reached, on the same day,
//   - the reserve gets one request per hour,
//   - no verdict changes without the answers that decide it,
//   - a changed secret is probed by the next scrape, while there is budget,
//   - and no token starves: unless the account is held, each is probed within its interval, or twice that
//     while other tokens of the account flap.
func TestBudgetProperty(t *testing.T) {
	for range 10 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, rand.New(&lockedSource{source: rand.NewPCG(seed, 0)}))
				w.run(2000)
				w.checkBudget()
			})
		})
	}
}

// lockedSource is a source of random numbers that goroutines share.
type lockedSource struct {
	mu     sync.Mutex
	source rand.Source
}

func (s *lockedSource) Uint64() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.source.Uint64()
}

// world is a random API, its other users, and a monitor that is scraped, restarted and reloaded.
type world struct {
	t      *testing.T
	random *rand.Rand
	api    fakeAPI
	cfg    *config.Config
	store  memoryStore
	m      *Monitor
	dir    string
	boot   string // empty: the steady clock stands still in a suspended machine, and restarts know the wall clock only

	offset, asleep time.Duration       // of the wall clock; of the steady clock
	late           map[string]lateness // by name
	interval       time.Duration       // between scrapes, at most
	awake          time.Time           // since when the machine is not suspended

	accounts map[string]*worldAccount
	tokens   map[string]*worldToken // by secret
	secrets  map[string]string      // by name
	outage   probe.Result           // Valid: none
	maximum  map[string]int64       // the largest budget that the account may have had
}

type worldAccount struct {
	limit, used int64
	day         int64
	silent      bool // answers without a quota
	hidden      bool // denials without a quota
	requests    []time.Time
	full        time.Time // when a report showed the limit reached; zero if not today
	reserved    time.Time // when a report showed less than the reserve left
}

type worldToken struct {
	account  string
	result   probe.Result
	flapping int    // one request in so many is denied; 0: none
	answers  string // v, d per deciding answer, since the verdict last changed
}

func newWorld(t *testing.T, random *rand.Rand) *world {
	w := &world{
		t: t, random: random, dir: t.TempDir(), accounts: make(map[string]*worldAccount),
		tokens: make(map[string]*worldToken), secrets: make(map[string]string), maximum: make(map[string]int64),
		late: make(map[string]lateness), boot: []string{"", "boot"}[random.IntN(2)],
	}
	w.api.answer, w.api.delay, w.api.arrived = w.answer, w.delay, w.arrived
	w.api.offset = func() time.Duration { return w.offset }
	w.cfg = &config.Config{
		Timeout: 10 * time.Second, MaxConcurrency: []int{500, 500, 1 << random.IntN(9)}[random.IntN(3)],
		Pacing: config.Pacing{
			QuotaShare: 0.02 + 0.98*random.Float64(), AssumedDailyLimit: 1000, Reserve: random.Float64() * 0.2,
			MinInterval: time.Duration(random.IntN(2)) * time.Minute,
		},
	}
	accounts := 1 + random.IntN(5)
	for range min(400, 1+random.IntN(1<<random.IntN(10))) {
		w.addToken(fmt.Sprintf("account%d", random.IntN(accounts)))
	}
	w.start(state.State{})
	return w
}

func (w *world) addToken(account string) {
	name := fmt.Sprintf("token%d", len(w.cfg.Tokens))
	if w.accounts[account] == nil {
		w.accounts[account] = &worldAccount{
			limit: 20 + w.random.Int64N(2000), day: -1, silent: w.random.IntN(5) == 0, hidden: w.random.IntN(2) == 0,
		}
	}
	source := config.EnvSource(w.variable(name)) // cheaper to read
	if len(w.cfg.Tokens)%4 == 0 {
		source = config.FileSource(filepath.Join(w.dir, name))
	}
	w.cfg.Tokens = append(w.cfg.Tokens, config.Token{Name: name, Account: account, Source: source})
	w.rotate(name, account)
}

// rename gives an account another name in the configuration, with the same beginning.
func (w *world) rename(account string) {
	changed := *w.cfg
	changed.Tokens = slices.Clone(w.cfg.Tokens)
	name := fmt.Sprintf("%s.%d", inAPI(account), w.random.IntN(5))
	for i := range changed.Tokens {
		if changed.Tokens[i].Account == account {
			changed.Tokens[i].Account = name
		}
	}
	w.cfg = &changed
}

// inAPI returns the name of an account in the API.
func inAPI(account string) string {
	name, _, _ := strings.Cut(account, ".")
	return name
}

// rotate gives a token a new secret.
func (w *world) rotate(name, account string) {
	secret := fmt.Sprintf("%s.%d", name, len(w.tokens))
	tok := &worldToken{account: account}
	switch w.random.IntN(8) {
	case 0:
		tok.result = probe.Rejected
	case 1:
		tok.flapping = 1 + w.random.IntN(6)
	}
	w.tokens[secret], w.secrets[name] = tok, secret
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(secret), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Setenv(w.variable(name), secret); err != nil {
		w.t.Fatal(err)
	}
}

// variable returns the environment variable of a token, which no other week uses.
func (w *world) variable(name string) string {
	return strings.ToUpper(filepath.Base(filepath.Dir(w.dir)) + "_" + name)
}

func (w *world) start(saved state.State) {
	w.m = New(w.cfg, Options{
		Connect: w.api.connect, Logger: slog.New(slog.DiscardHandler), Store: &w.store, State: saved,
		boot: w.boot, clock: func() instant {
			now := time.Now().Round(0)
			return instant{wall: now.Add(w.offset), steady: now.Add(-w.asleep)}
		},
	})
}

func (w *world) delay(string) time.Duration {
	if w.outage == probe.Timeout {
		return time.Hour
	}
	return time.Duration(w.random.IntN(2000)) * time.Millisecond
}

// answer counts a request as the API does and answers it.
func (w *world) answer(secret string) probe.Outcome {
	if w.outage == probe.Unreachable {
		return probe.Outcome{Result: probe.Unreachable}
	}
	now, tok := time.Now(), w.tokens[secret]
	a := w.accounts[tok.account]
	if today := dayOf(now); a.day != today {
		a.day, a.used, a.full, a.reserved = today, 0, time.Time{}, time.Time{}
	}
	nearMidnight := now.Add(5 * time.Minute).Truncate(day).After(now) // by a clock that may have stepped since
	if !a.full.IsZero() && now.After(a.full) && !nearMidnight {
		w.t.Errorf("%s: a request at %s, although the report of %s showed the limit reached", tok.account, now, a.full)
	}
	if n := len(a.requests); n > 0 && !a.reserved.IsZero() && !nearMidnight && a.requests[n-1].After(a.reserved) {
		if gap := now.Sub(a.requests[n-1]); gap < reserveInterval-5*time.Minute {
			w.t.Errorf("%s: two requests within %s of the reserve", tok.account, gap)
		}
	}
	a.requests = append(a.requests, now)
	o := probe.Outcome{Result: tok.result, Sent: true, HTTPStatus: 200, ServerTime: now}
	if tok.flapping > 0 && w.random.IntN(tok.flapping) == 0 {
		o.Result = probe.Rejected
	}
	a.used++
	switch {
	case w.outage != probe.Valid:
		o.Result = w.outage
		return o
	case a.used > a.limit:
		o.Result, o.Throttle = probe.RateLimited, probe.Throttle{Kind: probe.DailyLimit}
		return o
	}
	if a.silent || a.hidden && o.Result != probe.Valid {
		return o
	}
	o.Quota = probe.Quota{Limit: a.limit, LimitOK: true, Used: a.used, UsedOK: true}
	return o
}

func (w *world) arrived(secret string, o probe.Outcome) {
	switch o.Result.Verdict() {
	case probe.VerdictValid:
		w.tokens[secret].answers += "v"
	case probe.VerdictDenied:
		w.tokens[secret].answers += "d"
	case probe.VerdictUnknown:
	}
	a, now := w.accounts[w.tokens[secret].account], time.Now()
	full := o.Quota.UsedOK && o.Quota.Used >= o.Quota.Limit || o.Throttle.Kind == probe.DailyLimit
	if full && a.full.IsZero() && dayOf(now) == a.day && dayOf(now.Add(-o.Duration)) == a.day {
		a.full = now
	}
	if q := o.Quota; q.UsedOK && float64(q.Limit-q.Used) >= w.cfg.Pacing.Reserve*float64(q.Limit) {
		a.reserved = time.Time{}
	}
}

// delivered notes what the reports of an account have shown, once their probes have ended.
func (w *world) delivered() {
	today := dayOf(time.Now())
	for _, s := range w.m.Snapshot().Accounts {
		name := inAPI(s.Name)
		a := w.accounts[name]
		w.maximum[name] = max(w.maximum[name], s.Budget)
		w.m.mu.Lock()
		reported := w.m.accounts[s.Name].pacer.report.day // a clock that has stepped may show a report of yesterday
		w.m.mu.Unlock()
		if !s.Quota.UsedOK || a.day != today || reported != today || w.m.unverified != nil {
			continue
		}
		if s.Quota.Used >= s.Quota.Limit && a.full.IsZero() {
			a.full = time.Now()
		}
		left := float64(s.Quota.Limit - s.Quota.Used)
		switch nearly := left < w.cfg.Pacing.Reserve*float64(s.Quota.Limit); {
		case !nearly:
			a.reserved = time.Time{}
		case a.reserved.IsZero():
			a.reserved = time.Now()
		}
	}
}

func (w *world) run(scrapes int) {
	defer func() { w.m.Stop() }()
	w.interval = time.Minute
	for range scrapes {
		if w.interval > 4*time.Minute { // slower than the bucket gains permits
			clear(w.late)
		}
		deadline := time.Now().Add(9500 * time.Millisecond)
		hasty := w.random.IntN(4) == 0
		if hasty {
			deadline = time.Now().Add(time.Duration(w.random.IntN(200)) * time.Millisecond)
		}
		if w.random.IntN(30) == 0 { // as long as it takes
			deadline, hasty = time.Time{}, false
		}
		var names []string
		if w.random.IntN(3) == 0 {
			names = []string{w.cfg.Tokens[w.random.IntN(len(w.cfg.Tokens))].Name}
		}
		w.m.Scrape(w.t.Context(), deadline, names...)
		if len(names) == 0 && !hasty {
			w.checkStarvation()
		}
		if w.random.IntN(10) == 0 { // scrapes that overlap
			for passed := w.interval; passed < 30*time.Second; passed += w.interval {
				go w.m.Scrape(w.t.Context(), time.Now().Add(9500*time.Millisecond))
				time.Sleep(w.interval)
			}
		}
		time.Sleep(30 * time.Second) // probes end
		w.delivered()
		w.checkVerdicts()
		time.Sleep(time.Duration(w.random.Int64N(int64(w.interval))))
		switch w.random.IntN(60) {
		case 0:
			w.interval = time.Second * time.Duration(math.Exp(w.random.Float64()*math.Log(3600)))
			clear(w.late)
		case 1: // an outage begins or ends
			w.outage = []probe.Result{probe.Timeout, probe.Unreachable, probe.ServerError, probe.Unexpected}[w.random.IntN(4)]
		case 2, 3, 4, 5:
			w.outage = probe.Valid
		case 6: // another program
			for _, a := range w.accounts {
				if a.day == dayOf(time.Now()) {
					a.used += w.random.Int64N(a.limit)
				}
			}
		case 7:
			for _, a := range w.accounts {
				a.silent = w.random.IntN(3) == 0
				if w.random.IntN(3) == 0 {
					a.limit = 20 + w.random.Int64N(2000)
				}
			}
		case 8: // kill -9 and a restart, or a check
			if w.random.IntN(2) == 0 { // during a scrape
				go w.m.Scrape(w.t.Context(), time.Now().Add(9500*time.Millisecond))
				time.Sleep(time.Duration(w.random.IntN(3000)) * time.Millisecond)
			}
			if w.boot != "" && w.random.IntN(2) == 0 {
				w.reboot()
			}
			w.restart()
		case 9:
			i := w.random.IntN(len(w.cfg.Tokens))
			w.rotate(w.cfg.Tokens[i].Name, inAPI(w.cfg.Tokens[i].Account))
			w.checkUrgent(i)
		case 10:
			w.m.Reload(w.cfg)
		case 14:
			w.rename(w.cfg.Tokens[w.random.IntN(len(w.cfg.Tokens))].Account)
			w.m.Reload(w.cfg)
		case 11: // a clock step, if need be one that a restart cannot tell from time
			largest := 2 * time.Minute
			if w.boot != "" {
				largest = 20 * day
			}
			w.offset = time.Duration(w.random.Int64N(int64(2*largest))) - largest
		case 12: // the machine sleeps
			nap := time.Duration(w.random.Int64N(int64(12 * time.Hour)))
			time.Sleep(nap)
			if w.boot == "" {
				w.asleep += nap
			}
			w.awake = time.Now()
		case 13:
			tok := w.tokens[w.secrets[w.cfg.Tokens[w.random.IntN(len(w.cfg.Tokens))].Name]]
			tok.result, tok.flapping = probe.Rejected-tok.result, 0
		}
	}
}

// reboot turns the system off for a while. Its clock is ahead when it comes back.
func (w *world) reboot() {
	off := time.Duration(w.random.Int64N(int64(2 * day)))
	w.m.Stop()
	synctest.Wait()
	time.Sleep(off)
	w.asleep += off
	w.boot = fmt.Sprint("boot", w.random.Uint64())
	w.offset += time.Duration(w.random.Int64N(int64(2 * day)))
	w.awake = time.Now()
	for _, a := range w.accounts { // one request may ask whether it is still so
		a.full, a.reserved = time.Time{}, time.Time{}
	}
}

// restart kills the exporter and starts it again. What it reported must survive.
func (w *world) restart() {
	before := w.m.Snapshot().Tokens
	w.m.Stop()
	synctest.Wait()
	w.start(w.store.saved)
	if w.store.saved.Saved.After(w.m.clock().wall.Add(time.Hour)) {
		return // a state of the future
	}
	for i, s := range w.m.Snapshot().Tokens {
		b := before[i]
		step := s.VerdictSince.Sub(b.VerdictSince) // a time that was in the future is now
		if s.Verdict != b.Verdict || s.Reason != b.Reason || w.boot == "" && step.Abs() > 4*time.Minute {
			w.t.Errorf("%s: %s (%s) before a restart, %s (%s) after", s.Name, b.Verdict, b.Reason, s.Verdict, s.Reason)
		}
		w.tokens[w.secrets[s.Name]].answers += "|" // a denial that was not confirmed may be lost
	}
}

// checkVerdicts checks that each verdict rests on the answers that decide it.
func (w *world) checkVerdicts() {
	for _, s := range w.m.Snapshot().Tokens {
		answers := w.tokens[w.secrets[s.Name]].answers
		if strings.Trim(answers, "|") == "" {
			continue // the verdict is about an earlier secret
		}
		switch {
		case s.Verdict == probe.VerdictValid && !strings.Contains(answers, "v"):
			w.t.Errorf("%s is valid after the answers %s", s.Name, answers)
		case s.Verdict == probe.VerdictDenied && !strings.Contains(strings.ReplaceAll(answers, "|", ""), "dd"):
			w.t.Errorf("%s is denied after the answers %s", s.Name, answers)
		case s.Verdict == probe.VerdictDenied && strings.HasSuffix(answers, "v"):
			w.t.Errorf("%s is denied after a valid answer", s.Name)
		case s.Verdict == probe.VerdictValid && strings.HasSuffix(answers, "dd"):
			w.t.Errorf("%s is valid after two denials", s.Name)
		}
	}
}

// checkStarvation checks, after a scrape of all tokens, that none waits for longer than its interval, or twice that
// while others flap, if the scrapes are not much slower than the bucket gains permits. A shorter interval, after a
// change, gets its own time to take effect.
func (w *world) checkStarvation() {
	rounds := 1 + len(w.cfg.Tokens)/cap(w.m.setup.slots.slow) // of scrapes until each has had a slot, if all time out
	s := w.m.Snapshot()
	held := make(map[string]bool)
	for _, a := range s.Accounts {
		held[a.Name] = a.Held != NotHeld || a.Budget == 0
	}
	for _, token := range s.Tokens {
		age := min(s.Time.Sub(token.Last.Start), time.Since(w.awake))
		late, seen := w.late[token.Name]
		w.m.mu.Lock()
		underWay := w.m.byName[token.Name].call != nil
		w.m.mu.Unlock()
		if !seen || !token.Probed || underWay || held[token.Account] || age <= token.Interval {
			late = lateness{since: time.Now()}
		}
		late.scrapes, late.interval = late.scrapes+1, max(late.interval, token.Interval)
		if late.scrapes > 4+2*rounds && time.Since(late.since) > 2*late.interval {
			w.t.Errorf("%s was not probed for %s, at an interval of %s", token.Name, age, token.Interval)
		}
		w.late[token.Name] = late
	}
}

// lateness is since when, and in how many scrapes, a token was left out although its interval was over.
type lateness struct {
	since    time.Time
	scrapes  int
	interval time.Duration // the longest since
}

// checkUrgent checks that the changed secret of the i-th token is probed at once, unless the account has no request for
// it, the token has used up its urgent probes, or probes wait for each other.
func (w *world) checkUrgent(i int) {
	w.m.mu.Lock()
	t, now := w.m.tokens[i], w.m.clock()
	p := &t.account.pacer
	p.window.advance(now.steady)
	_, known := p.usedToday(now)
	rivals := int64(0) // requests that are as urgent, and may be made before
	for _, other := range t.account.tokens {
		if other != t && other.urgency(now) <= newSecret {
			rivals++
		}
	}
	p.inFlight += rivals
	reason, _ := p.held(now)
	p.inFlight -= rivals
	ready := reason == NotHeld && p.window.total+rivals < p.budget() && t.probed && t.call == nil && known &&
		!t.urgentAt(now, newSecret).After(now.steady)
	w.m.mu.Unlock()
	if !ready || w.outage != probe.Valid || w.cfg.MaxConcurrency < len(w.cfg.Tokens) {
		return
	}
	w.m.Scrape(w.t.Context(), time.Now().Add(9500*time.Millisecond))
	w.m.mu.Lock()
	reason, _ = p.held(w.m.clock()) // by the answer to a rival
	w.m.mu.Unlock()
	if reason == NotHeld && w.api.count(w.secrets[w.cfg.Tokens[i].Name]) == 0 {
		w.t.Errorf("%s: its changed secret was not probed at once", w.cfg.Tokens[i].Name)
	}
}

// checkBudget counts the requests of all 24 hours.
func (w *world) checkBudget() {
	for name, a := range w.accounts {
		first := 0
		for i, at := range a.requests {
			for at.Sub(a.requests[first]) >= day {
				first++
			}
			if n := int64(i - first + 1); n > w.maximum[name] {
				w.t.Fatalf("%s: %d requests in the 24 hours before %s, with a budget of %d", name, n, at, w.maximum[name])
			}
		}
	}
}
