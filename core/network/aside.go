package network

import (
	"bytes"

	"github.com/polywire/polywire/core"
)

// decodeAside is the size from which a message is decoded off the loop, if its codec allows
// that: a message of 32 MiB takes a good part of a second and would block all other
// connections of the loop. The connection is held meanwhile.
const decodeAside = 256 << 10

// decoded is the result of decoding a message, for the loop to carry out.
type decoded struct {
	steps []func(core.Sink)
	err   error
	fault any // of a codec that panicked
}

var _ core.Sink = (*decoded)(nil)

// Do keeps a command. Its big parts point into the message; the rest is copied, because the
// codec may reuse its memory.
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

// decodeAside decodes f off the loop, and then resumes the connection. Few messages are decoded
// at a time, so that the loops keep most of the processors; the others wait and count as
// waiting input.
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

// decoded carries out the decoded commands of a message.
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

// dropMessage drops a message that is being decoded off the loop.
func (l *local) dropMessage() {
	if l.dropped != nil {
		close(l.dropped)
		l.dropped = nil
		l.conn.ep.Stats.Refused.Inc(core.ReasonLost)
	}
}
