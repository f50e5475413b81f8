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
	expires time.Duration // after the demo's start; 0: never
	missing bool          // its source is not there, and the API does not know it
	phases  []phase
	does    string // for the banner
}

// phase is a token's behavior for some time.
type phase struct {
	behavior simulator.Behavior
	lasts    time.Duration // 0: for ever
}

// always returns the phases of a token that never changes.
func always(behavior simulator.Behavior) []phase { return []phase{{behavior: behavior}} }

// actors lists all tokens, in the order of the configuration. Together they have every result of a probe and every
// state of a token.
var actors = []actor{
	{name: "reporting", account: "acme", team: "growth", phases: always(simulator.Valid)},
	{name: "etl", account: "acme", team: "data", does: "valid for 20 s, then revoked for 60 s, again and again",
		phases: []phase{{simulator.Valid, 20 * time.Second}, {simulator.Revoked, 60 * time.Second}}},
	{name: "partner-feed", account: "acme", team: "partners", expires: 5*day + day/2, does: "expires soon",
		phases: always(simulator.Valid)},
	{name: "warehouse", account: "acme", team: "data", does: "slow", phases: always(simulator.Slow)},
	{name: "nightly", account: "acme", team: "data", does: "gets 503 for 50 s of each minute; stays valid",
		phases: []phase{{simulator.Valid, 10 * time.Second}, {simulator.ServerError, 50 * time.Second}}},
	{name: "backup", account: "acme", team: "data", does: "is denied once per 30 s, not twice; stays valid",
		phases: []phase{{simulator.Valid, 15 * time.Second}, {simulator.RevokedOnce, 15 * time.Second}}},
	{name: "mobile-old", account: "acme", team: "mobile", does: "rejected", phases: always(simulator.Rejected)},
	{name: "intern", account: "acme", team: "growth", does: "forbidden", phases: always(simulator.Forbidden)},
	{name: "export", account: "acme", team: "data", does: "timeout", phases: always(simulator.Hang)},
	{name: "office", account: "acme", team: "growth", does: "a proxy's page", phases: always(simulator.ProxyPage)},
	{name: "vpn", account: "acme", team: "mobile", does: "unreachable", phases: always(simulator.Drop)},
	{name: "forgotten", account: "acme", team: "partners", does: "no token to read", missing: true},
	{name: "old-campaign", account: "lapsed", team: "growth", does: "account locked", phases: always(simulator.Locked)},
	{name: "webhooks", account: "burst", team: "mobile", does: "valid for 25 s, then gets 429 for 95 s, again and again",
		phases: []phase{{simulator.Valid, 25 * time.Second}, {simulator.SlowDown, 95 * time.Second}}},
	{name: "bulk-import", account: "crunch", team: "data", does: "quota nearly used; used up after a minute: 420",
		phases: []phase{{simulator.Valid, time.Minute}, {behavior: simulator.DailyLimit}}},
	{name: "dashboards", account: "growth", team: "growth", does: "busy account", phases: always(simulator.Valid)},
	{name: "studio-ios", account: "studio", team: "mobile", does: "1,000 requests per day, so rarely probed",
		phases: always(simulator.Valid)},
}

// customer is an account of the simulated API.
type customer struct {
	account  string
	limit    int64 // requests per UTC day
	atStart  int64 // requests that other programs have made when the demo starts
	dayTotal int64 // requests that other programs make per UTC day, evenly
}

// plenty is a daily limit at which a quarter of it probes ten tokens every few seconds.
const plenty = 1_000_000

// customers lists the accounts of all actors. Other programs use each account, so that its quota shows more requests
// than its budget.
var customers = []customer{
	{account: "acme", limit: plenty, dayTotal: 240_000},
	{account: "lapsed", limit: plenty, dayTotal: 12_000},
	{account: "burst", limit: plenty, dayTotal: 360_000},
	{account: "crunch", limit: 200_000, atStart: 183_000}, // a warning, but not yet in the reserve
	{account: "growth", limit: 20_000, dayTotal: 12_000},
	{account: "studio", limit: 1_000, dayTotal: 480}, // the API's default limit
}

const (
	slowDelay  = 1500 * time.Millisecond
	retryAfter = 30 * time.Second
	day        = 24 * time.Hour
)

// secret returns the bearer token of the actor, which is not secret.
func (a actor) secret() string { return "pat_demo_" + a.name }

// at returns the actor's behavior after the demo has run for elapsed. Phases repeat unless one lasts for ever.
func (a actor) at(elapsed time.Duration) simulator.Behavior {
	var cycle time.Duration
	for _, p := range a.phases {
		if p.lasts == 0 || elapsed < cycle+p.lasts {
			return p.behavior
		}
		cycle += p.lasts
	}
	return a.at(elapsed % cycle)
}

// scenario changes the simulated API over time.
type scenario struct {
	api      *simulator.API
	start    time.Time
	behavior map[string]simulator.Behavior // last set, by actor
	day      time.Time                     // the UTC day of made
	made     map[string]int64              // requests of other programs on day, by account
}

// newScenario returns a scenario that starts now, and sets the API to its start.
func newScenario(api *simulator.API, start time.Time) *scenario {
	s := &scenario{api: api, start: start, behavior: map[string]simulator.Behavior{}, made: map[string]int64{}}
	for _, a := range actors {
		if !a.missing {
			api.SetAccount(a.secret(), a.account)
		}
	}
	for _, c := range customers {
		api.SetLimit(c.account, c.limit)
		api.Use(c.account, c.atStart)
	}
	s.advance(start)
	return s
}

// advance sets the API to the scenario's state at now.
func (s *scenario) advance(now time.Time) {
	for _, a := range actors {
		if a.missing {
			continue
		}
		behavior := a.at(now.Sub(s.start))
		if before, set := s.behavior[a.name]; !set || before != behavior { // only once: RevokedOnce changes by itself
			s.behavior[a.name] = behavior
			s.api.Set(a.secret(), behavior)
		}
	}
	today := now.UTC().Truncate(day)
	if !today.Equal(s.day) {
		s.day = today
		clear(s.made)
	}
	for _, c := range customers {
		due := int64(float64(c.dayTotal) * float64(now.Sub(today)) / float64(day))
		if missing := due - s.made[c.account]; missing > 0 {
			s.api.Use(c.account, missing)
			s.made[c.account] = due
		}
	}
}
