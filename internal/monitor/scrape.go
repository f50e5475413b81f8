package monitor

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

const confirmAfter = time.Second // from a first denial to the request that confirms or clears it

// Scrape probes the named tokens whose turn it is, or all if there are no names, and returns their state. It returns
// when the probes have ended, or at once when ctx ends or the monitor is closed. Probes that it started run until they
// end or their timeout expires; the next scrape shows their results.
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
	own, shared := m.decide(m.readSecrets(names))
	if len(own) > 0 {
		m.save() // the counters and turns
	}
	for _, c := range own {
		go m.run(c)
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

// call is one token in one scrape: its secret, and, once pacing has granted it, its request and the second one that may
// confirm a denial. Overlapping scrapes share a granted call.
type call struct {
	token  *token
	secret config.Secret
	digest string // of secret
	err    error  // why the secret cannot be read; then both are empty

	grant                 // what pacing has granted
	account *account      // that its requests count for, also if a reload moves the token
	after   *call         // whose end it waits for; nil if it need not wait
	done    chan struct{} // closed at its end
}

// grant is what a request has taken from its account and token.
type grant struct {
	day    time.Time
	extra  bool
	before state.Turns // of the token
}

// decide takes requests for the tokens whose turn it is, and returns their calls, and those that other scrapes have made.
// Where extra turns do not suffice for all, secrets that were never sent come first, then tokens to look at again, then
// the rest. While today's use of an account is not known, its other calls wait for the end of the first.
func (m *Monitor) decide(calls []*call) (own, shared []*call) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.Now()
	slices.SortStableFunc(calls, func(x, y *call) int { return cmp.Compare(x.token.rank(), y.token.rank()) })
	for _, c := range calls {
		t, a := c.token, c.token.account
		c.account = a
		switch {
		case t.call != nil:
			shared = append(shared, t.call)
		case c.err != nil:
			m.recordLocked(c, probe.Outcome{Result: probe.NoToken, Message: c.err.Error(), Start: now}, now)
		case m.takeLocked(c, now):
			if !a.useKnown(now) {
				if c.after = a.alone; c.after == nil {
					a.alone = c
				}
			}
			t.call, c.done = c, make(chan struct{})
			m.calls.Add(1)
			own = append(own, c)
		}
	}
	return own, shared
}

// rank orders the tokens that compete for extra turns.
func (t *token) rank() int {
	switch {
	case !t.SecretTried:
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
	if m.ctx.Err() != nil || !m.currentLocked(c) {
		return false
	}
	c.grant, ok = c.account.take(c.token, now)
	m.dirty = m.dirty || ok
	return ok
}

// currentLocked reports whether the token is still configured, and no other secret of it was read meanwhile.
func (m *Monitor) currentLocked(c *call) bool {
	return m.byName[c.token.Name] == c.token && c.token.secretDigest == c.digest
}

// run makes the request of a call and, after a first denial, the second one if pacing allows, whether or not a scrape
// waits.
func (m *Monitor) run(c *call) {
	defer m.calls.Done()
	if c.after != nil {
		<-c.after.done
	}
	if m.attempt(c) == firstDenial {
		select {
		case <-time.After(confirmAfter):
		case <-m.ctx.Done():
		}
		m.mu.Lock()
		granted := m.takeLocked(c, m.Now())
		m.mu.Unlock()
		if granted {
			m.save()
			m.attempt(c)
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

// attempt waits for a slot, makes the request, and returns what its outcome changed.
func (m *Monitor) attempt(c *call) change {
	m.mu.Lock()
	prober, slots := m.prober, m.slots
	m.mu.Unlock()
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-m.ctx.Done():
	}
	if !m.begin(c) {
		return noChange
	}
	outcome, err := prober.Probe(m.ctx, c.secret)
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
	return m.takeLocked(c, m.Now())
}

// complete takes over how a request ended. One that a shutdown has canceled has no result.
func (m *Monitor) complete(c *call, o probe.Outcome, err error) change {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, a := m.Now(), c.account
	m.dirty = true
	a.inFlight--
	if !o.Sent {
		a.giveBack(c.token, c.grant)
	}
	if err != nil {
		return noChange
	}
	wasHeld := now.Before(a.Hold.Until)
	a.learn(o, now)
	if until := a.Hold.Until; !wasHeld && now.Before(until) {
		m.Logger.Warn("Probes of the account are held", "account", a.Name, "reason", a.Hold.Reason, "until", until.UTC())
	}
	if !o.CertificateExpiry.IsZero() {
		m.certificateExpiry = o.CertificateExpiry
	}
	if o.Result.Answered() {
		a.answers.Observe(o.Duration.Seconds())
		m.unanswered = state.Unanswered{}
	} else {
		m.unanswered = state.Unanswered{Probes: m.unanswered.Probes + 1, Since: cmp.Or(m.unanswered.Since, o.Start)}
	}
	if !m.currentLocked(c) { // the answer is about another secret than the present one
		return noChange
	}
	return m.recordLocked(c, o, now)
}

// giveBack takes back a request that was not sent. Meanwhile the token may have got more news, or another secret.
func (a *account) giveBack(t *token, g grant) {
	a.Report.Since--
	if g.day.Equal(a.Day) {
		a.Used--
		if g.extra {
			a.ExtraUsed--
		}
	}
	t.LastTurn, t.Requested = g.before.LastTurn, g.before.Requested
	t.SecretTried = t.SecretTried && g.before.SecretTried
	t.LookAgain = t.LookAgain || g.before.LookAgain
	t.Missed = g.before.Missed
}

// recordLocked takes over an outcome, and logs what it changed.
func (m *Monitor) recordLocked(c *call, o probe.Outcome, now time.Time) change {
	t := c.token
	changed := t.account.record(t, c.grant, o, now)
	m.dirty = m.dirty || changed != noChange
	m.Logger.Log(m.ctx, changed.level, changed.message, "token", t.Name, "account", t.account.Name,
		"result", o.Result.String(), "http_status", o.HTTPStatus, "message", o.Message)
	return changed
}
