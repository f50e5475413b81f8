package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

const (
	version   = 1               // of the format
	maxBytes  = 64 << 20        // of a file; 10,000 tokens take about 6 MB
	ioTimeout = 2 * time.Second // for one use of the disk
	perm      = 0o600
)

var (
	// ErrLocked is the error of [Open] when another process uses the file.
	ErrLocked = errors.New("another process uses the state file")

	errHangs   = fmt.Errorf("the disk did not answer in %s", ioTimeout)
	errDamaged = errors.New("damaged, or not a state file")
	errForeign = errors.New("not a state file; it was left alone")
)

// File is a state file that this process alone writes. Its methods are safe for concurrent use.
type File struct {
	Damaged string // where Open has moved a file whose beginning is damaged; empty if there was none

	path string
	lock *flock.Flock

	write func(path string, data []byte) error // replaced in tests

	saving  sync.Mutex // one Save at a time; guards closed and hanging
	closed  bool
	hanging chan error // receives the result of a write that took too long; nil if none did
}

// Open takes the lock of the state file at path, which need not exist, and checks that the file can be written. The
// lock lies beside the file, because every Save replaces the file. The error is [ErrLocked] if another process holds
// the lock. A file that is not a state file is an error, unless its lock shows that it was one: then it is moved aside.
func Open(path string) (*File, error) {
	file, err := within(ioTimeout, func() (*File, error) { return open(path) })
	if err != nil {
		return nil, fmt.Errorf("opening state file %s: %w", path, explain(err))
	}
	return file, nil
}

func open(path string) (*File, error) {
	file := &File{path: path, write: replace}
	// To replace a device or a link would break what others use it for.
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	foreign := checkOurs(path)
	if foreign != nil {
		_, err := os.Lstat(path + ".lock")
		if !errors.Is(foreign, errForeign) || err != nil {
			return nil, foreign
		}
	}
	lock := flock.New(path+".lock", flock.SetPermissions(perm),
		flock.SetFlag(os.O_CREATE|os.O_RDWR|regularOnly))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, err
	}
	if !locked {
		return nil, ErrLocked
	}
	giveToOwner(path+".lock", filepath.Dir(path))
	removeLeftovers(path)
	// A test of the directory: whoever may create a file in it may replace one.
	pending, err := newFile(path)
	if err == nil {
		err = pending.Cleanup()
	}
	if err == nil && foreign != nil {
		file.Damaged = path + ".damaged"
		err = os.Rename(path, file.Damaged)
	}
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	file.lock = lock
	return file, nil
}

// checkOurs returns an error if there is a file at path that is not a state file, such as one named by mistake. A state
// file can be empty, or only zeros, after a loss of power.
func checkOurs(path string) error {
	file, err := os.OpenFile(path, os.O_RDONLY|regularOnly, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	data := make([]byte, 64<<10)
	for first := true; ; first = false {
		n, err := io.ReadFull(file, data)
		switch zeros := len(bytes.Trim(data[:n], "\x00")) == 0; {
		case first && bytes.HasPrefix(data[:n], []byte(magic)):
			return nil
		case !zeros:
			return errForeign
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// removeLeftovers removes the temporary files of writes that a crash cut short. The caller holds the lock.
func removeLeftovers(path string) {
	dir, prefix := filepath.Dir(path), "."+filepath.Base(path)
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		random, ours := strings.CutPrefix(entry.Name(), prefix)
		if ours && random != "" && strings.Trim(random, "0123456789") == "" && entry.Type().IsRegular() {
			_ = os.Remove(filepath.Join(dir, entry.Name()))
		}
	}
}

// Close gives up the lock, except if a write still hangs, which may yet replace the file: then the end of the process
// gives it up.
func (f *File) Close() error {
	f.saving.Lock()
	defer f.saving.Unlock()
	if f.hangs() {
		return errHangs
	}
	f.closed = true
	return f.lock.Close()
}

// Save replaces the content of the file with s. It returns when s is on disk, or after two seconds with an error; as
// long as an earlier write hangs, it returns an error at once.
func (f *File) Save(s State) error {
	f.saving.Lock()
	defer f.saving.Unlock()
	if err := f.save(s); err != nil {
		return fmt.Errorf("writing state file %s: %w", f.path, explain(err))
	}
	return nil
}

func (f *File) save(s State) error {
	if f.closed { // another process may have the file by now
		return fs.ErrClosed
	}
	if f.hangs() {
		return errHangs
	}
	s.Version = version
	data, err := encode(s)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- f.write(f.path, data) }()
	timer := time.NewTimer(ioTimeout)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		f.hanging = done
		return errHangs
	}
}

// hangs reports whether an earlier write has not ended yet.
func (f *File) hangs() bool {
	select {
	case <-f.hanging:
		f.hanging = nil
	default:
	}
	return f.hanging != nil
}

// Path returns the file's path.
func (f *File) Path() string { return f.path }

// Read returns the content of the state file at path; it needs no lock. The state is zero if there is no file, or if
// the error tells why its content cannot be used: it cannot be read, is damaged, or comes from another version.
func Read(path string) (State, error) {
	s, err := within(ioTimeout, func() (State, error) { return read(path) })
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return State{}, nil
	case err != nil:
		return State{}, fmt.Errorf("reading state file %s: %w", path, explain(err))
	}
	return s, nil
}

