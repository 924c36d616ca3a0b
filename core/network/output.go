package network

import (
	"bytes"
	"slices"
	"time"

	"github.com/polywire/polywire/core"
)

// listed says in which of its loop's lists a connection is because of its output. It is
// in at most one; a list entry is stale if its connection says otherwise.
type listed uint8

const (
	// unlisted: in none. No output waits, or it is being written.
	unlisted listed = iota
	// inTurn: it is written when the turn ends.
	inTurn
	// postponed: there was too much to write in one turn; a later turn continues.
	postponed
	// stuck: the socket is full; the write is retried after a while.
	stuck
)

// output is the queue of frames for one client; the first may be written in part. Owned by the
// loop.
//
// Frames are lent by a turn of the loop, which releases them when it ends. To hold frames
// longer, an output keeps them, with references of its own. Kept frames come before lent ones.
// Only an output that is listed for the end of the turn, or is being written then, has lent
// frames: in all other lists, pushed frames are kept at once.
type output struct {
	frames []*frame
	off    int         // bytes of the first frame that are written
	size   int         // bytes that are not written
	owed   int         // the part of size that no policy may drop
	kept   int         // how many frames, from the front, are kept
	weight weight      // of all frames
	newest *index      // with Conflate, while the socket is full
	budget *budget     // kept frames count against it; static
	level  *core.Level // the size counts in it while the socket is full; static
	list   listed
}

// push appends l. It reports whether the caller must list the connection for the end of the
// turn.
func (o *output) push(l lent) (list bool) {
	f := l.frame
	o.frames = append(o.frames, f)
	o.count(f, len(f.bytes))
	o.weight.add(f, 1)
	switch {
	case o.newest == nil:
	case f.purpose == published && f.key == nil:
		*o.newest = index{}
	default:
		o.newest.set(f, len(o.frames)-1)
	}
	return o.listForTurn()
}

// listForTurn is push for output that is not in frames.
func (o *output) listForTurn() (list bool) {
	switch o.list {
	case unlisted:
		o.list = inTurn
		return true
	case inTurn:
	case postponed, stuck:
		o.keep()
	}
	return false
}

// keepFor keeps all frames beyond the turn. It reports whether the caller must put the
// connection into the list to.
func (o *output) keepFor(to listed) (list bool) {
	o.keep()
	list = o.list != to
	o.enlist(to)
	return list
}

// enlist notes in which list the connection is.
func (o *output) enlist(to listed) {
	if was := o.list == stuck; was != (to == stuck) {
		n := o.size
		if was {
			n = -n
		}
		o.level.Add(int64(n))
	}
	o.list = to
}

func (o *output) keep() {
	for _, f := range o.frames[o.kept:] {
		f.retain()
		f.charge(o.budget)
	}
	o.setKept(len(o.frames))
}

// setKept sets how many frames are kept. Their queue slots count against the budget.
func (o *output) setKept(n int) {
	o.budget.add((n - o.kept) * slotBytes)
	o.kept = n
}

// count adds n bytes of f to the waiting output; n may be negative.
func (o *output) count(f *frame, n int) {
	o.size += n
	if o.list == stuck {
		o.level.Add(int64(n))
	}
	if f.purpose == owed {
		o.owed += n
	}
}

// weight is the memory of frames, which is far more than their bytes if they are small.
type weight struct{ all, owed int }

// add adds the memory of f n times.
func (w *weight) add(f *frame, n int) {
	n *= frameBytes + slotBytes + max(cap(f.buf), len(f.bytes))
	w.all += n
	if f.purpose == owed {
		w.owed += n
	}
}

// weightBehind returns the weight of the frames after the first.
func (o *output) weightBehind() weight {
	w := o.weight
	if len(o.frames) > 0 {
		w.add(o.frames[0], -1)
	}
	return w
}

// behind returns how many bytes wait after the first frame, which is in flight, and how
// many of them are owed.
func (o *output) behind() (all, ofOwed int) {
	if len(o.frames) == 0 {
		return 0, 0
	}
	all, ofOwed = o.size, o.owed
	first := o.frames[0]
	left := len(first.bytes) - o.off
	if first.purpose == owed {
		ofOwed -= left
	}
	return all - left, ofOwed
}

// unwritten returns the index of the first frame that is not partly written.
func (o *output) unwritten() int {
	if o.off > 0 {
		return 1
	}
	return 0
}

// wrote takes n bytes off the front.
func (o *output) wrote(n int) {
	gone := 0
	for n > 0 {
		f := o.frames[gone]
		left := len(f.bytes) - o.off
		o.count(f, -min(n, left))
		if n < left {
			o.off += n
			break
		}
		n -= left
		o.off = 0
		o.weight.add(f, -1)
		if f.delays != nil {
			f.delays.Observe(time.Since(f.read))
		}
		gone++
	}
	if gone == 0 {
		return
	}
	o.newest.left(o.frames[:gone])
	for _, f := range o.frames[:min(gone, o.kept)] {
		f.release()
	}
	o.setKept(max(0, o.kept-gone))
	clear(o.frames[:gone])
	if gone < len(o.frames) {
		o.frames = o.frames[gone:]
	} else {
		o.frames = o.frames[:0]
	}
}

