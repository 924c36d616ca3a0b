package main

import (
	"bytes"
	"slices"
	"strconv"
	"time"

	"github.com/polywire/polywire/core"
)

const (
	// maxServerFrame is the biggest frame, in bytes, that a server may send.
	maxServerFrame = 64 << 20
	// maxRequests is how many requests of a server, whose reply-to is one of another broker's, are
	// remembered; a reply to an older one cannot be said.
	maxRequests = 4096
	// answersTo is where a server sends the answers to calls: nobody else reads there, and it needs
	// no SUBSCRIBE.
	answersTo = tempQueuePrefix + "calls"
	// offeredBeat is the shortest time between the heart-beats that are offered to a server.
	offeredBeat = time.Second
)

// clientCodec is the client's side of the format, for one connection. It numbers its subscriptions, and
// what is to be answered.
type clientCodec struct {
	// Static after construction.
	options *options

	// Owned by the goroutine that uses it.
	in       splitter
	version  version       // none until CONNECTED was heard
	beat     time.Duration // between heart-beats; 0 if the server wants none
	pending  core.Pending
	last     uint64               // the number of the newest subscription
	made     map[string][]string  // ids of the subscriptions to a destination, the newest last
	heard    map[string]string    // the destination of a subscription
	requests map[core.CallID]from // of requests whose reply-to does not hold their id
	order    []core.CallID        // of requests, the oldest first
}

// from is where a request came from.
type from struct{ replyTo, correlation []byte }

var (
	_ core.ClientFormat = (*format)(nil)
	_ core.ClientOpener = (*clientCodec)(nil)
)

// NewClientCodec returns the client's side of a connection.
func (f *format) NewClientCodec() core.ClientCodec {
	return &clientCodec{
		options: &f.options, in: splitter{max: maxServerFrame},
		made: make(map[string][]string), heard: make(map[string]string), requests: make(map[core.CallID]from),
	}
}

// NamesTopics reports true: MESSAGE has a destination.
func (*format) NamesTopics() bool { return true }

// HearsItself reports true: a subscriber hears itself.
func (*format) HearsItself() bool { return true }

// Open says CONNECT.
func (c *clientCodec) Open(say func(core.Frame)) {
	dst := append([]byte("CONNECT\naccept-version:"+versions+"\nhost:"), c.options.Host...)
	dst = strconv.AppendInt(append(dst, "\nheart-beat:"...), offeredBeat.Milliseconds(), 10)
	dst = append(dst, ",0\n"...) // the pings of the WebSocket show that the server is there
	for _, h := range []struct{ name, value string }{{"login", c.options.Login}, {"passcode", c.options.Passcode}} {
		if h.value != "" {
			dst = append(append(append(append(dst, h.name...), ':'), h.value...), '\n')
		}
	}
	say(core.Frame{Kind: core.TextFrame, Data: append(dst, '\n', 0)})
}

// Ready reports whether CONNECTED was heard.
func (c *clientCodec) Ready() bool { return c.version != none }

// KeepAlive returns a heart-beat, well within the time that the server waits for one.
func (c *clientCodec) KeepAlive() (time.Duration, core.Frame) {
	return c.beat / 2, core.Frame{Kind: core.TextFrame, Data: []byte("\n")}
}

// Forget gives up what has this ref.
func (c *clientCodec) Forget(ref []byte) { c.pending.Forget(ref) }

// Say writes a command as frames, of which the last asks for a receipt where the outcome matters. Calls
// are answered by MESSAGE.
func (c *clientCodec) Say(cmd core.Command, say func(core.Frame)) (answered bool, err error) {
	if err := sayable(cmd); err != nil {
		return false, err
	}
	switch cmd.Verb {
	case core.Subscribe, core.Unsubscribe:
		prefix := topicPrefix
		if cmd.Pattern && core.HasWildcard(string(cmd.Topic)) {
			prefix = patternPrefix
		}
		return c.subscriptions(cmd, []string{prefix + string(cmd.Topic)}, say)
	case core.Offer, core.Withdraw:
		var queues []string
		for _, service := range cmd.Services {
			queues = append(queues, queuePrefix+string(service))
		}
		return c.subscriptions(cmd, queues, say)
	case core.Publish:
		dst, answered := c.receipt(c.send(topicPrefix+string(cmd.Topic)), cmd, len(cmd.Ref) > 0)
		say(c.body(dst, cmd.Payload, cmd.Headers))
		return answered, nil
	case core.Call:
		dst := c.send(queuePrefix + string(cmd.Topic))
		if !cmd.OneWay {
			dst = appendHeader(dst, c.version, "reply-to", []byte(answersTo))
			dst = strconv.AppendUint(append(dst, "correlation-id:"...), c.pending.Next(), 10)
			dst = append(dst, '\n')
			c.pending.Add(cmd)
		}
		say(c.body(dst, cmd.Payload, nil))
		return !cmd.OneWay, nil
	case core.Reply:
		c.reply(cmd, say)
		return false, nil
	case core.Leave:
		say(core.Frame{Kind: core.TextFrame, Data: []byte("DISCONNECT\n\n\x00")})
		return false, nil
	}
	return false, &core.Unsayable{What: cmd.Verb.String()}
}

