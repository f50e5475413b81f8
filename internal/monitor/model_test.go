package monitor

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/state"
)

// model is the rules of pacing.go written down a second time, as briefly as possible: without reasons of denials,
// secrets, holds and requests that never left. Times are nanoseconds since 1970.
type model struct {
	minInterval, budget, extra           int64
	reserve, madeUp                      bool // madeUp: the last request was taken for an answer that was missed
	day, used, extraUsed, started, count int64
	tokens                               []modelToken
}

type modelToken struct {
	turn, last                       int64
	sent, again, missed, unconfirmed bool
	verdict                          probe.Verdict
}

func (m *model) configure(count int, now int64) {
	m.count = int64(count)
	m.tokens = m.tokens[:min(count, len(m.tokens))]
	known := len(m.tokens)
	for i := known; i < count; i++ {
		x := m.interval()
		m.tokens = append(m.tokens, modelToken{turn: now + x/m.count*int64(i-known+1) - x})
	}
}

func (m *model) interval() int64 {
	x := max(m.minInterval, m.count*int64(day)/max(1, m.budget-m.extra))
	if m.reserve {
		x = max(x, m.count*int64(time.Hour))
	}
	return x
}

func (m *model) take(i int, t int64) bool {
	if t/int64(day) != m.day {
		m.day, m.used, m.extraUsed = t/int64(day), 0, 0
	}
	tok, x := &m.tokens[i], m.interval()
	tok.last = min(tok.last, t)
	fresh := t-m.started < int64(10*time.Minute) && t-tok.last >= int64(10*time.Second) && 2*m.extraUsed < m.extra
	news := !m.reserve && m.extraUsed < m.extra && (!tok.sent || tok.again || fresh)
	tok.turn = min(tok.turn, t)
	due := t >= tok.turn+x
	if m.reserve {
		place := x / m.count * int64(i)
		due = t >= time.Unix(0, tok.last-place).Truncate(time.Duration(x)).UnixNano()+x+place
	}
	if m.used >= m.budget || !due && !news {
		return false
	}
	m.used++
	if turns := (t - tok.turn) / x; turns > 0 {
		tok.turn += turns * x
	} else {
		m.extraUsed++
	}
	m.madeUp = tok.missed && tok.again
	tok.sent, tok.again, tok.missed, tok.last = true, false, false, t
	return true
}

func (m *model) record(i int, answer probe.Verdict) {
	tok := &m.tokens[i]
	if answer == probe.VerdictUnknown {
		tok.missed = !m.madeUp
		return
	}
	for j := range m.tokens {
		m.tokens[j].again = m.tokens[j].again || m.tokens[j].missed
	}
	switch {
	case answer == probe.VerdictValid || tok.verdict == probe.VerdictDenied:
		tok.verdict, tok.unconfirmed = answer, false
	case !tok.unconfirmed:
		tok.unconfirmed, tok.again = true, true
	default:
		tok.verdict, tok.unconfirmed = probe.VerdictDenied, false
		for j := range m.tokens {
			m.tokens[j].again = m.tokens[j].again || m.tokens[j].verdict != probe.VerdictDenied
		}
	}
}

// TestModel runs random histories through pacing.go and through the model, and compares every decision.
func TestModel(t *testing.T) {
	results := []probe.Result{probe.ServerError, probe.Valid, probe.Rejected}
	withSeeds(t, 50, func(t *testing.T, r *rand.Rand) {
		now := int64(946684800e9) + r.Int64N(int64(day))
		m := &model{minInterval: int64(r.IntN(2)) * r.Int64N(int64(time.Hour)), started: now}
		a := &account{started: time.Unix(0, now)}
		// The budget is a share of a limit so large that it is never reached; half of it is the reserve.
		const limit = 1_000_000
		a.Limit, a.settings = limit, config.Pacing{MinInterval: time.Duration(m.minInterval)}
		changeBudget := func() {
			share := r.Int64N(1 << r.IntN(11))
			a.settings.QuotaShare = float64(share) / limit
			m.budget = max(1, share)
			m.extra = (m.budget + 4) / 5
		}
		changeTokens := func() {
			known, count := len(a.tokens), 1+r.IntN(30)
			m.configure(count, now)
			a.tokens = a.tokens[:min(count, known)]
			for len(a.tokens) < count {
				a.tokens = append(a.tokens, &token{place: len(a.tokens), Turns: state.Turns{Requested: time.Unix(0, 0)}})
			}
			for i := known; i < count; i++ {
				a.tokens[i].LastTurn = a.initialLastTurn(i-known, time.Unix(0, now))
			}
		}
		changeBudget()
		changeTokens()
		truth := slices.Repeat([]probe.Result{probe.Valid}, 30)
		for step := range 3000 {
			now += 1 + r.Int64N(int64(time.Minute)<<r.IntN(5))
			switch r.IntN(100) {
			case 0:
				changeBudget()
			case 1:
				changeTokens()
				m.started, a.started = now, time.Unix(0, now)
			case 2:
				m.reserve = !m.reserve
				a.Report.Since, a.settings.Reserve = 0, 0.5-a.settings.Reserve
			case 3:
				now -= r.Int64N(2 * int64(day)) // the clock is set back
			case 4, 5:
				truth[r.IntN(len(a.tokens))] = results[r.IntN(3)]
			}
			a.Report.Used, a.Report.Until = 6*limit/10, time.Unix(0, now).Add(day)
			for i := range a.tokens {
				differ := tryModel(a, m, i, now, truth[i])
				if differ == "" && m.tokens[i].unconfirmed {
					differ = tryModel(a, m, i, now+int64(time.Second), truth[i])
				}
				if differ != "" {
					t.Fatalf("step %d, token %d of %d: %s", step, i, len(a.tokens), differ)
				}
			}
		}
	})
}

// tryModel lets both decide about one request, and both record its answer. It returns how they differ.
func tryModel(a *account, m *model, i int, now int64, result probe.Result) string {
	at, tok := time.Unix(0, now).UTC(), a.tokens[i]
	want := m.take(i, now)
	g, got := a.take(tok, at)
	if got != want {
		return fmt.Sprintf("take = %v, the model says %v", got, want)
	}
	if got {
		a.inFlight--
		a.record(tok, g, probe.Outcome{Result: result, Sent: true, Start: at}, at)
		m.record(i, result.Verdict())
	}
	known := modelToken{
		turn: tok.LastTurn.UnixNano(), last: tok.Requested.UnixNano(), sent: tok.SecretTried, again: tok.LookAgain,
		missed: tok.Missed, unconfirmed: tok.Pending != probe.Valid, verdict: tok.Verdict,
	}
	if known != m.tokens[i] || a.Used != m.used || a.ExtraUsed != m.extraUsed {
		return fmt.Sprintf("%+v, used %d, extra %d; the model says %+v, %d, %d",
			known, a.Used, a.ExtraUsed, m.tokens[i], m.used, m.extraUsed)
	}
	return ""
}
