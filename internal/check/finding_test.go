package check

import (
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

func TestExitCodeOfEachResult(t *testing.T) {
	want := map[probe.Result]int{
		probe.Valid:       OK,
		probe.Rejected:    Critical,
		probe.Locked:      Critical,
		probe.Forbidden:   Critical,
		probe.RateLimited: Unknown,
		probe.ServerError: Unknown,
		probe.Unexpected:  Unknown,
		probe.Timeout:     Unknown,
		probe.Unreachable: Unknown,
		probe.NoToken:     Unknown,
	}
	for _, result := range probe.Results() {
		code, listed := want[result]
		if !listed {
			t.Errorf("no exit code is expected of %v; list it", result)
		}
		if got := exitCodeOf(probed("t", result, 0, "")); got != code {
			t.Errorf("%v: exit code %d, want %d", result, got, code)
		}
	}
}

func TestTheWorstExitCodeWins(t *testing.T) {
	var (
		soon   = expiring(valid("soon"), time.Hour)
		denied = probed("denied", probe.Rejected, 401, "")
		down   = probed("down", probe.Timeout, 0, "")
	)
	for _, test := range []struct {
		name   string
		tokens []monitor.TokenState
		want   int
	}{
		{"all valid", []monitor.TokenState{valid("a"), valid("b")}, OK},
		{"a warning among valid", []monitor.TokenState{valid("a"), soon, valid("b")}, Warning},
		{"no verdict over a warning", []monitor.TokenState{soon, down, valid("a")}, Unknown},
		{"denied over a warning", []monitor.TokenState{denied, soon}, Critical},
		{"denied over no verdict", []monitor.TokenState{down, denied, down}, Critical},
		{"denied over all", []monitor.TokenState{valid("a"), soon, down, denied}, Critical},
		{"a denied token that expires", []monitor.TokenState{expiring(denied, time.Hour)}, Critical},
		{"an undecided token that expires", []monitor.TokenState{expiring(down, time.Hour)}, Unknown},
		{"not asked, as its account is held", []monitor.TokenState{valid("a"), unasked("b", "burst")}, Unknown},
		{"not asked for want of budget", []monitor.TokenState{valid("a"), unasked("b", "tiny", monitor.Budget)}, Unknown},
		{"not asked in time", []monitor.TokenState{valid("a"), unasked("b", "acme", monitor.Deadline)}, Unknown},
		{"interrupted", []monitor.TokenState{valid("a"), unasked("b", "acme")}, Unknown},
	} {
		if got := exitCodeOf(test.tokens...); got != test.want {
			t.Errorf("%s: exit code %d, want %d", test.name, got, test.want)
		}
	}
}

func TestWarningsBeginAndEndWhereTheyShould(t *testing.T) {
	const day = 24 * time.Hour
	half := func(token monitor.TokenState, q probe.Quota) monitor.TokenState { token.Quota = q; return token }
	for _, test := range []struct {
		name  string
		token monitor.TokenState
		want  int
	}{
		{"no expiry", valid("t"), OK},
		{"expires in 14 days and a second", expiring(valid("t"), 14*day+time.Second), OK},
		{"expires in 14 days", expiring(valid("t"), 14*day), Warning},
		{"expires now", expiring(valid("t"), 0), Warning},
		{"expired long ago", expiring(valid("t"), -400*day), Warning},
		{"no quota used", withQuota(valid("t"), 0, 1000), OK},
		{"90 % used", withQuota(valid("t"), 900, 1000), OK},
		{"one request over 90 %", withQuota(valid("t"), 901, 1000), Warning},
		{"90 % of a limit that ten does not divide", withQuota(valid("t"), 2, 3), OK},
		{"all used", withQuota(valid("t"), 1000, 1000), Warning},
		{"over the limit", withQuota(valid("t"), 1_000_000_000, 1), Warning},
		{"only the usage is known", half(valid("t"), probe.Quota{Used: 5, UsedOK: true}), OK},
		{"only the limit is known", half(valid("t"), probe.Quota{Limit: 5, LimitOK: true, Used: 5}), OK},
	} {
		if got := exitCodeOf(test.token); got != test.want {
			t.Errorf("%s: exit code %d, want %d", test.name, got, test.want)
		}
	}
}

func exitCodeOf(tokens ...monitor.TokenState) int {
	return worst(examine(at(noon, tokens...))).exitCode()
}

func TestRoughly(t *testing.T) {
	for _, test := range []struct {
		d    time.Duration
		want string
	}{
		{0, "less than a minute"},
		{59 * time.Second, "less than a minute"},
		{time.Minute, "1 min"},
		{time.Hour - 1, "59 min"},
		{time.Hour, "1 h"},
		{48*time.Hour - 1, "47 h"},
		{48 * time.Hour, "2 days"},
	} {
		if got := roughly(test.d); got != test.want {
			t.Errorf("roughly(%v) = %q, want %q", test.d, got, test.want)
		}
	}
}
