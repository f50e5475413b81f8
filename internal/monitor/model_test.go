package monitor

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// model is the rules of pacing.go written down a second time, as briefly as possible: without reasons of denials,
// secrets, holds and requests that never left. Times are nanoseconds since 1970.
type model struct {
	minInterval, budget, extra, routine int64
	reserve                             bool
	day, used, extraUsed, started       int64
	turn, last                          []int64
	sent, unconfirmed, again, missed    []bool
	madeUp                              bool // the last request was taken because of an answer that was missed
	verdict                             []probe.Verdict
}

const (
	dayNs   = int64(24 * time.Hour)
	longAgo = -1 << 60
)

func (m *model) limitTo(budget int64) {
	m.budget = max(1, budget)
	m.extra = (m.budget + 4) / 5
	m.routine = max(1, m.budget-m.extra)
}

func (m *model) configure(tokens int, now int64) {
	keep := min(tokens, len(m.turn))
	m.turn, m.last = m.turn[:keep], m.last[:keep]
	m.sent, m.unconfirmed, m.again, m.verdict = m.sent[:keep], m.unconfirmed[:keep], m.again[:keep], m.verdict[:keep]
	m.missed = m.missed[:keep]
	for i := keep; i < tokens; i++ {
		m.turn, m.last = append(m.turn, 0), append(m.last, longAgo)
		m.sent, m.unconfirmed, m.again = append(m.sent, false), append(m.unconfirmed, false), append(m.again, false)
		m.verdict, m.missed = append(m.verdict, probe.VerdictUnknown), append(m.missed, false)
		x := m.intervalOf(tokens)
		m.turn[i] = now + x*int64(i+1)/int64(tokens) - x
	}
}

func (m *model) intervalOf(tokens int) int64 {
	x := max(m.minInterval, int64(tokens)*dayNs/m.routine)
	if m.reserve {
		x = max(x, int64(tokens)*int64(time.Hour))
	}
	return x
}

func (m *model) take(i int, t int64) bool {
	if t/dayNs != m.day {
		m.day, m.used, m.extraUsed = t/dayNs, 0, 0
	}
	x := m.intervalOf(len(m.turn))
	fresh := t-m.started < int64(10*time.Minute) && t-m.last[i] >= int64(10*time.Second) && 2*m.extraUsed < m.extra
	news := !m.reserve && m.extraUsed < m.extra && (!m.sent[i] || m.again[i] || fresh)
	m.turn[i] = min(m.turn[i], t)
	due := t >= m.turn[i]+x
	if m.used >= m.budget || !due && !news {
		return false
	}
	m.used++
	if due {
		m.turn[i] += x * max(1, (t-m.turn[i])/x)
	} else {
		m.extraUsed++
	}
	m.madeUp = m.missed[i] && m.again[i]
	m.sent[i], m.again[i], m.missed[i], m.last[i] = true, false, false, t
	return true
}

func (m *model) record(i int, answer probe.Verdict) {
	if m.missed[i] = answer == probe.VerdictUnknown && !m.madeUp; answer == probe.VerdictUnknown {
		return
	}
	m.again[i] = false
	for j := range m.again {
		m.again[j] = m.again[j] || m.missed[j]
	}
	switch {
	case answer == probe.VerdictValid || m.verdict[i] == probe.VerdictDenied:
		m.verdict[i], m.unconfirmed[i] = answer, false
	case !m.unconfirmed[i]:
		m.unconfirmed[i], m.again[i] = true, true
	default:
		m.verdict[i], m.unconfirmed[i] = probe.VerdictDenied, false
		for j := range m.again {
			m.again[j] = m.again[j] || m.verdict[j] != probe.VerdictDenied
		}
	}
}

