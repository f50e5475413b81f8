package demo

import (
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// actor is one token of the demo.
type actor struct {
	name    string
	account string
	team    string        // its label
	expires time.Duration // after the demo's start; 0 for never
	missing bool          // its secret is nowhere to be found, and the API never hears of it
	phases  []phase
	does    string // for the banner: what happens to it, or, when nothing does, what it is
}

// phase is how a token behaves for a while.
type phase struct {
	behaviour simulator.Behaviour
	lasts     time.Duration // 0 for ever
}

// always is the only phase of a token that never changes.
func always(behaviour simulator.Behaviour) []phase { return []phase{{behaviour: behaviour}} }

// actors are all tokens, in the order of the configuration. Together they end in every result that a probe can have.
var actors = []actor{
	{name: "reporting", account: "acme", team: "growth", phases: always(simulator.Valid)},
	{name: "etl", account: "acme", team: "data", does: "works for 20 s, then is revoked for 60 s, over and over",
		phases: []phase{{simulator.Valid, 20 * time.Second}, {simulator.Revoked, 60 * time.Second}}},
	{name: "partner-feed", account: "acme", team: "partners", expires: 5 * 24 * time.Hour, does: "expires soon",
		phases: always(simulator.Valid)},
	{name: "warehouse", account: "acme", team: "data", does: "slow", phases: always(simulator.Slow)},
	{name: "nightly", account: "acme", team: "data", does: "works for 10 s, then gets 503 for 50 s: its verdict stands",
		phases: []phase{{simulator.Valid, 10 * time.Second}, {simulator.ServerError, 50 * time.Second}}},
	{name: "mobile-old", account: "acme", team: "mobile", does: "rejected", phases: always(simulator.Rejected)},
	{name: "intern", account: "acme", team: "growth", does: "forbidden", phases: always(simulator.Forbidden)},
	{name: "export", account: "acme", team: "data", does: "hangs", phases: always(simulator.Hang)},
	{name: "office", account: "acme", team: "growth", does: "proxy page", phases: always(simulator.ProxyPage)},
	{name: "vpn", account: "acme", team: "mobile", does: "cut off", phases: always(simulator.Drop)},
	{name: "forgotten", account: "acme", team: "partners", does: "no secret", missing: true},
	{name: "old-campaign", account: "lapsed", team: "growth", does: "locked", phases: always(simulator.Locked)},
	{name: "webhooks", account: "burst", team: "mobile", does: "works for 25 s, then gets 429 for 95 s, over and over",
		phases: []phase{{simulator.Valid, 25 * time.Second}, {simulator.SlowDown, 95 * time.Second}}},
	{name: "bulk-import", account: "crunch", team: "data", does: "works for 15 s, then no requests of the day are left: 420",
		phases: []phase{{simulator.Valid, 15 * time.Second}, {behaviour: simulator.DailyLimit}}},
	{name: "dashboards", account: "growth", team: "growth", does: "busy account", phases: always(simulator.Valid)},
	{name: "studio-ios", account: "studio", team: "mobile", does: "small quota: paced", phases: always(simulator.Valid)},
}

// customer is an account of the simulated API. Those not listed have [plenty] and no other programs.
type customer struct {
	account  string
	limit    int64 // requests a UTC day
	atStart  int64 // requests that other programs have made when the demo starts
	dayTotal int64 // requests that other programs make over a UTC day, evenly
}

// plenty is a daily limit under which a probe every few seconds is never paced, at the default share of a quarter.
const plenty = 1_000_000

var customers = []customer{
	{account: "growth", limit: 20_000, dayTotal: 14_400}, // one more every 6 s
	{account: "studio", limit: 1_000, dayTotal: 480},     // what the vendor grants; probes are soon paced
	{account: "crunch", limit: 1_000, atStart: 900},
}

const (
	slowDelay  = 1500 * time.Millisecond
	retryAfter = 30 * time.Second
	day        = 24 * time.Hour
)

// secret is the bearer token of the actor: no secret at all.
func (a actor) secret() string { return "pat_demo_" + a.name }

// at returns how the actor behaves when the demo has run for that long. Its phases repeat, unless one lasts for ever.
func (a actor) at(elapsed time.Duration) simulator.Behaviour {
	var cycle time.Duration
	for _, p := range a.phases {
		if p.lasts == 0 || elapsed < cycle+p.lasts {
			return p.behaviour
		}
		cycle += p.lasts
	}
	return a.at(elapsed % cycle)
}

// play is the scenario under way: what of it has been told to the API.
type play struct {
	api   *simulator.API
	start time.Time
	day   time.Time        // the UTC day of made
	made  map[string]int64 // requests of other programs on day, by account
}

// newPlay sets the stage: the scenario's tokens and accounts, as they are at the start.
func newPlay(api *simulator.API, start time.Time) *play {
	p := &play{api: api, start: start, made: map[string]int64{}}
	for _, a := range actors {
		if !a.missing {
			api.SetAccount(a.secret(), a.account)
		}
	}
	for _, c := range customers {
		api.SetLimit(c.account, c.limit)
		api.Use(c.account, c.atStart)
	}
	p.advance(start)
	return p
}

// advance brings the API to where the scenario is at now.
func (p *play) advance(now time.Time) {
	for _, a := range actors {
		if !a.missing {
			p.api.Set(a.secret(), a.at(now.Sub(p.start)))
		}
	}
	today := now.UTC().Truncate(day)
	if !today.Equal(p.day) {
		p.day = today
		clear(p.made)
	}
	for _, c := range customers {
		due := int64(float64(c.dayTotal) * float64(now.Sub(today)) / float64(day))
		if missing := due - p.made[c.account]; missing > 0 {
			p.api.Use(c.account, missing)
			p.made[c.account] = due
		}
	}
}
