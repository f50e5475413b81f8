package appfigures_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// slowAnswer is how long the name server takes to resolve slow.test.
const slowAnswer = 100 * time.Millisecond

// The two types of address records, as RFC 1035 and RFC 3596 number them.
const (
	typeA    = 1
	typeAAAA = 28
)

// The API listens only at the first.
var (
	live  = net.IPv4(127, 0, 0, 1)
	other = net.IPv4(127, 0, 0, 2)
)

// moved is whether moving.test. has gone from the other address to the live one.
var moved atomic.Bool

// addressRecords are what the name server knows.
var addressRecords = map[string]map[uint16][]net.IP{
	"live.test.":                 {typeA: {live}},
	"slow.test.":                 {typeA: {live}},
	"dead-first.test.":           {typeAAAA: {net.IPv6loopback}, typeA: {live}},
	"dead.test.":                 {typeAAAA: {net.IPv6loopback}},
	"empty.test.":                {},
	"moving.test.":               {typeA: {other}},
	"swallowed.test.":            {typeA: {other}},
	"swallowed-first.test.":      {typeA: {other, live}},
	"swallowed-last.test.":       {typeA: {live, other}},
	"swallowed-ipv6-first.test.": {typeAAAA: {net.IPv6loopback}, typeA: {live}},
}

// TestHostileNames resolves the API's name by a name server that is slow, wrong or silent.
func TestHostileNames(t *testing.T) {
	leavesNothing(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			want   probe.Result
			status int
			dns    time.Duration // that resolving takes at least
		}{
			"live.test.":       {want: probe.Valid, status: 200},
			"slow.test.":       {want: probe.Valid, status: 200, dns: slowAnswer},
			"dead-first.test.": {want: probe.Valid, status: 200},
			"dead.test.":       {want: probe.Unreachable},
			"empty.test.":      {want: probe.Unreachable},
			"unknown.test.":    {want: probe.Unreachable},
			"failing.test.":    {want: probe.Unreachable},
			"silent.test.":     {want: probe.Timeout, dns: shortTimeout},
			"garbage.test.":    {want: probe.Timeout, dns: shortTimeout},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := serveHostile(t, "http", hostileCase{want: probe.Valid})
				cfg := s.config(t)
				_, port, _ := net.SplitHostPort(s.listener.Addr().String())
				cfg.APIURL = parseURL(t, "http://"+name+":"+port+"/v2/")
				session := newSession(t, cfg)
				outcome := probeWithin(t, session, victimToken, test.want)
				checkOutcome(t, outcome, test.want, test.status)
				if got := outcome.Phases[probe.DNS]; got < test.dns-10*time.Millisecond || got == 0 {
					t.Errorf("resolving took %s, want at least %s", got, test.dns)
				}
				if sent := s.requests.Load() == 1; sent != (test.want == probe.Valid) || outcome.Sent != sent {
					t.Errorf("%d requests, sent %t", s.requests.Load(), outcome.Sent)
				}
			})
		}
	})
}

// TestNameIsKeptApart checks that a name that does not resolve in time is no hindrance to another session.
func TestNameIsKeptApart(t *testing.T) {
	s := serveHostile(t, "http", hostileCase{want: probe.Valid})
	cfg := &config.Config{APIURL: parseURL(t, "http://silent.test./v2/"), Timeout: longTimeout, MaxConcurrency: 4}
	stuck, healthy := newSession(t, cfg), newSession(t, s.config(t))
	done := make(chan probe.Outcome)
	go func() { done <- probeWithin(t, stuck, victimToken, probe.Timeout) }()
	checkOutcome(t, probeWithin(t, healthy, neighborToken, probe.Valid), probe.Valid, 200)
	checkOutcome(t, <-done, probe.Timeout, 0)
}

// resolveHere makes this process resolve all names by a name server of its own, over UDP.
func resolveHere() {
	address := serveNames()
	net.DefaultResolver = &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			if !strings.HasPrefix(network, "udp") {
				return nil, errors.New("this name server speaks only UDP")
			}
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			return impatient{conn}, err
		},
	}
}

// impatient is a connection to a name server that gives up waiting sooner than the 5 s of [net.Resolver], as the option
// timeout in /etc/resolv.conf would have it. The resolver waits for its replies even when nobody waits for it.
type impatient struct{ net.Conn }

func (c impatient) SetDeadline(deadline time.Time) error {
	if grace := time.Now().Add(2 * shortTimeout); deadline.After(grace) {
		deadline = grace
	}
	return c.Conn.SetDeadline(deadline)
}

// Of the two kinds of connection, the resolver tells the kind without a stream by this method.
func (c impatient) ReadFrom(p []byte) (int, net.Addr, error) {
	return c.Conn.(net.PacketConn).ReadFrom(p)
}
func (c impatient) WriteTo(p []byte, to net.Addr) (int, error) {
	return c.Conn.(net.PacketConn).WriteTo(p, to)
}

// serveNames starts a name server and returns its address.
func serveNames() string {
	conn := must(net.ListenPacket("udp4", "127.0.0.1:0"))
	go func() {
		query := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(query)
			if err != nil {
				continue // a client that is gone by now
			}
			reply, delay := nameReply(query[:n])
			if reply != nil {
				time.AfterFunc(delay, func() { _, _ = conn.WriteTo(reply, from) })
			}
		}
	}()
	return conn.LocalAddr().String()
}

// nameReply returns the reply to a query of one question (RFC 1035, section 4), nil for none, and when to send it.
func nameReply(query []byte) (reply []byte, delay time.Duration) {
	const header, response, recursion, nameError, serverFailure = 12, 0x8000, 0x0180, 3, 2
	name, end := "", header
	for end < len(query) && query[end] != 0 {
		label := int(query[end])
		name += string(query[end+1:end+1+label]) + "."
		end += 1 + label
	}
	question := query[header : end+5] // the name's last byte, the type, the class
	kind := binary.BigEndian.Uint16(query[end+1:])
	name = strings.ToLower(name)

	addresses, known := addressRecords[name]
	flags := uint16(response | recursion)
	switch {
	case name == "moving.test." && moved.Load():
		addresses = addressRecords["live.test."]
	case name == "silent.test.":
		return nil, 0
	case name == "garbage.test.":
		return append([]byte("\xff\xff"), strings.Repeat("garbage", 20)...), 0
	case name == "failing.test.":
		flags |= serverFailure
	case !known:
		flags |= nameError
	}
	reply = append(reply, query[:2]...) // its number
	reply = binary.BigEndian.AppendUint16(reply, flags)
	reply = binary.BigEndian.AppendUint16(reply, 1)
	reply = binary.BigEndian.AppendUint16(reply, uint16(len(addresses[kind])))
	reply = append(reply, 0, 0, 0, 0)
	reply = append(reply, question...)
	for _, ip := range addresses[kind] {
		if kind == typeA {
			ip = ip.To4()
		}
		reply = append(reply, 0xc0, header) // the name of the question
		reply = binary.BigEndian.AppendUint16(reply, kind)
		reply = append(reply, 0, 1, 0, 0, 0, 1) // class IN, for one second
		reply = binary.BigEndian.AppendUint16(reply, uint16(len(ip)))
		reply = append(reply, ip...)
	}
	if name == "slow.test." {
		delay = slowAnswer
	}
	return reply, delay
}
