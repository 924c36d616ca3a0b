package places

import (
	"context"
	"errors"
	"time"
)

// ErrStale is the error of Store.Put and Store.Delete if somebody else has changed the record.
var ErrStale = errors.New("the record was changed meanwhile")

// Store keeps records by their names, for all nodes, as one connection to the engine does. Its
// methods block for some seconds at most, and may be called from many goroutines at once.
type Store interface {
	// Get returns a record as it is after all changes that have succeeded anywhere, and its revision.
	// value is nil if there is none; that has a revision too.
	Get(ctx context.Context, name string) (value []byte, rev uint64, err error)
	// Put writes a record that has the revision rev still. It is kept for ttl, 0 is for ever. After an
	// error that is not ErrStale it may have been written nevertheless.
	Put(ctx context.Context, name string, value []byte, rev uint64, ttl time.Duration) error
	// Delete removes a record that has the revision rev still; there may be none. Errors as of Put.
	Delete(ctx context.Context, name string, rev uint64) error
}