func read(path string) (State, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|regularOnly, 0)
	if err != nil {
		return State{}, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return State{}, errors.New("not a regular file")
	}
	if info.Size() > maxBytes {
		return State{}, errDamaged
	}
	data, err := io.ReadAll(io.LimitReader(file, maxBytes))
	if err != nil {
		return State{}, err
	}
	return decode(data)
}

// A file is one line: an object with a checksum and the state that it was made of. The checksum finds what the syntax
// of JSON cannot: a digit or a name that was damaged.
const (
	magic = `{"sha256":"`
	head  = magic + `%x","state":`
	tail  = "}\n"
)

func encode(s State) ([]byte, error) {
	state, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	data := fmt.Appendf(make([]byte, 0, len(state)+128), head, sha256.Sum256(state))
	data = append(append(data, state...), tail...)
	if len(data) > maxBytes {
		return nil, fmt.Errorf("%d bytes; the limit is %d", len(data), maxBytes)
	}
	return data, nil
}

func decode(data []byte) (State, error) {
	start := len(fmt.Sprintf(head, sha256.Sum256(nil)))
	if len(data) < start || !bytes.HasSuffix(data, []byte(tail)) {
		return State{}, errDamaged
	}
	state := data[start : len(data)-len(tail)]
	if !bytes.Equal(data[:start], fmt.Appendf(nil, head, sha256.Sum256(state))) {
		return State{}, errDamaged
	}
	var format struct {
		Version int `json:"version"`
	}
	if json.Unmarshal(state, &format) == nil && format.Version != version {
		return State{}, fmt.Errorf("its format is version %d; this exporter reads version %d", format.Version, version)
	}
	var s State
	if err := json.Unmarshal(state, &s); err != nil {
		return State{}, errDamaged
	}
	return s, nil
}

// replace writes a new file and renames it over the one at path. Whatever interrupts it, path has the old content or
// the new one.
func replace(path string, data []byte) error {
	pending, err := newFile(path)
	if err != nil {
		return err
	}
	defer func() { _ = pending.Cleanup() }()
	if _, err := pending.Write(data); err != nil {
		return err
	}
	if err := pending.CloseAtomicallyReplace(); err != nil {
		return err
	}
	// Makes the rename survive a loss of power. Some file systems cannot sync a directory.
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
	return nil
}

// within returns what f returns, or an error after the timeout; f then goes on alone.
func within[T any](timeout time.Duration, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-time.After(timeout):
		var none T
		return none, errHangs
	}
}

// explain returns the cause of an error of the disk without the path, which the caller names.
func explain(err error) error {
	if cause, ok := errors.AsType[syscall.Errno](err); ok {
		if cause == syscall.ELOOP {
			return errors.New("not a regular file")
		}
		return cause
	}
	return err
}
