//go:build !linux

package monitor

import "time"

var start = time.Now()

// sinceBoot returns the time since the start, by a clock that does not step, but may stand still while the machine is
// suspended. Tests replace it by their virtual time.
var sinceBoot = func() time.Duration { return time.Since(start) }

// bootID returns nothing: sinceBoot tells no time between two processes.
func bootID() string { return "" }
