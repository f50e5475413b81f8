//go:build unix

package state

import (
	"os"
	"path/filepath"
	"syscall"
)

// giveToOwner gives a new file the owner of its directory if this process is root: a check that root runs from cron
// must not leave a file that the service, which runs as another user, cannot read.
func giveToOwner(path string) {
	if os.Geteuid() != 0 {
		return
	}
	if info, err := os.Stat(filepath.Dir(path)); err == nil {
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			_ = os.Lchown(path, int(owner.Uid), int(owner.Gid))
		}
	}
}
