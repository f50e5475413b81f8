package monitor

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

const (
	// confirmAfter is the time between a first denial and the probe that confirms or clears it.
	confirmAfter = time.Second
	// minTime is the time to its deadline that a scrape needs to start probes.
	minTime = 50 * time.Millisecond
	// maxAttempts is how many probes of an account whose use is not known a scrape tries one by one while nothing can be
	// sent: each costs a plan of the account.
	maxAttempts = 10
	// slowShare is the part of the slots, as its reciprocal, that tokens whose last probe timed out may take.
	slowShare = 2
)

// Scrape probes the named tokens that are due, or all if there are no names, and returns their state. It returns when
// the probes have ended, at the deadline, or when ctx ends, whatever still hangs. Probes that it started run until
// they end or their timeout expires; the next scrape shows their results. A zero deadline is none.
func (m *Monitor) Scrape(ctx context.Context, deadline time.Time, names ...string) Snapshot {
	var cancel context.CancelFunc = func() {}
	if !deadline.IsZero() {
		ctx, cancel = context.WithDeadline(ctx, deadline)
	}
	defer cancel()
	stop := context.AfterFunc(m.ctx, cancel) // Stop ends the scrapes
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.scrape(ctx, names)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	case <-m.ctx.Done():
	}
	return m.Snapshot(names...)
}

// scrape is one scrape: it starts probes until ctx ends, and waits for them as long.
type scrape struct {
	m       *Monitor
	ctx     context.Context // ends when nobody waits for the scrape any more; it ends no probe
	setup   setup
	session Session
	since   uint64         // number of probes started before the scrape
	probes  sync.WaitGroup // started by this scrape, with their confirmations
}

// scrape makes the probes of one scrape. It returns when the last of them has ended, or with ctx.
func (m *Monitor) scrape(ctx context.Context, names []string) {
	m.mu.Lock()
	s := &scrape{m: m, ctx: ctx, setup: m.setup, since: m.probes}
	tokens := m.selectLocked(names)
	accounts := make(map[*account]map[*token]bool) // the tokens that no other scrape is probing
	var own []*token
	for _, t := range tokens {
		if t.call != nil {
			continue
		}
		if accounts[t.account] == nil {
			accounts[t.account] = make(map[*token]bool)
		}
		accounts[t.account][t] = true
		own = append(own, t)
	}
	m.mu.Unlock()
	m.readSecrets(own)
	s.session = s.setup.connect()
	s.probe(accounts, 0)
	saved := make(chan struct{})
	go func() {
		defer close(saved)
		s.probes.Wait()
		s.session.Close()
		m.persist() // the results that changed no verdict, even if nobody waited for them
	}()
	for _, t := range tokens { // their probes, whichever scrape started them
		m.await(ctx, t)
	}
	select {
	case <-saved:
	case <-ctx.Done():
	}
}

// probe starts the probes of the wanted tokens of some accounts that are due, in one order, because all share the slots.
// Tokens whose last probe timed out wait in a queue of their own, so that others do not wait behind them. An account whose
// use is not known goes on by itself once its first probe has ended; attempts counts those.
func (s *scrape) probe(accounts map[*account]map[*token]bool, attempts int) {
	var fast, slow []permit
	var others sync.WaitGroup
	defer others.Wait()
	for a, wanted := range accounts {
		permits, blocker := s.m.plan(s, a, wanted)
		for _, p := range permits {
			if p.slow && cap(s.setup.slots.all) > 1 {
				slow = append(slow, p)
			} else {
				fast = append(fast, p)
			}
		}
		if blocker == nil || attempts == maxAttempts {
			continue
		}
		others.Go(func() {
			select {
			case <-blocker.done:
			case <-s.ctx.Done(): // the next plan skips the tokens that are left
			}
			s.probe(map[*account]map[*token]bool{a: wanted}, attempts+1)
		})
	}
	if len(fast)+len(slow) > 0 {
		s.m.persist() // a permit is on disk before its request is sent
	}
	others.Go(func() { s.startAll(slow) })
	s.startAll(fast)
}

// startAll starts the probes of a batch: urgent ones first, then those of tokens probed longest ago.
func (s *scrape) startAll(batch []permit) {
	slices.SortStableFunc(batch, func(p, q permit) int {
		return cmp.Or(cmp.Compare(p.urgency, q.urgency), p.before.begun.Compare(q.before.begun))
	})
	for i := range batch {
		s.start(batch[i:])
	}
}

