package monitor

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// confirmAfter is the time between a first denial and the probe that confirms or clears it.
const confirmAfter = time.Second

// Scrape probes the named tokens whose turn it is, or all if there are no names, and returns their state. It returns
// when the probes have ended or ctx ends, whatever still hangs. Probes that it started run until they end or their
// timeout expires; the next scrape shows their results.
func (m *Monitor) Scrape(ctx context.Context, names ...string) Snapshot {
	done := make(chan struct{})
	go func() {
		m.scrape(ctx, names)
		close(done)
		m.saveResults()
	}()
	select {
	case <-done:
	case <-ctx.Done():
	case <-m.ctx.Done():
	}
	return m.Snapshot(names...)
}

// scrape is one scrape. When ctx ends, nobody waits for it any more; that ends none of its own probes.
func (m *Monitor) scrape(ctx context.Context, names []string) {
	candidates := m.readSecrets(names)
	own, shared := m.decide(candidates)
	if len(own) > 0 {
		m.save() // the counters and turns
	}
	for _, c := range own {
		go m.probe(c)
	}
	for _, c := range own {
		<-c.done
	}
	for _, c := range shared {
		select {
		case <-c.done:
		case <-ctx.Done():
		}
	}
}

// call is a probe that pacing has granted, and the confirmation that may follow it. Scrapes share it.
type call struct {
	candidate
	grant
	account *account // that its requests count for, also if a reload moves the token
	api     *api
	after   *call         // whose end it waits for; nil if it need not wait
	started time.Time     // when the request began that is under way; zero if none is
	done    chan struct{} // closed at its end
}

// decide takes requests for the candidates whose turn it is, and returns the calls of those that another scrape probes.
// Where extra turns do not suffice for all, secrets that were never sent come first, then tokens to look at again, then
// the rest. While today's use of an account is not known, its other requests wait for the first, which reports it.
func (m *Monitor) decide(candidates []candidate) (own, shared []*call) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.Now()
	slices.SortStableFunc(candidates, func(x, y candidate) int { return cmp.Compare(x.token.rank(), y.token.rank()) })
	for _, read := range candidates {
		t, a := read.token, read.token.account
		m.logHoldLocked(a, now)
		if t.call != nil {
			shared = append(shared, t.call)
			continue
		}
		if read.err != nil {
			m.recordLocked(t, grant{}, probe.Outcome{Result: probe.NoToken, Message: read.err.Error(), Start: now}, now)
			continue
		}
		c := &call{candidate: read, account: a, api: m.api, done: make(chan struct{})}
		if !m.takeLocked(c, now) {
			continue
		}
		if !a.useKnown(now) {
			if c.after = a.alone; c.after == nil {
				a.alone = c
			}
		}
		t.call = c
		m.probes.Add(1)
		own = append(own, c)
	}
	return own, shared
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

// takeLocked reports whether a request may be made now, and counts it. It may not if the monitor stops, or if its token
// has left the configuration or has another secret meanwhile.
func (m *Monitor) takeLocked(c *call, now time.Time) (ok bool) {
	if m.ctx.Err() != nil || !m.currentLocked(c.candidate) {
		return false
	}
	c.grant, ok = c.account.take(c.token, now)
	m.dirty = m.dirty || ok
	return ok
}

// currentLocked reports whether the token is still configured, and no other secret of it was read meanwhile.
func (m *Monitor) currentLocked(c candidate) bool {
	return m.byName[c.token.Name] == c.token && c.token.SecretDigest == c.digest
}

// probe makes a request. A first denial is confirmed or cleared by a second request, whether or not a scrape waits.
func (m *Monitor) probe(c *call) {
	defer m.probes.Done()
	if c.after != nil {
		<-c.after.done
	}
	if m.attempt(c) == firstDenial {
		select {
		case <-time.After(confirmAfter):
			m.probeAgain(c)
		case <-m.ctx.Done():
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	close(c.done)
	c.token.call = nil
	if c.account.alone == c {
		c.account.alone = nil
	}
}

// probeAgain makes a request a second time, if pacing grants it.
func (m *Monitor) probeAgain(c *call) {
	m.mu.Lock()
	granted := m.takeLocked(c, m.Now())
	m.mu.Unlock()
	if granted {
		m.save()
		m.attempt(c)
	}
}

// attempt waits for a slot, makes the request, and returns what its outcome changed.
func (m *Monitor) attempt(c *call) change {
	select {
	case c.api.slots <- struct{}{}:
		defer func() { <-c.api.slots }()
	case <-m.ctx.Done():
	}
	if !m.begin(c) {
		return noChange
	}
	outcome, err := c.api.prober.Probe(m.ctx, c.secret)
	return m.complete(c, outcome, err)
}

// begin reports whether the request may still be sent. It gives the request back and takes it again: while it waited, an
// answer may have held its account, or have changed its budget.
func (m *Monitor) begin(c *call) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dirty = true
	c.account.inFlight--
	c.account.giveBack(c.token, c.grant)
	c.started = time.Now()
	return m.takeLocked(c, m.Now())
}

// complete takes over how a request ended. One that a shutdown has canceled has no result.
func (m *Monitor) complete(c *call, o probe.Outcome, err error) change {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, a := m.Now(), c.account
	m.dirty = true
	c.started = time.Time{}
	a.inFlight--
	switch {
	case !o.Sent:
		a.giveBack(c.token, c.grant)
	case err != nil:
		c.restore(c.token)
	}
	if err != nil {
		return noChange
	}
	a.learn(o, now)
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
	if !m.currentLocked(c.candidate) { // the answer is about another secret than the present one
		return noChange
	}
	return m.recordLocked(c.token, c.grant, o, now)
}

// logLines says how each change of a token is logged.
var logLines = [...]struct {
	level   slog.Level
	message string
}{
	noChange:      {slog.LevelDebug, "Probe completed"},
	nowValid:      {slog.LevelInfo, "Token is valid"},
	nowDenied:     {slog.LevelWarn, "Token is denied"},
	firstDenial:   {slog.LevelInfo, "Token was denied; probing again to confirm"},
	oneOffDenial:  {slog.LevelInfo, "Token was denied only once; that changes no verdict"},
	newIndecision: {slog.LevelWarn, "Token could not be judged"},
}

// recordLocked takes over an outcome of t, and logs what it changed.
func (m *Monitor) recordLocked(t *token, g grant, o probe.Outcome, now time.Time) change {
	changed := t.account.record(t, g, o, now)
	m.dirty = m.dirty || changed != noChange
	args := []any{"token", t.Name, "account", t.account.Name, "result", o.Result.String()}
	if o.HTTPStatus != 0 {
		args = append(args, "http_status", o.HTTPStatus)
	}
	if o.Message != "" {
		args = append(args, "reason", o.Message)
	}
	m.Logger.Log(m.ctx, logLines[changed].level, logLines[changed].message, args...)
	return changed
}

// logHoldLocked logs when probes of an account begin to be held, or resume.
func (m *Monitor) logHoldLocked(a *account, now time.Time) {
	a.rollOver(now)
	reason, until := a.heldBy(now)
	switch {
	case reason == a.logged:
	case reason == NotHeld:
		m.Logger.Info("Probes of the account are no longer held", "account", a.Name)
	default:
		m.Logger.Warn("Probes of the account are held", "account", a.Name, "reason", reason, "until", until.UTC())
	}
	a.logged = reason
}
