// Package state keeps what cost requests to learn in one file, so that it survives restarts. It decides nothing by it;
// internal/monitor does.
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

// The file is one JSON object: the content, and these two, which tell it from other files.
const (
	program = "appfigures_exporter"
	version = 1 // of the format
)

type document struct {
	Program string  `json:"program"`
	Version int     `json:"version"`
	Content Content `json:"content"`
}

var (
	// ErrLocked is the error of [Open] when another process uses the file.
	ErrLocked = errors.New("another process uses the state file")

	errEmpty    = errors.New("empty")
	errNotState = errors.New("damaged, or not a state file")
	errForeign  = errors.New("not a state file; it was left alone")
)

// File is a state file that this process alone writes. One goroutine at a time may call Save.
//
// Three gaps are not closed. After a power loss the file may be as it was some seconds before, as its directory is not
// synced. A process killed in a Save leaves a temporary file beside the state file. A Save that hangs with the disk
// while Close gives up the lock may later replace what the next owner of the lock saved.
type File struct {
	Damaged string // where Open moved a file that was damaged or of another version; empty if it moved none

	path string
	lock *flock.Flock
}

// Open takes the lock of the state file at path and returns the content of the file, which is zero if there is no file.
// The lock is a file of its own, path.lock, as every Save replaces the file. The error is [ErrLocked] if another
// process holds the lock.
//
// A file that is damaged or of another version is moved to path.damaged; one that is no state file is an error. A file
// counts as one if it names the program and can be decoded or is of another version, if it is empty or holds only
// zeros, as some file systems leave it after a power loss, or if its lock was beside it before.
func Open(path string) (*File, Content, error) {
	file := &File{path: path, lock: flock.New(path+".lock", flock.SetPermissions(0o600))}
	content, err := open(file)
	if err != nil {
		_ = file.lock.Close()
		return nil, content, fmt.Errorf("opening state file %s: %w", path, err)
	}
	return file, content, nil
}

func open(f *File) (none Content, err error) {
	_, err = os.Lstat(f.lock.Path())
	isFirst := errors.Is(err, fs.ErrNotExist)
	locked, err := f.lock.TryLock()
	if err != nil {
		return none, err
	}
	if !locked {
		return none, ErrLocked
	}
	giveToOwner(f.lock.Path())
	text, err := readRegular(f.path)
	if err != nil {
		return none, err
	}
	content, err := decode(text)
	switch {
	case err == nil:
		return content, nil
	case isFirst && errors.Is(err, errNotState):
		_ = os.Remove(f.lock.Path())
		return none, errForeign
	}
	f.Damaged = f.path + ".damaged"
	return none, os.Rename(f.path, f.Damaged)
}

// Close gives up the lock; nothing may be saved afterwards. It does not wait for a Save that hangs.
func (f *File) Close() error { return f.lock.Close() }

// Save replaces the content of the file, and returns when the new one is on disk. Whatever interrupts Save, the file
// has its old content or the new one. A new file has mode 0600.
func (f *File) Save(content Content) error {
	text, err := json.Marshal(document{program, version, content})
	if err == nil {
		err = atomic.WriteFile(f.path, bytes.NewReader(text))
	}
	if err != nil {
		return fmt.Errorf("writing state file %s: %w", f.path, err)
	}
	giveToOwner(f.path)
	return nil
}

// Read returns the content of the state file at path; it needs no lock. The content is zero if there is no file, or if
// the error says why it cannot be used: it cannot be read, is damaged, or comes from another version.
func Read(path string) (content Content, err error) {
	text, err := readRegular(path)
	if err == nil {
		content, err = decode(text)
	}
	if err != nil {
		return content, fmt.Errorf("reading state file %s: %w", path, err)
	}
	return content, nil
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

// decode returns the content in the text of a file. There is no checksum: a damaged digit or name that leaves valid
// JSON is read as it stands.
func decode(text []byte) (none Content, err error) {
	if text == nil {
		return none, nil
	}
	if len(bytes.Trim(text, "\x00")) == 0 {
		return none, errEmpty
	}
	var d document
	switch err := json.Unmarshal(text, &d); {
	case d.Program != program: // also after a syntax error
		return none, errNotState
	case d.Version != version:
		return none, fmt.Errorf("its format is version %d; this exporter reads version %d", d.Version, version)
	case err != nil:
		return none, errNotState
	}
	return d.Content, nil
}
