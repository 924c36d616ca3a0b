package main

import (
	"errors"

	"github.com/polywire/polywire/core"
)

// version is the version of STOMP that a connection speaks.
type version uint8

const (
	none version = iota // not connected yet
	v11
	v12
)

// maxSubscriptions is how many subscriptions a connection may have.
const maxSubscriptions = 1024

// codec translates for one connection.
type codec struct {
	// Static after construction.
	format *format

	in            splitter
	version       version
	subscriptions map[string]*subscription // by id
	leaving       map[uint32]*label        // of subscriptions that are ending
	transactions  transactions
	deaf          bool        // what the client sends is ignored
	ended         bool        // ERROR was sent, which is the last frame
	why           core.Reason // of the client's own fault
}

var _ core.Codec = (*codec)(nil)

// Decode carries out the frames that f completes. The client's faults are not returned as
// errors: ERROR reports them, and that ends the connection (see failed).
func (c *codec) Decode(f core.Frame, to core.Sink) error {
	if c.deaf {
		return nil
	}
	var one frame // that is being carried out
	err := c.in.feed(f.Data, func(raw []byte) error {
		err := one.parse(raw, c.version)
		if err == nil && !c.deaf {
			err = c.carryOut(&one, to)
		}
		if err == nil {
			one.headers = one.headers[:0]
		}
		return err
	})
	if what, ok := errors.AsType[fault](err); ok {
		c.deaf, c.why = true, what.reason
		to.Refuse(what.reason, receiptRef(&one), what.Failure)
		return nil
	}
	return err
}

var (
	errNotConnected = malformed("the first frame is CONNECT or STOMP")
	errConnected    = malformed("the connection is connected already")
	errCommand      = fault{core.ReasonUnknownType, core.Failure{Code: core.Invalid, Text: "there is no such command"}}
)

// carryOut does what a frame asks for.
func (c *codec) carryOut(f *frame, to core.Sink) error {
	connecting := f.command == "CONNECT" || f.command == "STOMP"
	switch {
	case connecting && c.version == none:
		return c.connect(f, to)
	case connecting:
		return errConnected
	case c.version == none:
		return errNotConnected
	}
	switch f.command {
	case "SEND":
		return c.send(f, to)
	case "SUBSCRIBE":
		return c.subscribe(f, to)
	case "UNSUBSCRIBE":
		return c.unsubscribe(f, to)
	case "ACK", "NACK":
		return c.acknowledge(f, to)
	case "BEGIN":
		return c.begin(f, to)
	case "COMMIT":
		return c.commit(f, to)
	case "ABORT":
		return c.abort(f, to)
	case "DISCONNECT":
		c.deaf = true
		receipt(f, to)
		to.Do(core.Command{Verb: core.Leave})
		return nil
	}
	return errCommand
}

// acknowledge handles ACK and NACK. They have no effect: a message is sent once, and is not
// kept for a client that does not take it.
func (c *codec) acknowledge(f *frame, to core.Sink) error {
	names := []string{"id"}
	if c.version == v11 {
		names = []string{"message-id", "subscription"}
	}
	for _, name := range names {
		if _, err := f.need(name); err != nil {
			return err
		}
	}
	if name := f.get("transaction"); name != nil {
		if _, err := c.transactions.of(name); err != nil {
			return err
		}
	}
	receipt(f, to)
	return nil
}

// receipt answers a frame that the engine has no part in, if an answer is wanted.
func receipt(f *frame, to core.Sink) {
	if ref := receiptRef(f); ref != nil {
		to.Do(core.Command{Verb: core.Ping, Ref: ref})
	}
}
