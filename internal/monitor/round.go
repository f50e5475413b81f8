package monitor

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
)

const (
	// finishing is how long a scrape waits past its deadline for the probes that the deadline has just ended.
	finishing = 100 * time.Millisecond
	// A probe does not begin in the last tenth of a scrape's time: it could hardly be answered, and would cost a
	// request all the same.
	lastMoments = 10
	// While nothing is known of an account, one probe scouts ahead for its limit. The others wait for a third of the
	// scrape's time, so that a scout that hangs does not cost them the scrape.
	scoutPatience = 3
)

// round is the work of one scrape.
type round struct {
	m       *Monitor
	setup   setup
	scraper context.Context // ends when nobody waits for the scrape any more
	ctx     context.Context // ends at the scrape's deadline, and with the monitor
	since   uint64          // the number of probes when the round began
	closing time.Time       // no probe begins from then on
	patient time.Time       // no waiting for scouts from then on
	session Session

	probes sync.WaitGroup // begun by this round
	mu     sync.Mutex     // guards shared
	shared []*flight      // begun by others
}

// Scrape probes the named tokens, or all when there are no names, as far as pacing allows, and returns their state.
// It returns when all is done, at the deadline, or when ctx ends, whatever still hangs. The end of ctx ends no probe
// that is under way: its request is spent, and others may wait for it.
func (m *Monitor) Scrape(ctx context.Context, deadline time.Time, names ...string) Snapshot {
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.round(ctx, deadline, names)
	}()
	patience := time.NewTimer(time.Until(deadline) + finishing)
	defer patience.Stop()
	select {
	case <-done:
	case <-ctx.Done():
	case <-patience.C:
	}
	return m.snapshot(names)
}

// round makes the probes of one scrape and returns when the last of them has ended.
func (m *Monitor) round(scraper context.Context, deadline time.Time, names []string) {
	start := time.Now()
	length := deadline.Sub(start)
	ctx, cancel := context.WithDeadline(m.ctx, deadline)
	defer cancel()

	m.mu.Lock()
	r := &round{
		m: m, setup: m.setup, scraper: scraper, ctx: ctx, since: m.probes,
		closing: deadline.Add(-length / lastMoments),
		patient: start.Add(length / scoutPatience),
	}
	tokens := r.leaveToOthers(m.selectTokens(names))
	m.mu.Unlock()

	m.readSecrets(tokens)
	r.session = r.setup.open(ctx)
	defer r.session.Close()

	m.mu.Lock()
	m.endHolds(start)
	tokens = inOrder(tokens)
	m.mu.Unlock()
	r.dispatch(tokens, false)
	r.probes.Wait()
	for _, f := range r.shared {
		select {
		case <-f.done:
		case <-ctx.Done():
		}
	}
}

// leaveToOthers takes on the probes that are under way when the round begins, and returns the tokens that have none.
// m.mu is held.
func (r *round) leaveToOthers(tokens []*token) []*token {
	rest := make([]*token, 0, len(tokens))
	for _, t := range tokens {
		if t.flight != nil {
			r.shared = append(r.shared, t.flight)
		} else {
			rest = append(rest, t)
		}
	}
	return rest
}

// readSecrets reads the secrets of tokens anew, so that a rotated one is noticed by the scrape that follows.
func (m *Monitor) readSecrets(tokens []*token) {
	for _, t := range tokens {
		m.mu.Lock()
		source := t.Source
		m.mu.Unlock()
		secret, err := source.Read()
		m.mu.Lock()
		if t.secretErr = err; err == nil {
			t.secret = secret
		}
		m.mu.Unlock()
	}
}

// dispatch begins a probe for each token whose turn it is, in their order. scouted says that these tokens have waited
// for their account's scout already.
func (r *round) dispatch(tokens []*token, scouted bool) {
	waiting := make(map[*account][]*token)
	for _, t := range tokens {
		next, a := r.turn(t, scouted)
		if next == due {
			next, a = r.begin(t, scouted)
		}
		if next == behindScout {
			waiting[a] = append(waiting[a], t)
		}
	}
	for a, tokens := range waiting {
		r.probes.Go(func() {
			r.awaitScout(a)
			r.dispatch(tokens, true)
		})
	}
}

// turn is what a token's turn in a round comes to.
type turn uint8

const (
	due         turn = iota // it is to be probed
	over                    // it was probed, is being probed, or is not to be probed now
	behindScout             // its account's first probe is still under way
)

// turn decides whether t is to be probed now, and notes why not. It also returns t's account.
func (r *round) turn(t *token, scouted bool) (turn, *account) {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	return r.decide(t, time.Now(), scouted), t.account
}

