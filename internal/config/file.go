package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// maxTokenBytes bounds what is read of a token file. No HTTP server takes a header of that length.
const maxTokenBytes = 64 << 10

// readTokenFile returns the text of the file at path. Its errors do not name the file.
func readTokenFile(path string) (string, error) {
	file, err := openRegular(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxTokenBytes+1))
	switch {
	case err != nil:
		return "", explainFileError(err)
	case len(text) > maxTokenBytes:
		return "", errors.New("larger than 64 KiB; the file must contain one token and nothing else")
	}
	return string(text), nil
}

// isWorldReadable reports whether the file's mode lets every user read it.
func isWorldReadable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0
}

// openRegular opens a regular file, after following symbolic links. Opening or reading a pipe or a device could block
// for ever. Its errors do not name the file.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, explainFileError(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file; give the path of one")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, explainFileError(err)
	}
	return file, nil
}

// explainFileError returns what is wrong with a file and what to do, without the file's name.
func explainFileError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("no such file; create it, or correct the path")
	case errors.Is(err, fs.ErrPermission):
		return errors.New("permission denied; make it readable by the exporter's user (uid 65532 in the image)")
	}
	if cause, ok := errors.AsType[syscall.Errno](err); ok {
		return cause
	}
	return errors.New("cannot be read")
}
