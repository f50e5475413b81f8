package config

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestReader checks that files that hang delay no reading beyond the timeout and spoil no other, cost one read each
// however often they are asked for, and are read again once that has ended.
func TestReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var hanging atomic.Int64
		defer func(read func(Source) Reading) { readSource = read }(readSource)
		readSource = func(s Source) Reading {
			if strings.HasPrefix(s.text.Reveal(), "hangs") {
				hanging.Add(1)
				<-release
			}
			return Reading{Secret: NewSecret("pat_" + s.text.Reveal())}
		}
		tokens := []Token{{Source: InlineSource(NewSecret("pat_a"))}, {Source: FileSource("b")}}
		for i := range 200 { // each of 100 files is two tokens
			tokens = append(tokens, Token{Source: FileSource(fmt.Sprintf("hangs%d", i%100))})
		}
		tokens = append(tokens, Token{Source: FileSource("c")})
		var r Reader
		for range 3 {
			start := time.Now()
			readings := r.Read(tokens)
			if took := time.Since(start); took != ReadTimeout {
				t.Errorf("took %s, want %s", took, ReadTimeout)
			}
			for i, want := range map[int]string{0: "pat_a", 1: "pat_b", 2: "", 201: "", 202: "pat_c"} {
				if got := readings[i]; got.Secret.Reveal() != want || errors.Is(got.Err, errHangs) != (want == "") {
					t.Errorf("token %d: got %q and error %v, want %q", i, got.Secret.Reveal(), got.Err, want)
				}
			}
		}
		if n := hanging.Load(); n != 100 {
			t.Errorf("%d reads hang, want 100", n)
		}
		close(release)
		synctest.Wait()
		if got := r.Read(tokens)[2]; got.Err != nil || got.Secret.Reveal() != "pat_hangs0" || hanging.Load() <= 100 {
			t.Errorf("afterwards: got %q, error %v, %d reads", got.Secret.Reveal(), got.Err, hanging.Load())
		}
	})
}
