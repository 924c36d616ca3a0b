package main

import (
	"context"
	"crypto/sha256"
	"io"
	"os"
	"time"
)

// watchInterval is the time between two looks at the configuration file.
const watchInterval = time.Second

// maxLook bounds how much of the file a look reads.
const maxLook = 16 << 20

// watch tells when a file has other contents. It looks, and two looks that agree are a
// change: no notification has to be understood, whether the file is written, renamed or
// behind a symbolic link that is swapped, and one that is being written is left alone.
type watch struct {
	file string
	used [sha256.Size]byte // what was taken, whatever became of it
	last [sha256.Size]byte // the last look
}

// newWatch returns a watch of a file whose contents of now are taken.
func newWatch(file string) *watch {
	w := &watch{file: file}
	w.take()
	return w
}

// take takes the contents of now.
func (w *watch) take() {
	w.used = w.look()
	w.last = w.used
}

// changed looks once. It reports whether the file has other contents than those that were
// taken, and takes them.
func (w *watch) changed() bool {
	found := w.look()
	settled := found == w.last
	w.last = found
	if !settled || found == w.used {
		return false
	}
	w.used = found
	return true
}

// look returns what tells the contents apart: the zero value if there is no file.
func (w *watch) look() (digest [sha256.Size]byte) {
	f, err := os.Open(w.file)
	if err != nil {
		return digest
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, maxLook)); err != nil {
		return digest
	}
	h.Sum(digest[:0])
	return digest
}

// reloading calls reload for each hangup, and when the watched file changes, and next for
// each signal to replace the process, until ctx ends; a nil watch looks at nothing.
func reloading(ctx context.Context, hangup, replace <-chan os.Signal, w *watch, every time.Duration, reload, next func()) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			if w != nil {
				w.take()
			}
			reload()
		case <-replace:
			next()
		case <-ticker.C:
			if w != nil && w.changed() {
				reload()
			}
		}
	}
}
