package monitor

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot returns the time since the boot of the system, by a clock that does not step. It includes the time in which
// the machine was suspended, which Go's monotonic clock does not; see clock_gettime(2). Tests replace it by their virtual time.
var sinceBoot = func() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) // fails only without such a clock, before Linux 2.6.39
	return time.Duration(t.Nano())
}

// bootID identifies the boot of the system; empty if unknown. See random(4).
func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}
