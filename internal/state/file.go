// Package state keeps the state in one file, so that it survives restarts: what cost requests to learn. It knows nothing
// of its content, which internal/monitor makes.
package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/gofrs/flock"
	"github.com/natefinch/atomic"
)

// version is that of the format of the file: {"version":2,"state":{…}}. It changes whenever the state does so that an
// older or newer exporter would misread it.
const version = 2

var (
	// ErrLocked is the error of [Open] when another process uses the file.
	ErrLocked = errors.New("another process uses the state file")

	errEmpty    = errors.New("empty")
	errNotState = errors.New("damaged, or not a state file")
	errForeign  = errors.New("not a state file; it was left alone")
)

// File is a state file that this process alone writes. One goroutine calls Save.
//
// Three gaps are not closed. After a power loss the file may be as it was some seconds before, as its directory is not
// synced. A process killed in a Save leaves a temporary file beside the state file. A Save that hangs with the disk
// while Close gives up the lock may later replace what the next owner of the lock saved.
type File struct {
	Damaged string // where Open moved a file that was damaged or of another version; empty if it moved none

	path string
	lock *flock.Flock
}

// Open takes the lock of the state file at path and returns the state in it, which is zero if there is no file. The lock
// is a file of its own, path.lock, as every Save replaces the file. The error is [ErrLocked] if another process holds it.
//
// A file that is damaged or of another version is moved to path.damaged; one that was named by mistake is an error. A
// file counts as a state file if it is a JSON object with a version and a state, if it is empty or holds only zeros, as
// some file systems leave it after a power loss, or if its lock was beside it before.
func Open[S any](path string) (*File, S, error) {
	file := &File{path: path, lock: flock.New(path+".lock", flock.SetPermissions(0o600))}
	s, err := open[S](file)
	if err != nil {
		_ = file.lock.Close()
		return nil, s, fmt.Errorf("opening state file %s: %w", path, err)
	}
	return file, s, nil
}

func open[S any](f *File) (s S, err error) {
	_, err = os.Lstat(f.lock.Path())
	isFirst := errors.Is(err, fs.ErrNotExist)
	locked, err := f.lock.TryLock()
	if err != nil {
		return s, err
	}
	if !locked {
		return s, ErrLocked
	}
	giveToOwner(f.lock.Path())
	content, err := readRegular(f.path)
	if err != nil {
		return s, err
	}
	s, err = decode[S](content)
	switch {
	case err == nil:
		return s, nil
	case isFirst && errors.Is(err, errNotState):
		_ = os.Remove(f.lock.Path())
		return s, errForeign
	}
	f.Damaged = f.path + ".damaged"
	return s, os.Rename(f.path, f.Damaged)
}

// Path returns the file's path.
func (f *File) Path() string { return f.path }

// Close gives up the lock; nothing may be saved afterwards. It does not wait for a Save that hangs.
func (f *File) Close() error { return f.lock.Close() }

// Save replaces the content of the file with the state, and returns when the new content is on disk. Whatever interrupts Save,
// the file has its old content or the new one. A new file has mode 0600.
func (f *File) Save(state any) error {
	content, err := json.Marshal(struct {
		Version int `json:"version"`
		State   any `json:"state"`
	}{version, state})
	if err == nil {
		err = atomic.WriteFile(f.path, bytes.NewReader(append(content, '\n')))
	}
	if err != nil {
		return fmt.Errorf("writing state file %s: %w", f.path, err)
	}
	giveToOwner(f.path)
	return nil
}

// Read returns the state in the file at path; it needs no lock. The state is zero if there is no file, or if
// the error says why its content cannot be used: it cannot be read, is damaged, or comes from another version.
func Read[S any](path string) (s S, err error) {
	content, err := readRegular(path)
	if err == nil {
		s, err = decode[S](content)
	}
	if err != nil {
		return s, fmt.Errorf("reading state file %s: %w", path, err)
	}
	return s, nil
}

// readRegular returns the content of a file, or nil if there is none. It refuses links, devices and FIFOs: Save would
// replace them, and reading them could take forever.
func readRegular(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("not a regular file")
	}
	return os.ReadFile(path)
}

// decode returns the state in the content of a file. There is no checksum: a damaged digit or name that leaves valid
// JSON is read as it stands.
func decode[S any](content []byte) (s S, err error) {
	if content == nil {
		return s, nil
	}
	if len(bytes.Trim(content, "\x00")) == 0 {
		return s, errEmpty
	}
	var file struct {
		Version int             `json:"version"`
		State   json.RawMessage `json:"state"`
	}
	switch err := json.Unmarshal(content, &file); {
	case err != nil || file.State == nil:
		return s, errNotState
	case file.Version != version:
		return s, fmt.Errorf("its format is version %d; this exporter reads version %d", file.Version, version)
	}
	var decoded S
	if err := json.Unmarshal(file.State, &decoded); err != nil {
		return s, errNotState
	}
	return decoded, nil
}