// permit is the right to make one request for a token.
type permit struct {
	token   *token
	account *account
	call    *call
	secret  config.Secret
	urgency urgency
	at      time.Time // steady
	slow    bool      // whether the token's last probe timed out
	changed bool      // whether the secret differs from that of the last request
	before  history   // to go back to if the request is not sent
	hourly  bool      // whether it is the account's one of the hour, within the reserve
	asks    bool      // see [pacer.allowAsking]
	renewed bool      // see renewLocked
	last    time.Time // the account's last permit before
	saved   bool      // whether it is to be saved first: saving the state works
	silent  int64     // how many probes of the account had completed without a report
}

// plan decides which of the wanted tokens of an account are probed now, in the order of their urgency, and takes their
// permits. If the account's use is not known, plan permits one probe and returns the call to wait for before the next
// plan.
func (m *Monitor) plan(s *scrape, a *account, wanted map[*token]bool) (batch []permit, blocker *call) {
	m.mu.Lock()
	defer m.unlock()
	now := m.clock()
	m.noteDelayLocked(a, now)
	for t := range wanted {
		m.followSecretLocked(t, now)
	}
	reserved := 0 // permits that belong to tokens of other scrapes, which have waited longer
	expected := -1
	for _, t := range a.inOrder(now) {
		u := t.urgency(now)
		if !wanted[t] {
			if u == routine && t.call == nil && now.steady.Sub(t.skippedAt) < reservationTTL {
				reserved++
			}
			continue
		}
		switch {
		case t.call != nil || t.order > s.since: // another scrape probes it, or has done so since this one began
			delete(wanted, t)
			continue
		case !s.hasTime() || m.ctx.Err() != nil:
			t.Skipped[SkipDeadline]++
			delete(wanted, t)
			continue
		case t.secretErr != nil:
			m.recordLocked(t, probe.Outcome{Result: probe.NoToken, Start: now.wall, Message: t.secretErr.Error()}, now)
			delete(wanted, t)
			continue
		case u == routine && now.steady.Before(m.unverified.earliest(t, now, s.setup.minInterval)):
			t.Skipped[SkipMinInterval]++
			delete(wanted, t)
			continue
		}
		if m.stateFile.failing && u > confirmation && (u != firstProbe || !m.stateFile.neverSaved) {
			u = routine // at the pace only: nothing keeps a restart from doing the same
		}
		waits := reserved
		if u == spread {
			if expected < 0 {
				expected = a.awaitingConfirmation()
			}
			waits = expected
		}
		reason, ok := a.pacer.allow(now, u, waits)
		asks := !ok && a.pacer.allowAsking(now, u, m.asked)
		alone := a.pacer.inFlight > 0 && (ok && a.pacer.usePending(now) || !ok && a.pacer.unverified != nil)
		if !ok && !asks && !alone {
			if reason == SkipBudget {
				t.skippedAt = now.steady
			}
			t.Skipped[reason]++
			delete(wanted, t)
			continue
		}
		if alone {
			if blocker = a.underWay(); blocker != nil {
				break
			}
			t.Skipped[SkipBudget]++ // that token has left the configuration
			delete(wanted, t)
			continue
		}
		p := m.permitLocked(t, u, now)
		if p.asks = asks; asks {
			m.asked = now.wall
		}
		batch = append(batch, p)
		delete(wanted, t)
		if expected >= 0 {
			expected++
		}
	}
	return batch, blocker
}

// hasTime reports whether the scrape may start probes: it is not over, nor as good as over. A permit that is taken only to
// be given back would keep other scrapes from the token.
func (s *scrape) hasTime() bool {
	deadline, ok := s.ctx.Deadline()
	return s.ctx.Err() == nil && (!ok || time.Until(deadline) >= minTime)
}

// underWay returns a call of the account that is under way; nil if there is none.
func (a *account) underWay() *call {
	for _, t := range a.tokens {
		if t.call != nil {
			return t.call
		}
	}
	return nil
}

// permitLocked takes a permit for a probe of t.
func (m *Monitor) permitLocked(t *token, u urgency, now instant) permit {
	if t.call == nil {
		t.call = &call{done: make(chan struct{})}
	}
	pacer := &t.account.pacer
	reason, _ := pacer.held(now)
	p := permit{
		token: t, account: t.account, call: t.call, secret: t.secret, urgency: u, at: now.steady,
		slow: u > newSecret && t.Probed && t.Last.Result == probe.Timeout, changed: t.secretChanged(), before: t.history,
		hourly: reason == Reserve, last: pacer.last, silent: pacer.silent, saved: !m.stateFile.failing,
	}
	m.probes++
	t.order = m.probes
	t.notePermit(now.steady, u)
	pacer.take(now.steady)
	m.dirty = true
	return p
}

