package appfigures_test

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// TestAddressesThatSwallow resolves the API's name to addresses that answer nothing, as behind a firewall that drops.
// Each case leaves no dial behind when its session has ended.
func TestAddressesThatSwallow(t *testing.T) {
	const long = 4 * time.Second // the dialer gives none of several addresses less than 2 s
	for name, test := range map[string]struct {
		swallows string // an address
		timeout  time.Duration
		want     probe.Result
		status   int
		connect  time.Duration // that connecting takes at least
	}{
		"swallowed-first.test.":      {other.String(), long, probe.Valid, 200, long / 2},
		"swallowed-last.test.":       {other.String(), long, probe.Valid, 200, 0},
		"swallowed-ipv6-first.test.": {"::1", grace, probe.Valid, 200, 0},
		"swallowed.test.": {
			other.String(), shortTimeout, probe.Timeout, 0, shortTimeout - 10*time.Millisecond,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveHostile(t, "http", hostileCase{want: probe.Valid})
			_, port, _ := net.SplitHostPort(s.listener.Addr().String())
			swallow(t, net.JoinHostPort(test.swallows, port))
			cfg := s.config(t)
			cfg.APIURL = parseURL(t, "http://"+net.JoinHostPort(name, port)+"/v2/")
			cfg.Timeout = test.timeout
			outcome := probeOnce(t, newSession(t, cfg))
			checkOutcome(t, outcome, test.want, test.status)
			if got := outcome.Phases[probe.Connect]; got < test.connect {
				t.Errorf("connecting took %s, want at least %s", got, test.connect)
			}
		})
	}
}

// TestDialEndsWithItsProbe checks that a dial which nothing answers takes no place from the next probe.
func TestDialEndsWithItsProbe(t *testing.T) {
	s := serveHostile(t, "http", hostileCase{want: probe.Valid})
	_, port, _ := net.SplitHostPort(s.listener.Addr().String())
	swallow(t, net.JoinHostPort(other.String(), port))
	cfg := s.config(t)
	cfg.APIURL = parseURL(t, "http://moving.test.:"+port+"/v2/")
	cfg.Timeout, cfg.MaxConcurrency = grace, 1
	session := newSession(t, cfg)
	for _, test := range []struct {
		moved  bool
		want   probe.Result
		status int
	}{{false, probe.Timeout, 0}, {true, probe.Valid, 200}} {
		moved.Store(test.moved)
		checkOutcome(t, probeOnce(t, session), test.want, test.status)
	}
}

// TestSessionEndsItsDials checks that nothing is left of a dial when the session ends long before it would.
func TestSessionEndsItsDials(t *testing.T) {
	leavesNothing(t, func(t *testing.T) {
		swallowing := must(net.Listen("tcp", other.String()+":0"))
		t.Cleanup(func() { swallowing.Close() })
		fill(t, swallowing)
		session := newSession(t, configOf(t, "http", swallowing))
		checkOutcome(t, probeWithin(t, session, victimToken, probe.Timeout), probe.Timeout, 0)
	})
}

// swallow lets whoever connects to the address wait for ever.
func swallow(t *testing.T, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil { // no IPv6 here: dead all the same
		t.Logf("%s refuses instead: %v", address, err)
		return
	}
	t.Cleanup(func() { listener.Close() })
	fill(t, listener)
}

// fill fills the queue of connections that nobody has accepted: Linux drops what comes then.
func fill(t *testing.T, listener net.Listener) {
	t.Helper()
	raw := must(listener.(*net.TCPListener).SyscallConn())
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = syscall.Listen(int(fd), 0) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
}
