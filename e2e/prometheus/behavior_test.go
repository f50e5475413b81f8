package scrape

import "github.com/appfigures-exporter/appfigures_exporter/internal/simulator"

// meaning is what Prometheus should know of a token after its first probe.
type meaning struct {
	result  string
	status  float64 // of HTTP
	up      float64
	verdict verdict
	metered bool // the API has told of the account's quota
}

type verdict int

const (
	undecided verdict = iota
	valid
	denied
)

// meanings holds what each behaviour of the simulated API means: the contract's table of results, seen from its
// other end.
var meanings = map[simulator.Behaviour]meaning{
	simulator.Valid:               {"valid", 200, 1, valid, true},
	simulator.Slow:                {"valid", 200, 1, valid, true},
	simulator.Unmetered:           {"valid", 200, 1, valid, false},
	simulator.Revoked:             {"rejected", 401, 1, denied, true},
	simulator.RevokedQuotingEmail: {"rejected", 401, 1, denied, true},
	simulator.Rejected:            {"rejected", 403, 1, denied, true},
	simulator.Locked:              {"locked", 403, 1, denied, true},
	simulator.Disabled:            {"locked", 403, 1, denied, true},
	simulator.Forbidden:           {"forbidden", 403, 1, denied, true},
	simulator.DailyLimit:          {"rate_limited", 420, 1, undecided, true},
	simulator.SlowDown:            {"rate_limited", 429, 1, undecided, true},
	simulator.SlowDownUntimed:     {"rate_limited", 429, 1, undecided, true},
	simulator.ServerError:         {"server_error", 503, 0, undecided, false},
	simulator.Maintenance:         {"unexpected", 503, 0, undecided, false},
	simulator.ProxyPage:           {"unexpected", 403, 0, undecided, false},
	simulator.Redirect:            {"unexpected", 302, 0, undecided, false},
	simulator.Hang:                {"timeout", 0, 0, undecided, false},
	simulator.Drop:                {"unreachable", 0, 0, undecided, false},
}