// decide is turn with the monitor's mutex held.
func (r *round) decide(t *token, now time.Time, scouted bool) turn {
	switch {
	case t.flight != nil:
		r.share(t.flight)
		return over
	case t.order > r.since: // another scrape has probed it since this one began
		return over
	case r.scraper.Err() != nil || r.m.ctx.Err() != nil: // nobody asks any more
		return over
	case t.secretErr != nil:
		r.m.finish(t, appfigures.Outcome{Result: appfigures.NoToken, Start: now, Message: t.secretErr.Error()})
		return over
	}
	if reason, ok := t.account.pacer.allow(now, t.urgency(), func() int { return t.kept(now) }); !ok {
		if reason == Budget {
			t.refused = now
		}
		t.skipped[reason]++
		return over
	}
	if t.tooSoon(now, r.setup.minInterval) {
		t.skipped[MinInterval]++
		return over
	}
	if t.account.scout != nil && !scouted {
		return behindScout
	}
	return due
}

// begin waits for a slot and starts the probe, unless t's turn has come to something else meanwhile.
func (r *round) begin(t *token, scouted bool) (turn, *account) {
	inTime := r.acquire()
	next, a := r.start(t, inTime, scouted)
	if inTime && next != due {
		r.release()
	}
	return next, a
}

// acquire waits for a slot. It returns false when the round may begin no more probes.
func (r *round) acquire() bool {
	closing := time.NewTimer(time.Until(r.closing))
	defer closing.Stop()
	select {
	case <-closing.C:
		return false
	default:
	}
	select {
	case r.setup.slots <- struct{}{}:
		return true
	case <-closing.C:
		return false
	case <-r.ctx.Done():
		return false
	case <-r.scraper.Done():
		return false
	}
}

func (r *round) release() { <-r.setup.slots }

// start starts t's probe if it is still its turn. The slot that inTime stands for is then the probe's.
func (r *round) start(t *token, inTime, scouted bool) (turn, *account) {
	m, now := r.m, time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	a := t.account
	next := r.decide(t, now, scouted)
	if next == due && !inTime {
		t.skipped[Deadline]++
		next = over
	}
	if next != due {
		return next, a
	}
	a.pacer.take(now)
	m.probes++
	f := &flight{done: make(chan struct{})}
	t.order, t.flight, t.asked, t.begun, t.refused = m.probes, f, t.secret, now, time.Time{}
	if a.pacer.limit == 0 && !a.heard && a.scout == nil {
		a.scout = f
	}
	secret := t.secret
	r.probes.Go(func() {
		defer r.release()
		outcome, err := r.session.Probe(r.ctx, secret)
		m.land(t, a, f, now, outcome, err)
	})
	return due, a
}

// awaitScout waits until the account's scout is back, or patience is over.
func (r *round) awaitScout(a *account) {
	r.m.mu.Lock()
	scout := a.scout
	r.m.mu.Unlock()
	if scout == nil {
		return
	}
	patience := time.NewTimer(time.Until(r.patient))
	defer patience.Stop()
	select {
	case <-scout.done:
	case <-patience.C:
	case <-r.ctx.Done():
	}
}

// share lets the round wait for a probe that another one began.
func (r *round) share(f *flight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shared = append(r.shared, f)
}

// land ends a probe that was taken from its account's budget at began.
func (m *Monitor) land(t *token, a *account, f *flight, began time.Time, outcome appfigures.Outcome, err error) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	defer close(f.done)
	t.flight = nil
	if a.scout == f {
		a.scout = nil
	}
	if err != nil { // cancelled: no result at all
		m.logger.Debug("Probe was given up", "token", t.Name, "err", err)
		return
	}
	a.heard = a.heard || outcome.Result.Answered()
	if !outcome.Sent {
		a.pacer.giveBack(began)
	}
	if outcome.Quota.LimitOK && a.pacer.report(now, outcome.Quota.Limit) && a.pacer.budget() == 0 {
		m.logger.Warn("Account cannot be probed: quota_share leaves no probe of the limit that the API reports; raise pacing.quota_share",
			"account", a.name, "limit", outcome.Quota.Limit, "quota_share", a.pacer.share)
	}
	if a.pacer.hold(began, now, outcome.Throttle) {
		m.logger.Warn("Account is not probed for a while: the API asked for a pause",
			"account", a.name, "http_status", outcome.HTTPStatus, "until", a.pacer.heldUntil.UTC().Format(time.RFC3339))
	}
	if !outcome.CertificateExpiry.IsZero() {
		m.certificateExpiry = outcome.CertificateExpiry
	}
	m.finish(t, outcome)
}

// finish records an outcome and logs a change of the token's state. m.mu is held.
func (m *Monitor) finish(t *token, outcome appfigures.Outcome) {
	before := "none"
	if t.probed {
		before = t.last.Result.String()
	}
	m.logger.Debug("Probe ended", "token", t.Name, "result", outcome.Result.String(), "duration", outcome.Duration)
	if !t.record(outcome, time.Now()) {
		return
	}
	level := slog.LevelWarn
	if outcome.Result == appfigures.Valid {
		level = slog.LevelInfo
	}
	m.logger.Log(context.Background(), level, "Token changed state", "token", t.Name, "account", t.Account,
		"from", before, "to", outcome.Result.String(), "http_status", outcome.HTTPStatus, "message", outcome.Message)
}
