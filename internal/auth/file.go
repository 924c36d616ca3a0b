package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
)

// maxFile bounds a file of keys or tokens, in bytes.
const maxFile = 1 << 20

var errLongFile = errors.New("the file is over 1 MiB")

// file holds the contents of a file. It reads the file again when it has changed; a file
// that cannot be read or makes no sense changes nothing. Any goroutine.
type file[T any] struct {
	// Static after construction.
	path  string
	parse func([]byte) (T, error)
	log   *slog.Logger

	// Guarded by mu.
	mu    sync.Mutex
	value T
	seen  os.FileInfo // of the file that value was read from
	bad   os.FileInfo // of the file last reported as bad; nil if it was missing
	down  bool        // the last attempt failed, and was reported
}

// openFile reads a file. The error names the file.
func openFile[T any](path string, parse func([]byte) (T, error), log *slog.Logger) (*file[T], error) {
	f := &file[T]{path: path, parse: parse, log: log}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := f.read(info); err != nil {
		return nil, err
	}
	return f, nil
}

// get returns what the file holds now, or held when it could last be read.
func (f *file[T]) get() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err == nil {
		if !f.down && same(info, f.seen) {
			return f.value
		}
		err = f.read(info)
	}
	switch {
	case err == nil:
		f.down = false
		f.log.Info("file read again", "file", f.path)
	case !f.down || !same(info, f.bad):
		f.down, f.bad = true, info
		f.log.Error("file cannot be used; what it held before stays", "file", f.path, "error", err)
	}
	return f.value
}

// read reads the file, which info describes.
func (f *file[T]) read(info os.FileInfo) error {
	data, err := readFile(f.path)
	if err != nil {
		return err
	}
	value, err := f.parse(data)
	if err != nil {
		return fmt.Errorf("reading %s: %w", f.path, err)
	}
	f.value, f.seen = value, info
	return nil
}

// readFile reads a whole file, unless it is too long.
func readFile(path string) ([]byte, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("reading %s: %w", path, errLongFile)
	}
	// Windows editors put a byte order mark before the first name, or the key.
	return bytes.TrimPrefix(data, []byte("\ufeff")), nil
}

// same reports whether a file is unchanged.
func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
