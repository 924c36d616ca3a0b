package auth

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// CacheOptions say how long answers are remembered.
type CacheOptions struct {
	// Allow and Deny are for answers without a max-age of their own.
	Allow, Deny time.Duration
	// Jitter is the part of its time by which an answer expires early at most, at random:
	// 0.1 is up to a tenth. So answers that came together are not asked for together again.
	Jitter float64
	// Size bounds the answers that allow, and separately those that deny; 0 is 10000.
	Size int
}

const (
	// memorySize is the default of CacheOptions.Size.
	memorySize = 10_000
	// maxAge bounds what a server can ask for.
	maxAge = 24 * time.Hour
)

// question is the digest of all that an answer depends on.
type question [sha256.Size]byte

// questionOf returns the digest of the parts. Where one ends and the next begins counts.
func questionOf(parts ...[]byte) (q question) {
	d := sha256.New()
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		d.Write(n[:])
		d.Write(p)
	}
	d.Sum(q[:0])
	return q
}

// memory caches answers. Those that allow and those that deny have separate places, so that
// a flood of refused clients evicts no answers for welcome ones. Any goroutine.
type memory[T any] struct {
	// Static after construction.
	options CacheOptions
	allowed *lru.Cache[question, kept[T]]
	denied  *lru.Cache[question, kept[T]]
}

// kept is a cached answer: fresh until a time, and still known after that.
type kept[T any] struct {
	answer T
	until  time.Time
}

func newMemory[T any](o CacheOptions) *memory[T] {
	if o.Size <= 0 {
		o.Size = memorySize
	}
	m := &memory[T]{options: o}
	// The only error is a size that is not positive.
	m.allowed, _ = lru.New[question, kept[T]](o.Size)
	m.denied, _ = lru.New[question, kept[T]](o.Size)
	return m
}

// fresh returns the answer to q while it is fresh.
func (m *memory[T]) fresh(q question) (answer T, ok bool) {
	k, ok := m.find(q)
	if !ok || !time.Now().Before(k.until) {
		return answer, false
	}
	return k.answer, true
}

// last returns the last answer to q, however old.
func (m *memory[T]) last(q question) (T, bool) {
	k, ok := m.find(q)
	return k.answer, ok
}

func (m *memory[T]) find(q question) (kept[T], bool) {
	if k, ok := m.allowed.Get(q); ok {
		return k, true
	}
	return m.denied.Get(q)
}

// put caches an answer as its Cache-Control says (RFC 9111, section 5.2.2), or else for the
// time of its kind. It is not fresh beyond ends, unless that is zero. The answer before it
// is dropped, also by no-store.
func (m *memory[T]) put(q question, answer T, allows bool, header http.Header, ends time.Time) {
	m.allowed.Remove(q)
	m.denied.Remove(q)
	age, to := m.options.Deny, m.denied
	if allows {
		age, to = m.options.Allow, m.allowed
	}
	store := true
	for directive := range strings.SplitSeq(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store":
			store = false
		case "no-cache":
			age = 0
		case "max-age":
			// A value that cannot be read means not fresh.
			seconds, _ := strconv.ParseUint(strings.Trim(value, `"`), 10, 32)
			age = min(time.Duration(seconds)*time.Second, maxAge)
		}
	}
	if !store {
		return
	}
	age -= time.Duration(rand.Float64() * m.options.Jitter * float64(age))
	until := time.Now().Add(age)
	if !ends.IsZero() && ends.Before(until) {
		until = ends
	}
	to.Add(q, kept[T]{answer: answer, until: until})
}
