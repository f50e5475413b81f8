package config

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestReader checks that a source that hangs delays no reading beyond the timeout, costs one read however often it is
// asked for, and is read again once that has ended.
func TestReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var hanging atomic.Int64
		var r Reader
		defer func(read func(Source) Reading) { readSource = read }(readSource)
		readSource = func(s Source) Reading {
			if s.text.Reveal() == "hangs" {
				hanging.Add(1)
				<-release
			}
			return Reading{Secret: NewSecret("pat_" + s.text.Reveal())}
		}
		tokens := []Token{
			{Source: FileSource("a")}, {Source: FileSource("hangs")}, {Source: FileSource("hangs")}, {Source: FileSource("b")},
			{Source: InlineSource(NewSecret("pat_c"))},
		}
		for range 3 {
			start := time.Now()
			readings := r.Read(tokens)
			if took := time.Since(start); took != ReadTimeout {
				t.Errorf("took %s, want %s", took, ReadTimeout)
			}
			for i, want := range []string{"pat_a", "", "", "pat_b", "pat_c"} {
				if got := readings[i]; got.Secret.Reveal() != want || errors.Is(got.Err, errHangs) != (want == "") {
					t.Errorf("token %d: got %q and error %v, want %q", i, got.Secret.Reveal(), got.Err, want)
				}
			}
		}
		if n := hanging.Load(); n != 1 {
			t.Errorf("%d reads hang, want 1", n)
		}
		close(release)
		synctest.Wait()
		if got := r.Read(tokens)[1]; got.Err != nil || got.Secret.Reveal() != "pat_hangs" || hanging.Load() != 2 {
			t.Errorf("afterwards: got %q, error %v, %d reads", got.Secret.Reveal(), got.Err, hanging.Load())
		}
		time.Sleep(slowRead) // the bubble must end with its last dispatch
	})
}