// remove takes out the frame at i, which must not be partly written. It is quick near the
// front, and near the end if nothing is conflated.
func (o *output) remove(i int) {
	f := o.frames[i]
	o.count(f, -len(f.bytes))
	o.weight.add(f, -1)
	if i < o.kept {
		defer f.release()
		o.setKept(o.kept - 1)
	}
	if o.newest == nil && i > len(o.frames)/2 {
		o.frames = slices.Delete(o.frames, i, i+1)
		return
	}
	if o.newest != nil {
		o.newest.moveUp(o.frames[:i])
		o.newest.leave(f, i)
		o.newest.gone++
	}
	copy(o.frames[1:], o.frames[:i])
	o.frames[0] = nil
	o.frames = o.frames[1:]
}

// replace puts l in the place of an older message of the same address that is not partly
// written, if one waits for the full socket and the output stays within limit. It reports
// whether it did, and the length of the replaced payload.
func (o *output) replace(l lent, limit int) (lost int, done bool) {
	f := l.frame
	at, ok := o.newest.find(o.frames, f)
	if !ok || at < o.unwritten() {
		return 0, false
	}
	old := o.frames[at]
	if all, _ := o.behind(); at > 0 && all-len(old.bytes)+len(f.bytes) > limit {
		return 0, false
	}
	lost = old.payload
	o.count(old, -len(old.bytes))
	o.count(f, len(f.bytes))
	o.weight.add(old, -1)
	o.weight.add(f, 1)
	o.frames[at] = f
	if at < o.kept {
		l.keep().charge(o.budget)
		old.release()
	}
	return lost, true
}

// conflate begins to index the newest message of each address. Messages that were queued
// under another policy have no key. Nothing before them is replaced, because the new message
// would overtake them.
func (o *output) conflate() {
	if o.newest != nil {
		return
	}
	o.newest = new(index)
	from := len(o.frames)
	for from > 0 && (o.frames[from-1].purpose != published || o.frames[from-1].key != nil) {
		from--
	}
	for i, f := range o.frames[from:] {
		o.newest.set(f, from+i)
	}
}

// ending counts the messages that end within the next n bytes, and their payload bytes.
func (o *output) ending(n int) (messages, payload int) {
	n += o.off
	for _, f := range o.frames {
		if n -= len(f.bytes); n < 0 {
			break
		}
		if !f.purpose.isControl() {
			messages++
			payload += f.payload
		}
	}
	return messages, payload
}

// drop drops all frames, even a partly written one. The output stays in its list.
func (o *output) drop() {
	for _, f := range o.frames[:o.kept] {
		f.release()
	}
	o.setKept(0)
	if o.list == stuck {
		o.level.Add(int64(-o.size))
	}
	o.frames, o.off, o.size, o.owed, o.weight, o.newest = nil, 0, 0, 0, weight{}, nil
}

// index stores the place of the newest message of each address in an output. Places are
// counted from the first frame that left the output since the index was made.
type index struct {
	places map[uint64]int // by the hash of the key
	gone   int            // how many frames have left the front
}

// find returns the place in frames of a message with the key of f. x may be nil.
func (x *index) find(frames []*frame, f *frame) (at int, ok bool) {
	if x == nil {
		return 0, false
	}
	place, ok := x.places[f.hash]
	if !ok {
		return 0, false
	}
	at = place - x.gone
	return at, bytes.Equal(frames[at].key, f.key)
}

// set stores at as the place of f, the newest of its address.
func (x *index) set(f *frame, at int) {
	if f.key == nil {
		return
	}
	if x.places == nil {
		x.places = make(map[uint64]int)
	}
	x.places[f.hash] = at + x.gone
}

// leave removes f, which was at at.
func (x *index) leave(f *frame, at int) {
	if f.key != nil && x.places[f.hash] == at+x.gone {
		delete(x.places, f.hash)
	}
}

// left removes frames that have left the front. x may be nil.
func (x *index) left(frames []*frame) {
	if x == nil {
		return
	}
	for i, f := range frames {
		x.leave(f, i)
	}
	x.gone += len(frames)
}

// moveUp moves each of the first frames one place to the back. Then the first place leaves the
// output, so the places of all other frames stay.
func (x *index) moveUp(frames []*frame) {
	for i, f := range slices.Backward(frames) {
		if place, ok := x.places[f.hash]; ok && f.key != nil && place == i+x.gone {
			x.places[f.hash] = place + 1
		}
	}
}
