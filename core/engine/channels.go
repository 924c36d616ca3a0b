package engine

import (
	"bytes"
	"hash/maphash"
	"slices"
)

// channelSet are the owned channels. It finds those in which an address lies: those that are
// called as one of its beginnings, up to before a slash, or as all of it. A look-up costs as
// much as the address is long, however many levels it has: beginnings are told apart by
// hashes, each of which goes on where that of the one before ends. Guarded by Engine.mu.
type channelSet struct {
	seed   maphash.Seed // static
	byHash map[uint64][]*channel
}

func newChannelSet() channelSet {
	return channelSet{seed: maphash.MakeSeed(), byHash: make(map[uint64][]*channel)}
}

func (s *channelSet) hash(name string) uint64 {
	// As around does it: maphash.String need not agree with it.
	var h maphash.Hash
	h.SetSeed(s.seed)
	_, _ = h.WriteString(name)
	return h.Sum64()
}

func (s *channelSet) add(c *channel) {
	k := s.hash(c.name)
	s.byHash[k] = append(s.byHash[k], c)
}

// remove reports whether c was there.
func (s *channelSet) remove(c *channel) bool {
	k := s.hash(c.name)
	before := len(s.byHash[k])
	rest := slices.DeleteFunc(s.byHash[k], func(other *channel) bool { return other == c })
	if len(rest) == 0 {
		delete(s.byHash, k)
	} else {
		s.byHash[k] = rest
	}
	return len(rest) < before
}

// get returns the channel of a name; nil if there is none.
func (s *channelSet) get(name string) *channel {
	for _, c := range s.byHash[s.hash(name)] {
		if c.name == name {
			return c
		}
	}
	return nil
}

// around calls f with what may be the channels around address, the outermost first, until f
// returns false. They are as long as the beginning of address that they stand for; whether
// they are that (channel.has) f finds out where it matters, as it takes a look at all of it.
func (s *channelSet) around(address []byte, f func(c *channel) bool) {
	if len(s.byHash) == 0 {
		return
	}
	var h maphash.Hash
	h.SetSeed(s.seed)
	for at := 0; ; {
		next := bytes.IndexByte(address[at:], '/')
		end := len(address)
		if next >= 0 {
			end = at + next
		}
		_, _ = h.Write(address[at:end])
		for _, c := range s.byHash[h.Sum64()] {
			if len(c.name) == end && !f(c) {
				return
			}
		}
		if next < 0 {
			return
		}
		_ = h.WriteByte('/')
		at = end + 1
	}
}

// has reports whether an address that is not shorter than the channel's name lies in it.
func (c *channel) has(address []byte) bool { return c.name == string(address[:len(c.name)]) }