// start waits for a slot and starts the first probe of a batch.
func (s *scrape) start(batch []permit) {
	slots := s.setup.slots
	began := s.m.begin(s.ctx, slots, batch)
	p := batch[0]
	if !began {
		s.m.mu.Lock()
		defer s.m.mu.Unlock()
		p.token.call = nil
		close(p.call.done)
		return
	}
	s.probes.Go(func() {
		defer close(p.call.done)
		outcome, err := s.session.Probe(s.m.ctx, p.secret)
		slots.release(p.slow)
		if s.m.complete(p, outcome, err) {
			s.confirm(p)
		}
		s.m.mu.Lock()
		defer s.m.mu.Unlock()
		p.token.call = nil
	})
}

// begin waits for a slot for the first probe of a batch. It gives the permit back and returns false if ctx ends first, if
// an answer has stopped the account's probes since, or if the permit could not be saved in time.
func (m *Monitor) begin(ctx context.Context, slots slots, batch []permit) bool {
	acquired := slots.acquire(ctx, batch[0].slow)
	m.mu.Lock()
	defer m.unlock()
	now := m.clock()
	if acquired && now.steady.Sub(batch[0].at) > permitTTL {
		m.renewLocked(batch, now)
		m.mu.Unlock()
		m.persist()
		m.mu.Lock()
		now = m.clock()
	}
	p := batch[0]
	reason, stopped, unsaved := SkipDeadline, !acquired || now.steady.Sub(p.at) > permitTTL, p.saved && m.stateFile.failing
	if !stopped {
		reason, stopped = p.stopped(now)
		if unsaved {
			reason, stopped = SkipBudget, true
		}
	}
	if !stopped {
		p.call.started = now.steady
		if p.call.first.IsZero() {
			p.call.first = now.steady
		}
		p.token.sentAt = now.steady
		return true
	}
	if acquired {
		slots.release(p.slow)
	}
	p.token.Skipped[reason]++
	m.giveBackLocked(p)
	if unsaved {
		p.account.pacer.drain(now.steady)
	}
	return false
}

// stopped reports whether the probe of p must not be made any more, and why: answers that came since the permit stop the
// probes of its account, or of the account that its token has moved to.
func (p *permit) stopped(now instant) (SkipReason, bool) {
	if p.asks && p.account.pacer.unverified != nil {
		return 0, false
	}
	if reason, stopped := p.account.pacer.stopped(now, 1, p.hourly); stopped || p.token.account == p.account {
		return reason, stopped
	}
	return p.token.account.pacer.stopped(now, 0, false)
}

// renewLocked makes permits that have waited for a slot count from now on: their requests are made later than planned.
func (m *Monitor) renewLocked(batch []permit, now instant) {
	for i := range batch {
		p := &batch[i]
		p.account.pacer.giveBack(p.at)
		p.account.pacer.take(now.steady)
		for _, a := range p.concerned()[1:] {
			if p.renewed {
				a.pacer.window.add(p.at, -1)
			}
			a.pacer.window.add(now.steady, 1)
		}
		p.at, p.token.begun, p.renewed = now.steady, now.steady, true
	}
	m.dirty = true
}

// concerned returns the accounts that count the request of p: since reloads, there may be several.
func (p *permit) concerned() []*account {
	concerned := []*account{p.account}
	for _, a := range slices.Concat(p.account.movedTo, []*account{p.token.account}) {
		if !slices.Contains(concerned, a) {
			concerned = append(concerned, a)
		}
	}
	return concerned
}

// confirm probes again after a first denial, within the same call.
func (s *scrape) confirm(first permit) {
	select {
	case <-time.After(confirmAfter):
	case <-s.m.ctx.Done():
		return
	}
	m := s.m
	m.mu.Lock()
	now := m.clock()
	u := first.token.urgency(now)
	_, ok := first.token.account.pacer.allow(now, u, 0)
	if !ok || u != confirmation || m.byName[first.token.Name] != first.token { // removed meanwhile
		m.unlock()
		return
	}
	batch := []permit{m.permitLocked(first.token, u, now)}
	m.unlock()
	m.persist()
	if !m.begin(m.ctx, s.setup.slots, batch) {
		return
	}
	outcome, err := s.session.Probe(m.ctx, batch[0].secret)
	s.setup.slots.release(false)
	m.complete(batch[0], outcome, err)
}

