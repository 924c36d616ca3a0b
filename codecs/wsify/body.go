package wsify

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/polywire/polywire/core"
)

// bodies is how many bodies of the greatest size there may be at once: clients that send
// slowly must not take the memory of one body for each connection.
const bodies = 4

// A body is dropped if it has not arrived within bodyGrace, and a second more for each
// bodyRate bytes that have, but no more than bodyLongest.
const (
	bodyGrace   = 20 * time.Second
	bodyRate    = 1 << 10
	bodyLongest = time.Minute
)

// errBusy: the body is dropped because there are too many.
var errBusy = errors.New("too many bodies at once")

// reading holds the bodies that are being read or published. Any goroutine.
type reading struct {
	// Static after construction.
	limit int64 // in bytes
	grace time.Duration

	// Guarded by mu.
	mu   sync.Mutex
	size int64
	all  []*body // in the order in which they began
}

// body is a request's body as its handler counts it. It is read by one goroutine.
type body struct {
	// Static after construction.
	io.Reader
	reading *reading
	client  core.Host
	conn    *http.ResponseController
	began   time.Time

	// Guarded by the mu of reading.
	size  int64
	whole bool // it is not read any more
	ended bool // it was dropped: its client had more than others
}

// begin returns the body of r.
func (a *reading) begin(w http.ResponseWriter, r *http.Request, limit int64) *body {
	from, _ := netip.ParseAddrPort(r.RemoteAddr) // none at a Unix socket
	b := &body{
		Reader: http.MaxBytesReader(w, r.Body, limit), reading: a, client: core.HostOf(from.Addr()),
		conn: http.NewResponseController(w), began: time.Now(),
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, b)
	b.allow()
	return b
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if !b.reading.add(b, int64(n), err == io.EOF) {
		return n, errBusy
	}
	return n, err
}

// allow sets the deadline for more of the body. The caller holds mu.
func (b *body) allow() {
	allowed := min(b.reading.grace+time.Duration(b.size)*time.Second/bodyRate, bodyLongest)
	// The only error is a connection that is gone, which reading tells too.
	_ = b.conn.SetReadDeadline(b.began.Add(allowed))
}

// add counts n more bytes of b. If that is too much, the client that has most loses the
// bodies that it began last. It reports false if b is one of these.
func (a *reading) add(b *body, n int64, whole bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if b.ended {
		return false
	}
	b.size += n
	a.size += n
	b.whole = whole
	for a.size > a.limit {
		last := a.lastOfMost()
		if last == nil {
			last = b
		}
		last.ended = true
		a.size -= last.size
		last.size = 0
		_ = last.conn.SetReadDeadline(time.Unix(1, 0)) // so that it is not waited for
		if last == b {
			return false
		}
	}
	if !whole {
		b.allow()
	}
	return true
}

// lastOfMost returns the body that the client with the most bytes began last; nil if all
// bodies are whole. The caller holds mu.
func (a *reading) lastOfMost() *body {
	of := make(map[core.Host]int64)
	for _, b := range a.all {
		of[b.client] += b.size
	}
	var last *body
	for _, b := range a.all {
		if !b.ended && !b.whole && b.size > 0 && (last == nil || of[b.client] >= of[last.client]) {
			last = b
		}
	}
	return last
}

// done counts the body's memory as free again.
func (b *body) done() {
	a := b.reading
	a.mu.Lock()
	defer a.mu.Unlock()
	a.size -= b.size
	i := slices.Index(a.all, b)
	a.all = slices.Delete(a.all, i, i+1)
}
