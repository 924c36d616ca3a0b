package engine

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/polywire/polywire/core"
)

// The bounds of an address. Levels cost a look-up each (for owners and patterns),
// and their number bounds the depth of a trie.
const (
	maxAddress = 1<<16 - 1 // bytes, as MQTT has it
	maxLevels  = 256
)

// check returns why a topic, pattern, channel or service is refused for its size.
func check(l *core.Limits, a []byte) refusal {
	if len(a) > bound(l.TopicLength, maxAddress) {
		return refusedTooLarge
	}
	if bytes.Count(a, []byte{'/'}) >= bound(l.TopicDepth, maxLevels) {
		return refusedTooDeep
	}
	return refusal{}
}

// checkPayload returns why a payload is refused for its depth.
func checkPayload(l *core.Limits, p core.Payload) refusal {
	if l.JSONDepth > 0 && p.Deeper(l.JSONDepth) {
		return refusedNested
	}
	return refusal{}
}

// checkMessage returns why a message to a is refused for its size or depth.
func checkMessage(l *core.Limits, a []byte, p core.Payload) refusal {
	if r := check(l, a); r.Failed() {
		return r
	}
	return checkPayload(l, p)
}

// bound returns the limit that an endpoint sets (0 is none), or the engine's own if
// that is lower.
func bound(limit, own int) int {
	if limit == 0 {
		return own
	}
	return min(limit, own)
}

// address is a topic, or all patterns that match the same, which somebody hears.
type address struct {
	// Static after construction. name is the whole topic, or the pattern without the names of
	// its wildcards and without the prefix of its trie.
	name string

	// Guarded by Engine.mu.
	audiences []*audience // sorted by compareAudiences
	place     *place      // nil for a topic
}

// audience is those of one loop who hear an address under one As at one endpoint.
type audience struct {
	// Static after construction; address once it is added.
	members  core.Audience
	address  *address
	endpoint *endpoint
	loop     int
	as       uint32

	// Guarded by Engine.mu. Only the audience's own loop changes it.
	size int
}

// compareGroups orders audiences such that those which one Deliver serves are
// neighbours: of one outlet, under one As.
func compareGroups(a, b *audience) int {
	return cmp.Or(cmp.Compare(a.endpoint.number, b.endpoint.number), cmp.Compare(a.as, b.as))
}

// audience returns the audience of the loop, endpoint and As of wanted, or nil. The
// caller holds Engine.mu.
func (a *address) audience(wanted *audience) *audience {
	if i, found := slices.BinarySearchFunc(a.audiences, wanted, compareAudiences); found {
		return a.audiences[i]
	}
	return nil
}

// add puts in an audience that is not there yet. The caller holds Engine.mu.
func (a *address) add(aud *audience) {
	i, _ := slices.BinarySearchFunc(a.audiences, aud, compareAudiences)
	aud.address = a
	a.audiences = slices.Insert(a.audiences, i, aud)
}

// drop takes out an audience. The caller holds Engine.mu.
func (a *address) drop(aud *audience) {
	if i, found := slices.BinarySearchFunc(a.audiences, aud, compareAudiences); found {
		a.audiences = slices.Delete(a.audiences, i, i+1)
	}
}

func compareAudiences(a, b *audience) int {
	return cmp.Or(compareGroups(a, b), cmp.Compare(a.loop, b.loop))
}