// sayable returns why a command cannot be said whatever was said before; nil if it can.
func sayable(cmd core.Command) error {
	names := append([][]byte{cmd.Topic}, cmd.Services...)
	switch {
	case cmd.Verb == core.Publish && cmd.AsOwner:
		return &core.Unsayable{What: "a publication as the owner of a channel", Closest: "publish without it"}
	case cmd.Verb == core.Call && cmd.Headers != nil:
		return &core.Unsayable{What: "headers of a call", Closest: "put them into the body"}
	case (cmd.Verb == core.Offer || cmd.Verb == core.Withdraw) && cmd.Exclusive:
		return &core.Unsayable{What: "a channel of one's own", Closest: "offer the services by their whole names"}
	case (cmd.Verb == core.Offer || cmd.Verb == core.Withdraw) && len(cmd.Services) == 0:
		return &core.Unsayable{What: "an offer of no services"}
	case cmd.Verb == core.UnsubscribeAll:
		return &core.Unsayable{What: cmd.Verb.String(), Closest: "unsubscribe from each topic by its name"}
	case slices.ContainsFunc(names, func(name []byte) bool { return bytes.IndexByte(name, 0) >= 0 }):
		return &core.Unsayable{What: "a name that holds a NUL"}
	case slices.ContainsFunc(cmd.Services, func(name []byte) bool { return len(name) == 0 }):
		return &core.Unsayable{What: "an empty name"}
	}
	switch cmd.Verb {
	case core.Subscribe, core.Unsubscribe, core.Publish, core.Call:
		if len(cmd.Topic) == 0 {
			return &core.Unsayable{What: "an empty name"}
		}
	}
	return nil
}

// subscriptions begins or ends the subscription to each destination. The last asks for a receipt.
func (c *clientCodec) subscriptions(cmd core.Command, destinations []string, say func(core.Frame)) (answered bool, err error) {
	begins := cmd.Verb == core.Subscribe || cmd.Verb == core.Offer
	for i, d := range destinations {
		switch made := len(c.made[d]) > 0 || slices.Contains(destinations[:i], d); {
		case begins && made && cmd.Verb == core.Offer:
			return false, &core.Unsayable{What: "a second offer of the same service"}
		case !begins && !made:
			return false, &core.Unsayable{What: "the end of what has not begun", Closest: "it is not subscribed to, or offered, on this connection"}
		case !begins && slices.Contains(destinations[:i], d):
			return false, &core.Unsayable{What: "the end of a service twice"}
		}
	}
	for i, d := range destinations {
		var dst []byte
		if begins {
			dst = append(appendHeader([]byte("SUBSCRIBE\n"), c.version, "destination", []byte(d)), "id:"...)
			dst = append(append(dst, c.begin(d)...), '\n')
		} else {
			dst = append(append([]byte("UNSUBSCRIBE\nid:"), c.end(d)...), '\n')
		}
		dst, answered = c.receipt(dst, cmd, len(cmd.Ref) > 0 && i == len(destinations)-1)
		say(core.Frame{Kind: core.TextFrame, Data: append(dst, '\n', 0)})
	}
	return answered, nil
}

// begin returns the id of a new subscription to a destination.
func (c *clientCodec) begin(destination string) string {
	c.last++
	id := strconv.FormatUint(c.last, 10)
	c.made[destination] = append(c.made[destination], id)
	c.heard[id] = destination
	return id
}

// end returns the id of the newest subscription to a destination, which ends.
func (c *clientCodec) end(destination string) string {
	ids := c.made[destination]
	id := ids[len(ids)-1]
	if c.made[destination] = ids[:len(ids)-1]; len(ids) == 1 {
		delete(c.made, destination)
	}
	delete(c.heard, id)
	return id
}

// receipt asks for a receipt if the outcome is wanted.
func (c *clientCodec) receipt(dst []byte, cmd core.Command, wanted bool) ([]byte, bool) {
	if !wanted {
		return dst, false
	}
	dst = strconv.AppendUint(append(dst, "receipt:"...), c.pending.Next(), 10)
	c.pending.Add(cmd)
	return append(dst, '\n'), true
}

// send begins SEND.
func (c *clientCodec) send(destination string) []byte {
	return appendHeader([]byte("SEND\n"), c.version, "destination", []byte(destination))
}

// body ends SEND.
func (c *clientCodec) body(dst []byte, p core.Payload, headers []byte) core.Frame {
	m := message{look: look{version: c.version}, payload: p, headers: headers}
	dst, kind, _ := m.appendBody(m.appendContentType(dst)) // no body is refused
	return core.Frame{Kind: kind, Data: dst}
}

// reply answers a request, where it came from. It asks for no receipt, which says nothing about a reply:
// one that comes too late is no fault.
func (c *clientCodec) reply(cmd core.Command, say func(core.Frame)) {
	to := from{replyTo: cmd.Call.Append([]byte(replyQueuePrefix))}
	if known, ok := c.requests[cmd.Call]; ok {
		delete(c.requests, cmd.Call)
		c.order = slices.DeleteFunc(c.order, func(id core.CallID) bool { return id == cmd.Call })
		to = known
	}
	dst := c.send(string(to.replyTo))
	if len(to.correlation) > 0 {
		dst = appendHeader(dst, c.version, "correlation-id", to.correlation)
	}
	payload := cmd.Payload
	if cmd.Failure.Failed() {
		dst = appendHeader(dst, c.version, "error-code", []byte(cmd.Failure.Code))
		payload = core.Payload{Kind: core.Text, Data: []byte(cmd.Failure.Text)}
	}
	say(c.body(dst, payload, nil))
}
