package network

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/polywire/polywire/core"
)

// This file answers operators who ask why a client hears nothing.

// String returns the policy as the configuration names it.
func (p SlowConsumer) String() string {
	switch p {
	case DropOldest:
		return "drop_oldest"
	case DropNewest:
		return "drop_newest"
	case Conflate:
		return "conflate"
	}
	return "disconnect"
}

// Write returns the frame of a Message at an outlet, which gets nothing, or why its format cannot write it; the zero
// value if that is not known, as for plugins and bridges. Any goroutine.
func (s *Server) Write(to core.Outlet, ev core.Event) (core.Written, error) {
	if o, ok := to.(*outlet); ok {
		return o.ep.translation.writable(ev)
	}
	return core.Written{}, to.Writable(ev)
}

// Members calls visit with the members of an audience, and what would become of a Message whose frame has n bytes, on
// the calling goroutine until it returns false. Those who come or leave meanwhile may be missing. The loop describes
// them in short turns, between its work. There are none if the audience is a bridge's. Not on an event loop.
func (s *Server) Members(ctx context.Context, of core.Audience, n int, visit func(core.Receiver) bool) error {
	a, ok := of.(*audience)
	if !ok {
		return nil
	}
	for from := 0; from >= 0; {
		some, err := askLoop(ctx, a.loop, func() someMembers { return a.describe(from, n) })
		if err != nil {
			return err
		}
		for _, one := range some.members {
			if !visit(one) {
				return nil
			}
		}
		from = some.next
	}
	return nil
}

// someMembers is what a loop says of some members of an audience.
type someMembers struct {
	members []core.Receiver
	next    int // from where to go on; -1 at the end
}

// describe describes some members, from one on. On the loop.
func (a *audience) describe(from, n int) (d someMembers) {
	start := time.Now()
	d.next = -1
	for i := from; i < len(a.members); i++ {
		if i-from == listBatch || i%16 == 15 && time.Since(start) > listTime {
			d.next = i
			break
		}
		c := a.members[i].conn
		d.members = append(d.members, core.Receiver{ConnectionInfo: c.listed(), Receiving: c.receiving(), Fate: c.fate(n)})
	}
	return d
}

// receiving says how the connection takes what is written to it.
func (c *conn) receiving() core.Receiving {
	r := core.Receiving{
		Backlog: c.backlog(), Limit: c.settings.OutboundLimit, Stuck: c.out.list == stuck, Policy: c.settings.SlowConsumer.String(),
	}
	if c.losses != nil {
		r.Lost, r.Conflated = c.losses.lost, c.losses.named && c.losses.lost == 0
	}
	return r
}

// fate says what would become of a Message whose frame has n bytes, if the socket takes nothing meanwhile. It is
// what queue and makeRoom do.
func (c *conn) fate(n int) core.Fate {
	all, ofOwed := c.out.behind()
	limit := c.settings.OutboundLimit
	switch {
	case !c.isOpen():
		return core.Closes
	case c.out.list != stuck, len(c.out.frames) == 0, all+n <= limit:
		return core.Arrives
	case c.settings.SlowConsumer == Disconnect && all-ofOwed+n <= limit:
		return core.Arrives
	case c.settings.SlowConsumer == Disconnect:
		return core.Ends
	case c.settings.SlowConsumer == DropNewest:
		return core.Misses
	}
	// All messages make room that are not partly written; if nothing is left, any message fits.
	rest := c.out.unwritten() > 0 || c.out.frames[0].purpose != published || ofOwed > 0
	if rest && ofOwed+n > limit {
		return core.Misses
	}
	return core.Displaces
}

// Examine returns the open ones of some connections, with all that decides what they hear, in no order. Not on an
// event loop.
func (s *Server) Examine(ctx context.Context, ids ...uint64) (list []core.ConnectionState, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	states := make(map[uint64]core.ConnectionState) // the loop that is asked writes it, and visit reads it then
	err = s.walk(ctx, func(c *conn) bool {
		if !slices.Contains(ids, c.id) {
			return false
		}
		one := core.ConnectionState{
			Receiving: c.receiving(), Settings: c.Endpoint(), Identity: c.user, Throttled: c.in.holds.has(throttled), Unwritable: c.missed,
		}
		if c.peer != nil {
			one.Holdings = c.peer.Holdings()
		}
		states[c.id] = one
		return true
	}, nil, func(batch []core.ConnectionInfo) bool {
		for _, info := range batch {
			one := states[info.ID]
			one.ConnectionInfo = info
			list = append(list, one)
		}
		return len(list) < len(ids)
	})
	return list, err
}

// Refused calls visit with the open connections that were lately refused a command about a whole topic, as List does.
// Not on an event loop.
func (s *Server) Refused(ctx context.Context, v core.Verb, topic string, visit func(core.ConnectionInfo, core.RefusedCommand)) error {
	refused := make(map[uint64]core.RefusedCommand) // the loop that is asked writes it, and visit reads it then
	return s.walk(ctx, func(c *conn) bool {
		name, within := strings.CutPrefix(topic, c.ep.TopicPrefix)
		if !within || c.peer == nil {
			return false
		}
		r := c.peer.WasRefused(v, name)
		if r.Count == 0 {
			return false
		}
		refused[c.id] = r
		return true
	}, nil, func(batch []core.ConnectionInfo) bool {
		for _, one := range batch {
			visit(one, refused[one.ID])
			delete(refused, one.ID)
		}
		return true
	})
}

// Rehearse tries what becomes of a publish of a client of an endpoint, in its format. Nothing is published. Any
// goroutine.
func (s *Server) Rehearse(endpoint, topic string, p core.Payload) core.Rehearsal {
	s.mu.Lock()
	ep := s.eps[endpoint]
	s.mu.Unlock()
	if ep == nil {
		return core.Rehearsal{}
	}
	format, ok := ep.Format.(core.ClientFormat)
	if _, remote := ep.Format.(core.RemoteFormat); remote || !ok {
		return core.Rehearsal{}
	}
	r := core.Rehearsal{Max: ep.MaxMessage}
	server, client := format.NewCodec(), format.NewClientCodec()
	if greeting, kind, err := server.Encode(nil, core.Event{Kind: core.Welcome}); err == nil && kind != core.NoFrame {
		_ = client.Hear(core.Frame{Kind: kind, Data: greeting}, func(core.Event) {})
	}
	if !client.Ready() {
		return core.Rehearsal{}
	}
	r.Known = true
	_, err := client.Say(core.Command{Verb: core.Publish, Topic: []byte(topic), Payload: p}, func(f core.Frame) {
		r.Bytes += len(f.Data)
		own := core.Frame{Kind: f.Kind, Data: bytes.Clone(f.Data)}
		if err := server.Decode(own, rehearsal{&r}); err != nil {
			r.Refused, r.Refusal = true, core.Failure{Code: core.Invalid, Text: err.Error()}
			r.Reason = core.ReasonMalformed
			if v, ok := errors.AsType[*core.Violation](err); ok {
				r.Reason = v.Reason
			}
		}
	})
	r.Unsayable = err
	return r
}

// rehearsal is the sink of Rehearse.
type rehearsal struct{ *core.Rehearsal }

func (r rehearsal) Do(c core.Command) {
	if c.Verb == core.Publish {
		r.NotToSelf, r.AsOwner = c.NotToSelf, c.AsOwner
	}
}

func (r rehearsal) Refuse(why core.Reason, _ []byte, f core.Failure) {
	r.Refused, r.Reason, r.Refusal = true, why, f
}
