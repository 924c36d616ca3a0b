package network

import (
	"errors"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// localFormat is a format whose codecs are in this process. Static after construction.
type localFormat struct{ ep *endpoint }

func (f *localFormat) translator(c *conn) translator {
	return &local{conn: c, codec: f.ep.Format.NewCodec()}
}

func (f *localFormat) begin() {}
func (f *localFormat) end()   {}

var errUnwritable = errors.New("the client's format has no words for it")

func (f *localFormat) writable(ev core.Event) (core.Written, error) {
	out := newFrame()
	defer out.release()
	ok, err := out.encodeWith(f.ep.Format.EncodeMessage, ev)
	switch {
	case err != nil:
		return core.Written{}, err
	case !ok:
		return core.Written{}, errUnwritable
	}
	w := core.Written{Bytes: len(out.bytes), Frame: core.TextFrame}
	if ws.OpCode(out.bytes[0]&0x0f) == ws.OpBinary {
		w.Frame = core.BinaryFrame
	}
	return w, nil
}

// deliver encodes ev once for all.
func (f *localFormat) deliver(m mail, ev core.Event, to []core.Audience, by core.Crossing) {
	out := newFrame()
	defer out.release()
	ok, err := out.encodeWith(f.ep.Format.EncodeMessage, ev)
	if by != nil {
		f.ep.tellCrossing(by, out, to, ok, err)
	}
	switch {
	case err != nil:
		m.lost = &loss{ev.Author, err}
	case !ok:
		return
	default:
		m.frame = out
		f.ep.markPublished(out, ev, f.ep.conflates())
	}
	for len(to) > 0 {
		to = to[to[0].(*audience).loop.deliver(m, to):]
	}
}

// local is the translator of a codec in this process.
type local struct {
	// Static after construction.
	conn  *conn
	codec core.Codec

	// Owned by the loop. Not nil while a message is decoded off the loop; closed to drop that
	// message.
	dropped chan struct{}
	// Owned by the loop. The message that is carried out, if a tap watches topics; else nil.
	said *core.Frame
}

func (l *local) open() {
	c := l.conn
	c.connect()
	if o, ok := l.codec.(core.Opener); ok {
		o.Open(c.id, c)
	}
	c.Tell(core.Event{Kind: core.Welcome})
	c.listen()
}

func (l *local) read(f core.Frame) (done bool, err error) {
	if l.decodesAside(len(f.Data)) {
		l.decodeAside(f)
		return false, nil
	}
	spent := l.conn.ep.server.spent.Load()
	err = l.codec.Decode(f, l.conn)
	l.conn.spendSince(spent)
	return true, err
}

func (l *local) keep(f core.Frame) {
	f = f.Clone()
	l.said = &f
}

func (l *local) saying() (f core.Frame, ok bool) {
	if l.said == nil {
		return f, false
	}
	return *l.said, true
}

func (l *local) forget() {
	if l.said != nil {
		l.said = nil
	}
}

func (l *local) busy() bool    { return l.dropped != nil }
func (l *local) lingers() bool { return l.busy() }

// behind is never called: while a message is decoded off the loop the connection is held.
func (l *local) behind(f func()) { f() }

func (l *local) resume() bool { return true }

func (l *local) tell(ev core.Event) {
	c := l.conn
	f := newFrame()
	ok, err := f.encodeWith(l.codec.Encode, ev)
	v, ends := errors.AsType[*core.Violation](err)
	switch {
	case err != nil && !ends:
		f.release()
		c.dropUnwritableEvent(ev.Author, ev.PendingCall(), err)
		if c.peer != nil {
			c.peer.Unwritten(ev)
		}
	case ok && ev.IsRequest():
		c.queueRequest(f, ev.PendingCall())
	case ok:
		c.queueMessage(f)
	default:
		f.release()
	}
	if ends {
		c.sayGoodbye(v.Reason)
	}
}

func (l *local) send(ev core.Event) { l.conn.loop.post(mail{conn: l.conn, event: copyEvent(ev)}) }

func (l *local) admits(int) bool { return true }

// farewell queues the Goodbye after all other output. A slow client gets none: it would never
// read that far.
func (l *local) farewell(r core.Reason) bool {
	if r != core.ReasonSlow {
		l.conn.giveUp()
		l.queueGoodbye(r)
	}
	return true
}

// queueGoodbye queues the format's Goodbye. If the codec panics over it, or answers with a
// violation, there is none: the connection is ending anyway.
func (l *local) queueGoodbye(r core.Reason) {
	c := l.conn
	defer func() {
		if fault := recover(); fault != nil {
			c.ep.server.panicked(c, fault)
		}
	}()
	f := newFrame()
	ok, err := f.encodeWith(l.codec.Encode, core.Event{Kind: core.Goodbye, Reason: r})
	if ok {
		c.queueMessage(f)
		return
	}
	f.release()
	if _, ends := errors.AsType[*core.Violation](err); err != nil && !ends {
		c.dropUnwritable("", err)
	}
}

func (l *local) close() { l.dropMessage() }
