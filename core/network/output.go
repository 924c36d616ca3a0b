package network

import (
	"bytes"
	"slices"
)

// listed says in which of its loop's lists a connection is because of its output. It is
// in one at most; an entry of a list whose connection says otherwise is out of date.
type listed uint8

const (
	// unlisted: in none. Nothing waits, or it is being written.
	unlisted listed = iota
	// inTurn: it is written when the turn ends.
	inTurn
	// postponed: there was too much to write in one turn; a later one goes on.
	postponed
	// stuck: the socket is full, and is tried again after a while.
	stuck
)

// output is what waits to be written to one client: frames, of which the first may be
// written in part. Owned by the loop.
//
// Frames are lent by a turn of the loop, which lets them go when it ends. An output that lasts
// longer keeps them, with references of its own. Kept frames stand before lent ones. Only an
// output that is listed for the end of the turn, or is being written then, has lent ones: in
// all other lists what is pushed is kept at once.
type output struct {
	frames []*frame
	off    int     // bytes of the first frame that are written
	size   int     // bytes that are not written
	owed   int     // those of them that no policy may drop
	kept   int     // how many frames, from the front, are kept
	weight weight  // of all frames
	newest *index  // with Conflate, while the socket is full
	budget *budget // what is kept counts against it; static
	list   listed
}

// push puts l behind what waits. It reports whether the connection must be listed for the end
// of the turn, which the caller does.
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

// keepFor keeps all frames beyond the turn. It reports whether the connection must be put
// into the list to, which the caller does.
func (o *output) keepFor(to listed) (list bool) {
	o.keep()
	list = o.list != to
	o.list = to
	return list
}

func (o *output) keep() {
	for _, f := range o.frames[o.kept:] {
		f.retain()
		f.charge(o.budget)
	}
	o.setKept(len(o.frames))
}

// setKept sets how many frames are kept. The places in queues that last are counted
// against the budget.
func (o *output) setKept(n int) {
	o.budget.add((n - o.kept) * slotBytes)
	o.kept = n
}

// count adds n bytes of f to what waits; n may be negative.
func (o *output) count(f *frame, n int) {
	o.size += n
	if f.purpose == owed {
		o.owed += n
	}
}

// weight is the memory of frames, which is far more than their bytes if they are small.
type weight struct{ all, owed int }

// add adds that of f n times.
func (w *weight) add(f *frame, n int) {
	n *= frameBytes + slotBytes + max(cap(f.buf), len(f.bytes))
	w.all += n
	if f.purpose == owed {
		w.owed += n
	}
}

// weightBehind returns the weight of what waits behind the first frame.
func (o *output) weightBehind() weight {
	w := o.weight
	if len(o.frames) > 0 {
		w.add(o.frames[0], -1)
	}
	return w
}

// behind returns how many bytes wait behind the first frame, which is on its way, and how
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

// unwritten returns the index of the first frame of which nothing is written.
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

// remove takes out the frame at i, of which nothing is written. It is quick near the
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

// replace puts l in the place of an older message of its address, of which nothing is
// written, if one waits for the full socket and what waits stays within limit. It reports
// whether it did, and the length of the payload that nobody hears any more.
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

// conflate begins to remember where the newest message of each address is. Messages that
// were queued under another policy have no key: before them nothing is replaced, as what
// takes its place there would overtake them.
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

// ending counts the messages that end within the next n bytes, and the bytes of their
// payloads.
func (o *output) ending(n int) (messages, payload int) {
	n += o.off
	for _, f := range o.frames {
		if n -= len(f.bytes); n < 0 {
			break
		}
		if f.purpose != control {
			messages++
			payload += f.payload
		}
	}
	return messages, payload
}

// drop lets all go, also what is written in part. It stays in its list.
func (o *output) drop() {
	for _, f := range o.frames[:o.kept] {
		f.release()
	}
	o.setKept(0)
	o.frames, o.off, o.size, o.owed, o.weight, o.newest = nil, 0, 0, 0, weight{}, nil
}

// index remembers where in an output the newest message of each address is. Places are
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

// set remembers that f is at at, as the newest of its address.
func (x *index) set(f *frame, at int) {
	if f.key == nil {
		return
	}
	if x.places == nil {
		x.places = make(map[uint64]int)
	}
	x.places[f.hash] = at + x.gone
}

// leave forgets f, which was at at.
func (x *index) leave(f *frame, at int) {
	if f.key != nil && x.places[f.hash] == at+x.gone {
		delete(x.places, f.hash)
	}
}

// left tells that frames have left the front. x may be nil.
func (x *index) left(frames []*frame) {
	if x == nil {
		return
	}
	for i, f := range frames {
		x.leave(f, i)
	}
	x.gone += len(frames)
}

// moveUp tells that each of the first frames moves one place to the back, whereupon the
// first place leaves the output: the places as they are counted stay.
func (x *index) moveUp(frames []*frame) {
	for i, f := range slices.Backward(frames) {
		if place, ok := x.places[f.hash]; ok && f.key != nil && place == i+x.gone {
			x.places[f.hash] = place + 1
		}
	}
}