// complete takes over how a probe ended. It returns when a new verdict is on disk, and reports whether the outcome is
// a denial that needs confirmation.
func (m *Monitor) complete(p permit, outcome probe.Outcome, err error) (confirm bool) {
	now := m.clock() // before the wait for the lock: it tells which of two answers is the later one
	m.mu.Lock()
	if outcome.Sent && now.steady.Sub(p.at) > permitTTL { // connecting took long
		permits := []permit{p}
		m.renewLocked(permits, now)
		p = permits[0]
	}
	if err == nil && !outcome.Sent {
		tried := p.token.begun
		m.giveBackLocked(p)
		p.token.begun, p.token.skippedAt = tried, time.Time{} // it had its turn: the next tokens try next
	} else {
		p.account.pacer.complete(now, err == nil && outcome.Quota.UsedOK)
	}
	if err != nil { // canceled: no result
		m.logLocked(slog.LevelDebug, "Probe canceled", "token", p.token.Name, "err", err)
		m.unlock()
		return false
	}
	t, a := p.token, p.token.account
	before := t.TokenState
	if outcome.Sent {
		if p.changed {
			m.gone.add(t.secretDigest(m.salt), p.before.begun, p.account)
		}
		t.sent(p.secret, p.changed)
		if m.byName[t.Name] != t {
			m.gone.add(t.secretDigest(m.salt), t.begun, p.account)
		}
	}
	m.verifyAgeLocked(outcome, now)
	stopped := m.learnLocked(p.account, now, func(own *pacer) {
		own.learn(now, outcome, own.silent-p.silent)
		own.hold(now, outcome.Throttle)
	})
	for _, other := range p.concerned()[1:] {
		stopped = m.learnLocked(other, now, func(own *pacer) { own.absorbReport(&p.account.pacer, now) }) || stopped
	}
	if p.account.pacer.inFlight == 0 {
		p.account.movedTo = nil
	}
	if !outcome.CertificateExpiry.IsZero() {
		m.certificateExpiry = outcome.CertificateExpiry
	}
	if outcome.Result.Answered() {
		a.durations.Observe(outcome.Duration.Seconds())
	}
	m.noteUserLocked(t, outcome.User)
	changed := m.recordLocked(t, outcome, now)
	if changed == newVerdict && t.Verdict == probe.VerdictDenied {
		a.spreadDenial(t, p.call.first)
	}
	if changed != newVerdict && changed != oneOffDenial && !p.changed && !stopped {
		m.unlock()
		return changed == firstDenial
	}
	t.unsaved = &before
	m.unlock()
	m.persist() // a verdict is on disk before it is reported; what stops an account's probes, at once
	m.mu.Lock()
	t.unsaved = nil
	m.mu.Unlock()
	return changed == firstDenial
}

// learnLocked makes a change to what is known about the quota of an account, and logs what stops its probes. It reports
// whether something new does, or leaves one per hour.
func (m *Monitor) learnLocked(a *account, now instant, learn func(*pacer)) (stopped bool) {
	before, end := a.pacer.held(now)
	learn(&a.pacer)
	reason, until := a.pacer.held(now)
	if reason == NotHeld || reason == before && until.Equal(end) {
		return false
	}
	if reason != before {
		m.logLocked(slog.LevelWarn, holdMessages[reason], "account", a.name, "until", until)
	}
	a.held = a.held || reason != Reserve
	return true
}

var holdMessages = [...]string{
	SlowDown:   "Pausing probes of account: rate limited by the API",
	DailyLimit: "Pausing probes of account: its daily limit is reached",
	Reserve:    "Probing account only once per hour: the rest of its daily limit is reserved for other programs",
}

// giveBackLocked undoes a permit of which nothing was sent.
func (m *Monitor) giveBackLocked(p permit) {
	p.account.pacer.giveBack(p.at)
	if p.hourly {
		p.account.pacer.last = p.last
	}
	if p.asks {
		m.asked = time.Time{}
	}
	spread := p.token.spread // set meanwhile
	p.token.history = p.before
	p.token.spread = p.token.spread || spread
	if p.account.pacer.inFlight == 0 {
		p.account.movedTo = nil
	}
	m.dirty = true
}

// await returns when t has no probe under way, or with ctx.
func (m *Monitor) await(ctx context.Context, t *token) {
	m.mu.Lock()
	c := t.call
	m.mu.Unlock()
	if c == nil {
		return
	}
	select {
	case <-c.done:
	case <-ctx.Done():
	}
}

// slots bounds the probes under way at once.
type slots struct {
	all  chan struct{} // one element per probe under way
	slow chan struct{} // of those, the ones of tokens whose last probe timed out
}

func newSlots(n int) slots {
	return slots{make(chan struct{}, n), make(chan struct{}, max(1, n/slowShare))}
}

// acquire waits for a slot. It returns false when ctx ends first.
func (s slots) acquire(ctx context.Context, slow bool) bool {
	if ctx.Err() != nil {
		return false
	}
	if slow {
		select {
		case s.slow <- struct{}{}:
		case <-ctx.Done():
			return false
		}
	}
	select {
	case s.all <- struct{}{}:
		return true
	case <-ctx.Done():
		if slow {
			<-s.slow
		}
		return false
	}
}

func (s slots) release(slow bool) {
	<-s.all
	if slow {
		<-s.slow
	}
}
