package redis

import (
	"context"
	_ "embed" // sessions.lua
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/cluster/frame"
	"github.com/polywire/polywire/internal/cluster/places"
)

//go:embed sessions.lua
var recordScript string

// records are the records of sessions and users, each a hash with a value and a revision: a number by
// chance, so that a record that was removed and made again has another one.
type records struct {
	// Static after construction.
	client *goredis.Client
	script *goredis.Script
	base   string // of the keys
}

var _ places.Store = (*records)(nil)

func newRecords(client *goredis.Client, prefix string) *records {
	return &records{client: client, script: goredis.NewScript(recordScript), base: newKeys(prefix).base}
}

// Get returns a record.
func (r *records) Get(ctx context.Context, name string) (value []byte, rev uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*askTimeout)
	defer cancel()
	list, err := r.client.HMGet(ctx, r.base+name, "rev", "value").Result()
	if err != nil {
		return nil, 0, explain("reading a record in Redis", err)
	}
	text, ok := list[0].(string)
	if !ok {
		return nil, 0, nil
	}
	if rev, err = strconv.ParseUint(text, 10, 64); err != nil || rev == 0 {
		return nil, 0, fmt.Errorf("the key %s%s has no revision: another program has written it", r.base, name)
	}
	text, _ = list[1].(string)
	return []byte(text), rev, nil
}

// Put writes a record.
func (r *records) Put(ctx context.Context, name string, value []byte, rev uint64, ttl time.Duration) error {
	next := rand.Uint64()>>1 | 1
	return r.change(ctx, name, rev, strconv.FormatUint(next, 10), value, ttl.Milliseconds())
}

// Delete removes a record.
func (r *records) Delete(ctx context.Context, name string, rev uint64) error {
	return r.change(ctx, name, rev)
}

func (r *records) change(ctx context.Context, name string, rev uint64, more ...any) error {
	ctx, cancel := context.WithTimeout(ctx, 2*askTimeout)
	defer cancel()
	was := ""
	if rev != 0 {
		was = strconv.FormatUint(rev, 10)
	}
	changed, err := r.script.Run(ctx, r.client, []string{r.base + name}, append([]any{was}, more...)...).Int()
	switch {
	case err != nil:
		return explain("writing a record in Redis", err)
	case changed == 0:
		return places.ErrStale
	}
	return nil
}

// Sessions returns the session store of the cluster; see [places.Table.Sessions].
func (b *Backplane) Sessions(maxAge time.Duration) core.SharedSessions {
	return b.places.Sessions(maxAge)
}

// Places returns the places of users in the cluster.
func (b *Backplane) Places() core.Places { return b.places.Users() }

// newPlaces returns the places of this node.
func newPlaces(b *Backplane) *places.Table {
	return places.New(places.Options{
		ID: b.id, Reached: b.nodes.Known, Stats: b.o.Stats, Logger: b.o.Logger,
		Tell: func(to core.NodeID, name string) {
			_ = b.say(to, outgoing{urgent: true}, frame.Frame{Kind: frame.Look, Notice: []byte(name)}) // it is counted
		},
	})
}
