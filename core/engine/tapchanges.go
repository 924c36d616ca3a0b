package engine

import (
	"bytes"
	"fmt"

	"github.com/polywire/polywire/core"
)

// content is what was published, to be compared with what its receivers are told.
type content struct {
	payload core.Payload
	headers bool // there were some
}

// changes returns what a format's own client does not read as it was published. It is empty if nobody can say: the
// format has no client's side, or the frame was not kept.
func (sent *content) changes(format core.Format, ev core.TapEvent) []string {
	f := core.Frame{Kind: core.TextFrame, Data: bytes.Clone(ev.Data)}
	if ev.Kind == core.TapBinary {
		f.Kind = core.BinaryFrame
	}
	if len(f.Data) < ev.Size {
		return nil
	}
	heard, ok := hear(format, f)
	if !ok {
		return nil
	}
	var list []string
	if len(heard.Topic) == 0 {
		list = append(list, "receivers do not see the topic")
	}
	if sent.headers && len(heard.Headers) == 0 {
		list = append(list, "the headers are lost")
	}
	was, is := sent.payload, heard.Payload
	switch {
	case was.Kind == core.Absent && is.Kind != core.Absent:
		list = append(list, fmt.Sprintf("nothing becomes %.100s", is.Data))
	case was.Kind != is.Kind:
		list = append(list, fmt.Sprintf("%s is read as %s", payloadNames[was.Kind], payloadNames[is.Kind]))
	case !bytes.Equal(was.Data, is.Data):
		list = append(list, "the payload is written differently")
	}
	return list
}

// hear returns the message that a client of the format reads.
func hear(format core.Format, f core.Frame) (heard core.Event, ok bool) {
	of, is := format.(core.ClientFormat)
	if !is {
		return heard, false
	}
	// A codec that panics must not end the reader's goroutine.
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	client := of.NewClientCodec()
	if remote, is := client.(core.RemoteClientCodec); is {
		remote.Close() // it would be asked for each message
		return heard, false
	}
	keep := func(ev core.Event) {
		if ev.Kind == core.Message {
			heard, ok = ev.Clone(), true
		}
	}
	if greeting, kind, err := format.NewCodec().Encode(nil, core.Event{Kind: core.Welcome}); err == nil && kind != core.NoFrame {
		if client.Hear(core.Frame{Kind: kind, Data: greeting}, keep) != nil {
			return heard, false
		}
	}
	if client.Hear(f, keep) != nil {
		return heard, false
	}
	return heard, ok
}
