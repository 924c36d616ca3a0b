package clustertest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/polywire/polywire/internal/cluster/places"
)

// Records is a [places.Store] in memory, for tests without an engine of clusters. The zero value is
// empty. Any goroutine.
type Records struct {
	// Before is called before each access, and may fail it; nil is nothing. Static.
	Before func(ctx context.Context, write bool) error

	mu   sync.Mutex
	last uint64
	all  map[string]kept
}

// kept is a record; without a value it was removed.
type kept struct {
	value []byte
	rev   uint64
	until time.Time // zero is for ever
}

var _ places.Store = (*Records)(nil)

// ErrCut is what Before may return.
var ErrCut = errors.New("the records cannot be reached")

func (r *Records) enter(ctx context.Context, write bool) error {
	if r.Before == nil {
		return nil
	}
	return r.Before(ctx, write)
}

// Get returns a record.
func (r *Records) Get(ctx context.Context, name string) (value []byte, rev uint64, err error) {
	if err := r.enter(ctx, false); err != nil {
		return nil, 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.all[name]
	if !k.until.IsZero() && time.Now().After(k.until) {
		k.value = nil
	}
	return bytes.Clone(k.value), k.rev, nil
}

// Put writes a record.
func (r *Records) Put(ctx context.Context, name string, value []byte, rev uint64, ttl time.Duration) error {
	k := kept{value: bytes.Clone(value)}
	if ttl > 0 {
		k.until = time.Now().Add(ttl)
	}
	return r.change(ctx, name, rev, k)
}

// Delete removes a record.
func (r *Records) Delete(ctx context.Context, name string, rev uint64) error {
	return r.change(ctx, name, rev, kept{})
}

func (r *Records) change(ctx context.Context, name string, rev uint64, k kept) error {
	if err := r.enter(ctx, true); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all[name].rev != rev {
		return places.ErrStale
	}
	if r.all == nil {
		r.all = make(map[string]kept)
	}
	r.last++
	k.rev = r.last
	r.all[name] = k
	return nil
}

// Values returns the values of all records that there are.
func (r *Records) Values() (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.all {
		if k.value != nil {
			all = append(all, string(k.value))
		}
	}
	return all
}
