package appfigures_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// Answers to more than was asked.
const (
	unaskedRejection = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
	unaskedLock      = "HTTP/1.1 403 Forbidden\r\nContent-Length: 27\r\n\r\n{\"message\":\"No API Access\"}"
)

// TestSurplus checks that what a server sends beyond its answer is never taken for the answer to another token, and
// harms no other token either.
func TestSurplus(t *testing.T) {
	for name, test := range map[string]struct {
		answer string
		want   probe.Result
	}{
		"two answers":         {validAnswer + unaskedRejection, probe.Valid},
		"three answers":       {validAnswer + unaskedRejection + unaskedLock, probe.Valid},
		"half an answer more": {validAnswer + unaskedRejection[:12], probe.Valid},
		"a byte more":         {validAnswer + "\n", probe.Valid},
		"a body longer than it says": {
			"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + unaskedRejection, probe.Unexpected,
		},
		"204 with a body": {
			"HTTP/1.1 204 No Content\r\nContent-Length: 47\r\n\r\n" + unaskedRejection, probe.Unexpected,
		},
		"304 with a body": {
			"HTTP/1.1 304 Not Modified\r\nContent-Length: 47\r\n\r\n" + unaskedRejection, probe.Unexpected,
		},
		"more after the last chunk": {
			chunked + "1a\r\n" + validBody + "\r\n0\r\n\r\n" + unaskedRejection, probe.Valid,
		},
		"401 with a body as for HEAD": {
			"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n" + validAnswer, probe.Rejected,
		},
	} {
		for _, scheme := range []string{"http", "https"} {
			t.Run(name+" over "+scheme, func(t *testing.T) {
				t.Parallel()
				// A server whose answers are valid keeps its connections.
				s := serveHostile(t, scheme, hostileCase{answer: says(test.answer), want: probe.Valid})
				cfg := s.config(t)
				const rounds = 30
				for range rounds {
					session := appfigures.NewSession(cfg, "test")
					victim := probeWithin(t, session, victimToken, test.want)
					neighbor := probeWithin(t, session, neighborToken, probe.Valid)
					session.Close()
					if victim.Result != test.want || neighbor.Result != probe.Valid {
						t.Fatalf("results %s and %s (%s)", victim.Result, neighbor.Result, neighbor.Message)
					}
				}
				if s.requests.Load() != rounds || s.others.Load() != rounds {
					t.Errorf("%d and %d requests for %d probes each", s.requests.Load(), s.others.Load(), rounds)
				}
			})
		}
	}
}

// TestSurplusBeforeWaitingProbes lets many probes wait for one connection. Each gets it as soon as the probe before has
// its answer, when the surplus that ends the connection has not been met yet.
func TestSurplusBeforeWaitingProbes(t *testing.T) {
	const sessions, probes = 20, 300
	s := serveHostile(t, "http", hostileCase{answer: says(validAnswer + unaskedRejection), want: probe.Valid})
	cfg := s.config(t)
	cfg.MaxConcurrency = 1
	for range sessions {
		session := appfigures.NewSession(cfg, "test")
		var waiting sync.WaitGroup
		for range probes {
			waiting.Go(func() {
				checkOutcome(t, probeWithin(t, session, victimToken, probe.Valid), probe.Valid, 200)
			})
		}
		waiting.Wait()
		session.Close()
	}
	if n := s.requests.Load(); n != sessions*probes {
		t.Errorf("%d requests for %d probes", n, sessions*probes)
	}
}

// TestClosesReused checks that a request on a connection that an earlier probe had opened is made once, although the
// server closes the connection without a byte.
func TestClosesReused(t *testing.T) {
	s := serveHostile(t, "http", hostileCase{answer: says(""), want: probe.Unreachable})
	session := newSession(t, s.config(t))
	checkOutcome(t, probeWithin(t, session, neighborToken, probe.Valid), probe.Valid, 200)
	outcome := probeWithin(t, session, victimToken, probe.Unreachable)
	checkOutcome(t, outcome, probe.Unreachable, 0)
	if outcome.Phases[probe.Connect] != 0 {
		t.Fatal("the connection was not reused, so nothing was tested")
	}
	if !outcome.Sent || s.others.Load() != 1 || s.requests.Load() != 1 {
		t.Errorf("sent %t, %d and %d requests, want one each", outcome.Sent, s.others.Load(), s.requests.Load())
	}
}

// TestClosesIdle checks that a connection which the server closes after each answer, without a word, costs no probe its
// answer unless its request was sent, and that none is sent twice.
func TestClosesIdle(t *testing.T) {
	var mu sync.Mutex
	asked := make(map[string]int)
	listener := listen(t, func(conn net.Conn, _ int64) {
		request, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		mu.Lock()
		asked[request.Header.Get("Authorization")]++
		mu.Unlock()
		write(conn, validAnswer)
	})
	session := newSession(t, configOf(t, "http", listener))
	unreachable := 0
	for i := range 300 {
		token := fmt.Sprintf("pat_%03d", i)
		outcome := probeWithin(t, session, token, probe.Valid)
		switch {
		case outcome.Result == probe.Valid:
		case outcome.Result == probe.Unreachable && outcome.Sent:
			unreachable++
		default:
			t.Errorf("%s is %s (%s), sent %t", token, outcome.Result, outcome.Message, outcome.Sent)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for authorization, n := range asked {
		if n != 1 {
			t.Errorf("%s came %d times", authorization, n)
		}
	}
	t.Logf("%d of 300 requests met the end of their connection", unreachable)
}

// TestUnasked meets a server that answers before it was asked. Whatever the probe makes of it, the answer comes from
// one connection and is the victim's own.
func TestUnasked(t *testing.T) {
	for range 50 {
		listener := listen(t, func(conn net.Conn, number int64) {
			if number == 1 {
				write(conn, unaskedRejection)
			}
			awaitClose(conn)
		})
		session := newSession(t, configOf(t, "http", listener))
		outcome := probeFor(t, session, victimToken, longTimeout)
		if r := outcome.Result; r != probe.Rejected && r != probe.Unreachable {
			t.Errorf("result %s (%s)", r, outcome.Message)
		}
	}
}
