package appfigures

import (
	"net/http/httptrace"
	"testing"
)

// TestForgetUnused holds when a probe may take another connection: only if nothing of its request can have been sent.
func TestForgetUnused(t *testing.T) {
	for name, test := range map[string]struct {
		reused, lost, writing bool
		forget, sent          bool
	}{
		"a new connection ended":                      {},
		"a new connection ended before the request":   {lost: true, writing: true},
		"a new connection ended during the request":   {writing: true, sent: true},
		"an old one ended before the request":         {reused: true, lost: true, forget: true},
		"an old one ended, the transport went on":     {reused: true, lost: true, writing: true, forget: true},
		"an old one ended just as the request began":  {reused: true, forget: true},
		"an old one ended with the request under way": {reused: true, writing: true, sent: true},
	} {
		t.Run(name, func(t *testing.T) {
			var watch stopwatch
			trace := watch.trace()
			watch.choose(test.reused)
			if test.lost {
				watch.lose()
			}
			if test.writing {
				trace.WroteHeaders()
				trace.WroteRequest(httptrace.WroteRequestInfo{})
			}
			if got := watch.forgetUnused(); got != test.forget {
				t.Errorf("takes another connection: %t, want %t", got, test.forget)
			}
			var outcome Outcome
			watch.stop(&outcome)
			if outcome.Sent != test.sent {
				t.Errorf("sent %t, want %t", outcome.Sent, test.sent)
			}
			if test.forget && watch.forgetUnused() {
				t.Error("takes a third connection before it has the second")
			}
		})
	}
}
