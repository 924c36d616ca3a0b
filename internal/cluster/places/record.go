package places

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
	"github.com/polywire/polywire/internal/cluster/roster"
)

const (
	// maxInfo bounds the information of a session: NATS takes messages of 1 MiB by default.
	maxInfo = 768 << 10
	// maxCount bounds what a record says that one node has.
	maxCount = math.MaxInt32
	// maxNodes bounds the nodes of a record.
	maxNodes = 4 * roster.MaxNodes
	// MaxRecord bounds a record, in bytes.
	MaxRecord = maxInfo + 64<<10
)

// The first part of a record's name.
const (
	sessionNames = "session."
	userNames    = "user."
)

// nameOf returns the name of a record: letters, digits and a dot.
func nameOf(kind, key string) string {
	sum := sha256.Sum256([]byte(kind + key))
	return kind + hex.EncodeToString(sum[:])
}

// record is what the cluster knows of a session or a user: an object in a line, and behind it the
// information of the session as it is.
type record struct {
	// Created and Lookup are those of the session.
	Created time.Time `json:"created,omitzero"`
	Lookup  time.Time `json:"lookup,omitzero"`
	// MaxAge is how long it is kept after its last use, and Expires until when; zero is for ever.
	MaxAge  time.Duration `json:"max_age,omitempty"`
	Expires time.Time     `json:"expires,omitzero"`
	// Places is how many connections of each node have it.
	Places map[core.NodeID]int `json:"places,omitempty"`

	info []byte
}

var errRecord = errors.New("a record of a session or user makes no sense")

// encode writes a record.
func (r *record) encode() []byte {
	head, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("encoding a record: %v", err)) // it has nothing that JSON cannot say
	}
	return append(append(head, '\n'), r.info...)
}

// decode reads a record that anybody may have written.
func decode(value []byte) (*record, error) {
	head, info, ok := bytes.Cut(value, []byte{'\n'})
	r := new(record)
	if !ok || len(value) > MaxRecord || json.Unmarshal(head, r) != nil || len(r.Places) > maxNodes {
		return nil, errRecord
	}
	for n, count := range r.Places {
		if !roster.ValidNode(n) || count <= 0 || count > maxCount {
			return nil, errRecord
		}
	}
	if len(info) > 0 {
		if !rawjson.Valid(info) {
			return nil, errRecord
		}
		r.info = info
	}
	return r, nil
}

// use notes that a record is used now.
func (r *record) use(now time.Time, maxAge time.Duration) {
	r.MaxAge, r.Expires = maxAge, time.Time{}
	if maxAge > 0 {
		r.Expires = now.Add(maxAge)
	}
}

// over reports whether the time of a record is up.
func (r *record) over(now time.Time) bool { return !r.Expires.IsZero() && !now.Before(r.Expires) }

// ttl is how long the store keeps a record; 0 is for ever.
func (r *record) ttl(now time.Time) time.Duration {
	if r.Expires.IsZero() {
		return 0
	}
	return max(r.Expires.Sub(now), time.Second)
}

// session returns a copy of the session of a record.
func (r *record) session(key string) core.Session {
	return core.Session{Key: key, Created: r.Created, LastLookup: r.Lookup, Info: bytes.Clone(r.info)}
}
