package network

import (
	"bytes"
	"errors"
	"time"

	"github.com/polywire/polywire/core"
)

// dispatch is one message for the audiences of one shard, on its way through a format whose
// codecs are in another process.
type dispatch struct {
	mail   mail
	to     []core.Audience
	at     []uint64 // for each loop of to: where in its mailbox the message was when it was sent
	keyed  bool     // newer messages of the address may replace this one
	as     uint32   // the address, if keyed
	topic  []byte
	author string
	read   time.Duration
	by     core.Crossing // nil unless the message is watched
}

// deliver asks each shard once to encode the message. A client that joins an audience in the
// meantime does not get it, as if the message had been in the mailbox.
func (f *remoteFormat) deliver(m mail, ev core.Event, to []core.Audience, by core.Crossing) {
	shards := f.format.Shards()
	for shard := range shards {
		d := dispatch{mail: m, author: ev.Author, read: ev.Read, by: by}
		if f.ep.conflates() {
			d.keyed, d.as, d.topic = true, ev.As, bytes.Clone(ev.Topic)
		}
		var last *loop
		for _, a := range to {
			l := a.(*audience).loop
			if l.index%shards != shard {
				continue
			}
			d.to = append(d.to, a)
			if l != last {
				d.at = append(d.at, l.mailbox.reserve())
				last = l
			}
		}
		if len(d.to) > 0 {
			f.format.AskMessage(shard, ev, d.deliver)
		}
	}
}

// deliver hands the message to the loops. Any goroutine; the order of the calls is that
// of the messages.
func (d *dispatch) deliver(f core.Frame, err error) {
	if d.by != nil {
		d.to[0].(*audience).ep.tellEncoded(d.by, f, d.to, err)
	}
	if v, lost := errors.AsType[*core.Violation](err); lost {
		for _, aud := range d.to {
			aud.(*audience).dropAll(nil, v.Reason)
		}
		return
	}
	switch {
	case err != nil:
		d.mail.lost = &loss{d.author, err}
	case f.Kind == core.NoFrame:
		return
	default:
		d.mail.frame = d.frameOf(f)
		defer d.mail.frame.release()
	}
	for rest := d.to; len(rest) > 0; d.at = d.at[1:] {
		d.mail.pos = d.at[0]
		rest = rest[rest[0].(*audience).loop.deliver(d.mail, rest):]
	}
}

// frameOf returns the frame of the message with one reference.
func (d *dispatch) frameOf(f core.Frame) *frame {
	ep := d.to[0].(*audience).ep
	out := frameOf(f)
	ep.markPublished(out, core.Event{As: d.as, Topic: d.topic, Read: d.read}, d.keyed)
	return out
}
