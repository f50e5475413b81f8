package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Source is where a token's secret comes from: a file, an environment variable, or the configuration itself.
type Source struct {
	kind sourceKind
	text Secret // the file's path, the variable's name, or the token itself
}

// sourceKind is the key of the configuration that sets such a source.
type sourceKind string

const (
	fromFile sourceKind = "token_file"
	fromEnv  sourceKind = "token_env"
	inline   sourceKind = "token"
)

// FileSource is a secret in a file.
func FileSource(path string) Source { return Source{fromFile, NewSecret(path)} }

// EnvSource is a secret in an environment variable.
func EnvSource(variable string) Source { return Source{fromEnv, NewSecret(variable)} }

// InlineSource is a secret in the configuration itself.
func InlineSource(secret Secret) Source { return Source{inline, secret} }

// Digest returns a short salted digest that is equal for equal sources. See [Secret.Digest].
func (s Source) Digest(salt []byte) string { return s.String() + ":" + s.text.Digest(salt) }

// String returns the kind of source, as the key of the configuration. What it names may be a token that slipped.
func (s Source) String() string { return string(s.kind) }

// Read returns the secret as it is now, without the white space behind it. A file system that hangs blocks it; see
// [Reader]. The error is what is wrong with the source; what would be right. It never quotes the secret.
func (s Source) Read() (Secret, error) {
	name := s.text.Reveal()
	var what, text string
	switch s.kind {
	case inline:
		return s.text, nil
	case fromEnv:
		value, ok := os.LookupEnv(name)
		if !ok {
			return Secret{}, fmt.Errorf("the environment variable %s is not set; set it for the exporter's process", name)
		}
		what, text = "the environment variable", value
	default:
		content, err := readRegular(name)
		if err != nil {
			return Secret{}, fmt.Errorf("reading the token file %s: %w", name, err)
		}
		what, text = "the token file", string(content)
	}
	secret, err := parseToken(text)
	if err != nil {
		return Secret{}, fmt.Errorf("%s %s %w", what, name, err)
	}
	return secret, nil
}

// maxFileBytes bounds each file that is read: enough for a configuration of 20,000 tokens.
const maxFileBytes = 4 << 20

// readRegular returns the content of a regular file, after following symbolic links. Pipes and devices, which could
// block forever, are an error. The error does not name the file.
func readRegular(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, explainFileError(err)
	case info.IsDir():
		return nil, errors.New("a directory; give the path of a file (if Docker made the directory, because the file to " +
			"mount was missing, create the file on the host, then create the container again)")
	case !info.Mode().IsRegular():
		return nil, errors.New("not a regular file; give the path of one")
	case info.Size() > maxFileBytes:
		return nil, fmt.Errorf("larger than %d MiB; give the path of another file", maxFileBytes>>20)
	}
	content, err := os.ReadFile(path)
	return content, explainFileError(err)
}

// explainFileError returns what is wrong with a file and what to do, without the file's name; nil for nil.
func explainFileError(err error) error {
	withPath, ok := errors.AsType[*fs.PathError](err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("no such file or directory; create it, or correct the path")
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("permission denied; make it readable by the exporter's user (uid %d)", os.Geteuid())
	case ok:
		return withPath.Err
	}
	return err
}

// ReadTimeout bounds how long [Reader.Read] waits for the sources of all tokens together.
const ReadTimeout = time.Second

var errHangs = errors.New("cannot be read in time; check the file system that it is on")

var readSource = Source.Read // tests replace it

// Reader reads the sources of tokens, and waits for none that hangs. The zero value is ready. A Reader is safe for
// concurrent use, and should live long: it starts no second read of a file while one hangs.
type Reader struct {
	pending sync.Map // the *pendingRead of each file that is being read
}

// Reading is the result of reading one source.
type Reading struct {
	Secret Secret
	Err    error // see [Source.Read]
}

// pendingRead is a read of one file. Several calls of [Reader.Read] can wait for it.
type pendingRead struct {
	ended  chan struct{}
	result atomic.Pointer[Reading] // errHangs until the read has ended
}

// Read returns a Reading for the source of each token, within [ReadTimeout]. Only files can hang: they are read at the
// same time.
func (r *Reader) Read(tokens []Token) []Reading {
	ctx, cancel := context.WithTimeout(context.Background(), ReadTimeout)
	defer cancel()
	readings, files := make([]Reading, len(tokens)), make(map[int]*pendingRead)
	for i, t := range tokens {
		if t.Source.kind == fromFile {
			files[i] = r.start(t.Source)
		} else {
			readings[i].Secret, readings[i].Err = t.Source.Read()
		}
	}
	for i, read := range files {
		select {
		case <-read.ended:
		case <-ctx.Done():
		}
		readings[i] = *read.result.Load()
	}
	return readings
}

// start returns the read of a file that is under way, or starts one.
func (r *Reader) start(s Source) *pendingRead {
	read := &pendingRead{ended: make(chan struct{})}
	read.result.Store(&Reading{Err: errHangs})
	path := s.text.Reveal()
	if earlier, underWay := r.pending.LoadOrStore(path, read); underWay {
		return earlier.(*pendingRead)
	}
	go func() {
		secret, err := readSource(s)
		read.result.Store(&Reading{secret, err})
		r.pending.Delete(path)
		close(read.ended)
	}()
	return read
}
