package monitor

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// confirmAfter is the time between a first denial and the probe that confirms or clears it.
const confirmAfter = time.Second

// Scrape probes the named tokens whose turn it is, or all if there are no names, and returns their state. It returns
// when the probes have ended, at the deadline, or when ctx ends, whatever still hangs. Probes that it started run until
// they end or their timeout expires; the next scrape shows their results. A zero deadline is none.
func (m *Monitor) Scrape(ctx context.Context, deadline time.Time, names ...string) Snapshot {
	if !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
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

// scrape reads the secrets, decides whom to probe, probes, and saves the results, also those that nobody waits for. ctx
// ends when nobody waits for the scrape any more; it ends no probe.
func (m *Monitor) scrape(ctx context.Context, names []string) {
	candidates := m.readSecrets(names)
	p := m.decide(candidates)
	m.start(p.requests).Wait()
	var others sync.WaitGroup
	for _, rest := range p.postponed {
		others.Go(func() {
			<-rest.first.done
			m.start(m.decidePostponed(rest)).Wait()
		})
	}
	others.Wait()
	m.saveSoon()
	for _, c := range p.shared {
		select {
		case <-c.done:
		case <-ctx.Done():
		}
	}
}

// plan is what a scrape does about its tokens.
type plan struct {
	requests  []*request
	shared    []*call // of tokens that another scrape probes
	postponed []*postponed
}

// request is a probe that pacing has granted.
type request struct {
	grant
	candidate
	account *account // that the request counts for, also if a reload moves the token
	api     *api
}

// call is a probe under way, and the confirmation that may follow it. Scrapes share it.
type call struct {
	done    chan struct{} // closed at its end
	started time.Time     // when its last request began; zero before
}

// postponed are candidates of an account whose use of today is not known. They wait for the first probe of the account,
// which reports its use, and share its call meanwhile.
type postponed struct {
	first      *call
	candidates []candidate
}

// decide takes requests for the candidates whose turn it is. Where extra turns do not suffice for all, secrets that
// were never sent come first, then tokens to look at again, then the rest. An account whose use of today is not known
// gets one request; its other candidates are postponed.
func (m *Monitor) decide(candidates []candidate) plan {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	var p plan
	ready := m.readyLocked(candidates, &p, now)
	slices.SortStableFunc(ready, func(x, y candidate) int { return cmp.Compare(x.token.rank(), y.token.rank()) })
	rest := make(map[*account]*postponed)
	for _, c := range ready {
		a := c.token.account
		if first := a.underWay(); first != nil && !a.useKnown(now) {
			if rest[a] == nil {
				rest[a] = &postponed{first: first}
				p.postponed = append(p.postponed, rest[a])
			}
			c.token.call = first
			rest[a].candidates = append(rest[a].candidates, c)
		} else if r := m.takeLocked(c, now); r != nil {
			c.token.call = &call{done: make(chan struct{})}
			p.requests = append(p.requests, r)
		}
	}
	return p
}

// readyLocked returns the candidates for pacing: those that no other scrape probes, and whose secret could be read.
func (m *Monitor) readyLocked(candidates []candidate, p *plan, now time.Time) (ready []candidate) {
	for _, c := range candidates {
		t := c.token
		if m.byName[t.Name] != t { // removed by a reload
			continue
		}
		if c.err == nil && t.useSecret(c.digest, now) {
			m.dirty = true
		}
		switch {
		case t.call != nil:
			p.shared = append(p.shared, t.call)
		case c.err != nil:
			m.recordLocked(t, probe.Outcome{Result: probe.NoToken, Message: c.err.Error(), Start: now}, now)
		default:
			ready = append(ready, c)
		}
	}
	return ready
}

// decidePostponed takes requests for postponed candidates, whatever the first probe of their account has found out.
func (m *Monitor) decidePostponed(rest *postponed) (requests []*request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range rest.candidates {
		if c.token.call != rest.first {
			continue
		}
		c.token.call = nil
		if r := m.takeLocked(c, m.now()); r != nil {
			c.token.call = &call{done: make(chan struct{})}
			requests = append(requests, r)
		}
	}
	return requests
}

// rank orders the tokens that compete for extra turns.
func (t *token) rank() int {
	switch {
	case !t.Sent:
		return 0
	case t.LookAgain:
		return 1
	default:
		return 2
	}
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

// takeLocked returns a request for a candidate if pacing grants one now, else nil.
func (m *Monitor) takeLocked(c candidate, now time.Time) *request {
	if !m.currentLocked(c) {
		return nil
	}
	grant, ok := c.token.account.take(c.token, now)
	if !ok {
		return nil
	}
	m.dirty = true
	return &request{grant, c, c.token.account, m.api}
}

// currentLocked reports whether the token is still configured, and no other secret of it was read meanwhile.
func (m *Monitor) currentLocked(c candidate) bool {
	return m.byName[c.token.Name] == c.token && c.token.SecretDigest == c.digest
}

// start makes requests, all at the same time, once the counters and turns are on disk. The result waits for their end.
func (m *Monitor) start(requests []*request) *sync.WaitGroup {
	var probes sync.WaitGroup
	if len(requests) > 0 {
		m.save()
	}
	for _, r := range requests {
		probes.Go(func() { m.probe(r) })
	}
	return &probes
}

// probe makes a request. A first denial is confirmed or cleared by a second request, whether or not a scrape waits.
func (m *Monitor) probe(r *request) {
	if m.attempt(r) == firstDenial {
		select {
		case <-time.After(confirmAfter):
			m.confirm(r.candidate)
		case <-m.ctx.Done():
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	close(r.token.call.done)
	r.token.call = nil
}

// confirm makes a second request, if pacing grants one.
func (m *Monitor) confirm(c candidate) {
	m.mu.Lock()
	second := m.takeLocked(c, m.now())
	m.mu.Unlock()
	if second != nil {
		m.save()
		m.attempt(second)
	}
}

// attempt waits for a slot, makes the request, and returns what its outcome changed. The request is given back if an
// answer has stopped its account meanwhile.
func (m *Monitor) attempt(r *request) change {
	select {
	case r.api.slots <- struct{}{}:
		defer func() { <-r.api.slots }()
	case <-m.ctx.Done():
	}
	if !m.begin(r) {
		return noChange
	}
	outcome, err := r.api.prober.Probe(m.ctx, r.secret)
	return m.complete(r, outcome, err)
}

// begin reports whether the request may be sent; if not, it gives it back.
func (m *Monitor) begin(r *request) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil || r.account.mustWait(m.now()) || !m.currentLocked(r.candidate) {
		r.account.inFlight--
		r.account.giveBack(r.token, r.grant)
		m.dirty = true
		return false
	}
	r.token.call.started = time.Now()
	return true
}

// complete takes over how a request ended. What a shutdown has canceled is no result.
func (m *Monitor) complete(r *request, o probe.Outcome, err error) change {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, a := m.now(), r.account
	m.dirty = true
	a.inFlight--
	if err != nil {
		r.keepNews(r.token)
		return noChange
	}
	if !o.Sent {
		a.giveBack(r.token, r.grant)
	}
	a.learn(o, now)
	m.logHoldLocked(a, now)
	if !o.CertificateExpiry.IsZero() {
		m.certificateExpiry = o.CertificateExpiry
	}
	switch {
	case o.Result.Answered():
		a.answers.Observe(o.Duration.Seconds())
		m.unanswered = Unanswered{}
	case m.unanswered.Probes == 0:
		m.unanswered = Unanswered{1, o.Start}
	default:
		m.unanswered.Probes++
	}
	if !m.currentLocked(r.candidate) { // the answer is about another secret than the present one
		return noChange
	}
	return m.recordLocked(r.token, o, now)
}

// recordLocked takes over an outcome of t, and logs what it changed. The first valid answer is logged at debug level.
func (m *Monitor) recordLocked(t *token, o probe.Outcome, now time.Time) change {
	before := t.TokenState
	changed := t.account.record(t, o, now)
	m.dirty = m.dirty || changed != noChange
	level, message := slog.LevelDebug, "Probe completed"
	switch {
	case changed == newVerdict && t.Verdict == probe.VerdictDenied:
		level, message = slog.LevelWarn, "Token is denied"
	case changed == oneOffDenial:
		level, message = slog.LevelInfo, "Token was denied only once; that changes no verdict"
	case changed == newVerdict:
		message = "Token is valid"
		if before.Verdict != probe.VerdictUnknown || before.Unconfirmed {
			level = slog.LevelInfo
		}
	case changed == firstDenial:
		level, message = slog.LevelInfo, "Token was denied; probing again to confirm"
	case changed == newIndecision:
		level, message = slog.LevelWarn, "Token could not be judged"
	}
	args := []any{"token", t.Name, "account", t.account.Name, "result", o.Result.String()}
	if o.HTTPStatus != 0 {
		args = append(args, "http_status", o.HTTPStatus)
	}
	if o.Message != "" {
		args = append(args, "reason", o.Message)
	}
	m.Logger.Log(context.Background(), level, message, args...)
	return changed
}

// logHoldLocked logs when probes of an account begin to be held, or resume.
func (m *Monitor) logHoldLocked(a *account, now time.Time) {
	switch reason, until := a.heldBy(now); {
	case reason == a.logged:
		return
	case reason == NotHeld:
		m.Logger.Info("Probes of the account are no longer held", "account", a.Name)
	default:
		m.Logger.Warn("Probes of the account are held", "account", a.Name,
			"reason", reason.String(), "until", until.UTC())
	}
	a.logged, _ = a.heldBy(now)
}
