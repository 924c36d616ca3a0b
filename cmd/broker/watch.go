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

// maxLook limits how much of the file a look reads.
const maxLook = 16 << 20

// watch detects when the contents of a file change. It polls: two equal looks in a row are a
// change. So it depends on no notifications, works whether the file is written, renamed or behind a
// symbolic link that is swapped, and leaves a half-written file alone.
type watch struct {
	file string
	used [sha256.Size]byte // the contents taken, whether they could be used or not
	last [sha256.Size]byte // the last look
}

// newWatch returns a watch of a file and takes its current contents.
func newWatch(file string) *watch {
	w := &watch{file: file}
	w.take()
	return w
}

// take takes the current contents.
func (w *watch) take() {
	w.used = w.look()
	w.last = w.used
}

// changed looks once. It reports whether the contents differ from those that were taken, and takes
// them.
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

// look returns a digest of the contents: the zero value if there is no file.
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

// reloading calls reload for each hangup and for each change of the watched file, and next for each
// signal to replace the process, until ctx ends. A nil watch watches nothing.
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
