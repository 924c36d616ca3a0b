package network

import (
	"bytes"

	"github.com/polywire/polywire/core"
)

// decodeAside is the size from which a message is decoded off the loop, if its codec allows
// that: a message of 32 MiB takes a good part of a second, in which nobody else of the loop
// would be heard. The connection is held meanwhile.
const decodeAside = 256 << 10

// decoded is what a codec has made of a message, for the loop to carry out.
type decoded struct {
	steps []func(core.Sink)
	err   error
	fault any // of a codec that panicked
}

var _ core.Sink = (*decoded)(nil)

// Do keeps a command. What is big of it lies in the message; all else is copied, as the
// codec may use its memory again.
func (d *decoded) Do(cmd core.Command) {
	payload, source := cmd.Payload, cmd.Source
	cmd.Payload, cmd.Source = core.Payload{}, nil
	cmd = cmd.Clone()
	cmd.Payload, cmd.Source = payload, source
	d.steps = append(d.steps, func(to core.Sink) { to.Do(cmd) })
}

// Refuse keeps a refusal.
func (d *decoded) Refuse(r core.Reason, ref []byte, f core.Failure) {
	ref = bytes.Clone(ref)
	d.steps = append(d.steps, func(to core.Sink) { to.Refuse(r, ref, f) })
}

// decode decodes f. Any goroutine.
func (d *decoded) decode(codec core.Codec, f core.Frame) {
	defer func() { d.fault = recover() }()
	d.err = codec.Decode(f, d)
}

// decodesAside reports whether a message of n bytes is decoded off the loop.
func (l *local) decodesAside(n int) bool {
	if n < decodeAside {
		return false
	}
	_, ok := l.codec.(core.Stateless)
	return ok
}

// decodeAside decodes f off the loop, and then goes on. As few messages are decoded at a time
// as leave the loops most of the processors; the others wait, and count as input that does.
func (l *local) decodeAside(f core.Frame) {
	c := l.conn
	if c.window != 0 {
		f.Data = bytes.Clone(f.Data) // it is the inflater's
	}
	dropped := make(chan struct{})
	l.dropped = dropped
	c.hold(decoding)
	s := c.ep.server
	go func() {
		select {
		case s.decoding <- struct{}{}:
		case <-dropped:
			return
		}
		d := new(decoded)
		func() {
			defer func() { <-s.decoding }()
			d.decode(l.codec, f)
		}()
		c.Post(func() { l.decoded(d) })
	}()
}

// decoded carries out what came of a message.
func (l *local) decoded(d *decoded) {
	c := l.conn
	if l.dropped == nil {
		return
	}
	l.dropped = nil
	if d.fault != nil {
		panic(d.fault) // as it would have on the loop, which ends the connection
	}
	before := c.ep.server.spent.Load()
	for _, step := range d.steps {
		step(c)
	}
	c.spendSince(before)
	c.carriedOut(d.err)
	c.release(decoding)
}

// dropMessage drops a message that is decoded off the loop.
func (l *local) dropMessage() {
	if l.dropped != nil {
		close(l.dropped)
		l.dropped = nil
		l.conn.ep.Stats.Refused.Inc(l.conn.reason)
	}
}
