package state

import (
	"errors"
	"os"
	"path/filepath"
)

// regularOnly is empty: Windows has neither flag of file_unix.go.
const regularOnly = 0

// pendingFile is what renameio, which does not support Windows, provides elsewhere.
type pendingFile struct {
	*os.File
	path string
}

// newFile creates a temporary file that can replace the one at path.
func newFile(path string) (*pendingFile, error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path))
	if err != nil {
		return nil, err
	}
	return &pendingFile{file, path}, nil
}

// CloseAtomicallyReplace writes the file to disk, closes it and renames it over the one at path.
func (f *pendingFile) CloseAtomicallyReplace() error {
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), f.path)
}

// Cleanup closes and removes the file, unless it has replaced the one at path.
func (f *pendingFile) Cleanup() error {
	_ = f.Close() // an error means that it is closed
	if err := os.Remove(f.Name()); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// giveToOwner does nothing: a new file has the access list of its directory.
func giveToOwner(_, _ string) {}
