//go:build unix

package state

import (
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
)

// regularOnly are flags of open(2): follow no link, and do not wait for the other end of a FIFO.
const regularOnly = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// newFile creates a temporary file that can replace the one at path: in its directory and never through a link.
func newFile(path string) (*renameio.PendingFile, error) {
	pending, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(perm))
	if err == nil {
		giveToOwner(pending.Name(), filepath.Dir(path))
	}
	return pending, err
}

// giveToOwner gives a new file the owner of its directory if this process is root: a check that root runs must not leave a
// file that the service, which runs as another user, cannot read.
func giveToOwner(path, dir string) {
	if os.Geteuid() != 0 {
		return
	}
	if info, err := os.Stat(dir); err == nil {
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			_ = os.Lchown(path, int(owner.Uid), int(owner.Gid))
		}
	}
}