// TestModel runs random histories through pacing.go and through the model, and compares every decision.
func TestModel(t *testing.T) {
	answers := []probe.Verdict{probe.VerdictUnknown, probe.VerdictValid, probe.VerdictDenied}
	results := map[probe.Verdict]probe.Result{
		probe.VerdictUnknown: probe.ServerError, probe.VerdictValid: probe.Valid, probe.VerdictDenied: probe.Rejected,
	}
	histories := 50
	if testing.Short() {
		histories = 10
	}
	for range histories {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			now := int64(946684800e9) + r.Int64N(dayNs)
			m := &model{minInterval: int64(r.IntN(2)) * r.Int64N(int64(time.Hour)), started: now}
			a := &account{started: time.Unix(0, now)}
			// The budget is a share of a limit so large that it is never reached; half of it is the reserve.
			const limit = 1_000_000
			a.Limit, a.settings = limit, config.Pacing{MinInterval: time.Duration(m.minInterval)}
			limitTo := func(budget int64) {
				m.limitTo(budget)
				a.settings.QuotaShare = float64(budget) / limit
			}
			configure := func(tokens int) {
				m.configure(tokens, now)
				known := min(tokens, len(a.tokens))
				a.tokens = a.tokens[:known]
				for range tokens - known {
					a.tokens = append(a.tokens, new(token))
				}
				for i := known; i < tokens; i++ {
					a.tokens[i].LastTurn = a.initialLastTurn(i, time.Unix(0, now))
				}
			}
			reserve := func(on bool) {
				m.reserve = on
				a.Report.Since, a.settings.Reserve = 0, 0
				if on {
					a.settings.Reserve = 0.5
				}
			}
			limitTo(1 + r.Int64N(1<<r.IntN(11)))
			configure(1 + r.IntN(30))
			truth := make([]probe.Verdict, 100)
			for i := range truth {
				truth[i] = probe.VerdictValid
			}
			granted := 0
			for step := range 3000 {
				now += 1 + r.Int64N(int64(time.Minute)<<r.IntN(5))
				switch r.IntN(100) {
				case 0:
					limitTo(1 + r.Int64N(1<<r.IntN(11)))
				case 1:
					configure(1 + r.IntN(30))
					m.started, a.started = now, time.Unix(0, now)
				case 2:
					reserve(!m.reserve)
				case 3:
					now -= r.Int64N(2 * dayNs) // the clock is set back
				case 4, 5:
					truth[r.IntN(len(a.tokens))] = answers[r.IntN(3)]
				}
				a.Report.Used, a.Report.Until = 6*limit/10, time.Unix(0, now).Add(day)
				for i := range a.tokens {
					got := tryModel(a, m, i, now, results[truth[i]], truth[i])
					if got == "" && m.unconfirmed[i] {
						got = tryModel(a, m, i, now+int64(time.Second), results[truth[i]], truth[i])
					}
					if got != "" {
						t.Fatalf("step %d, token %d of %d: %s", step, i, len(a.tokens), got)
					}
				}
				granted += int(m.used)
			}
			if granted == 0 {
				t.Error("no request was granted")
			}
		})
	}
}

// tryModel lets both decide about one request, and both record its answer. It returns how they differ.
func tryModel(a *account, m *model, i int, now int64, result probe.Result, answer probe.Verdict) string {
	at, tok := time.Unix(0, now).UTC(), a.tokens[i]
	want := m.take(i, now)
	g, got := a.take(tok, at)
	if got != want {
		return fmt.Sprintf("take = %v, the model says %v", got, want)
	}
	if got {
		a.inFlight--
		a.record(tok, g, probe.Outcome{Result: result, Sent: true, Start: at}, at)
		m.record(i, answer)
	}
	switch {
	case tok.Verdict != m.verdict[i], (tok.Pending != probe.Valid) != m.unconfirmed[i],
		tok.LookAgain != m.again[i], tok.Missed != m.missed[i]:
		return fmt.Sprintf("verdict %v, pending %v, look again %v, missed %v; the model says %v, %v, %v, %v",
			tok.Verdict, tok.Pending, tok.LookAgain, tok.Missed, m.verdict[i], m.unconfirmed[i], m.again[i], m.missed[i])
	case a.Used != m.used || a.ExtraUsed != m.extraUsed || tok.LastTurn.UnixNano() != m.turn[i]:
		return fmt.Sprintf("used %d, extra %d, last turn %d; the model says %d, %d, %d",
			a.Used, a.ExtraUsed, tok.LastTurn.UnixNano(), m.used, m.extraUsed, m.turn[i])
	}
	return ""
}
