package bridge

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// say says an event of the engine to the old server. Any goroutine; it does not block.
func (b *Bridge) say(ev core.Event) {
	switch ev.Kind {
	case core.Message:
		b.tell(ev)
	case core.Request:
		b.ask(ev)
	case core.Answer, core.Failed:
		if ev.Verb == core.Call {
			b.answer(ev)
			return
		}
		if ev.Kind == core.Failed {
			if ev.Verb == core.Offer {
				b.notOffered(string(ev.Topic))
			}
			b.log.Warn("the bridge may not", logging.Bounded("", ""), slog.String("verb", ev.Verb.String()), logging.Quoted("topic", string(ev.Topic)), slog.Any("error", ev.Failure))
		}
	case core.OfferLost:
		b.notOffered(string(ev.Topic))
		b.log.Warn("the bridge offers a service no longer", logging.Bounded("", ""), logging.Quoted("service", string(ev.Topic)), slog.Any("error", ev.Failure))
	}
}

// tell publishes a message at the old server.
func (b *Bridge) tell(ev core.Event) {
	if core.Reserved(ev.Topic) {
		return
	}
	stats := b.o.Endpoint.Stats
	// Another node tells what this one hears so late, if it has stood still.
	if !b.o.Leads() {
		stats.Dropped.Inc(core.ReasonGone)
		return
	}
	cmd := core.Command{Verb: core.Publish, Topic: ev.Topic, Payload: ev.Payload, Headers: ev.Headers, NotToSelf: true}
	if channel, ok := b.channelOf(string(ev.Topic)); ok {
		cmd.AsOwner, cmd.Channel = true, []byte(channel)
	}
	done := b.told
	if b.echoes.on != nil {
		mark := b.echoes.said(ev.Topic, ev.Payload, time.Now())
		done = func(ev core.Event, err error) {
			if err != nil {
				b.echoes.forget(mark)
			}
			b.told(ev, err)
		}
	}
	if cmd.Headers != nil {
		done = b.orBare(cmd, done)
	}
	if err := b.servers[0].client.Post(cmd, done); err != nil {
		done(core.Event{}, err)
		return
	}
	size := ev.Payload.Size()
	stats.MessagesOut.Add(1)
	stats.BytesOut.Add(uint64(size))
	stats.SizesOut.Observe(size, 1)
}

// countTold counts a message of which the old server has told that it did not get it.
func (b *Bridge) countTold(_ core.Event, err error) {
	if err != nil {
		b.lost(err)
	}
}

// orBare returns what is told the outcome of a publication with headers, and publishes it without them if
// the format does not carry them; the message matters more. done is told the final outcome.
func (b *Bridge) orBare(cmd core.Command, done func(core.Event, error)) func(core.Event, error) {
	bare := cmd.Clone()
	bare.Headers = nil
	return func(ev core.Event, err error) {
		if _, unsayable := errors.AsType[*core.Unsayable](err); unsayable {
			if err = b.servers[0].client.Post(bare, done); err == nil {
				return
			}
		}
		done(ev, err)
	}
}

// lost counts a message that the old server did not get.
func (b *Bridge) lost(err error) {
	reason := core.ReasonGone
	if f, ok := errors.AsType[core.Failure](err); ok {
		if reason = core.ReasonDenied; f.Code == core.Overloaded {
			reason = core.ReasonOverload
		}
	} else if _, unsayable := errors.AsType[*core.Unsayable](err); unsayable {
		reason = core.ReasonUnwritable
	} else if _, big := errors.AsType[*core.TooBig](err); big {
		reason = core.ReasonTooLarge
	}
	b.o.Endpoint.Stats.Dropped.Inc(reason)
	b.log.Debug("a message did not reach the old server", slog.Any("error", err))
}

// channelOf returns the longest owned channel that a topic lies in.
func (b *Bridge) channelOf(topic string) (channel string, ok bool) {
	for _, one := range b.o.Owned {
		if (topic == one || strings.HasPrefix(topic, one+"/")) && (!ok || len(one) > len(channel)) {
			channel, ok = one, true
		}
	}
	return channel, ok
}

// ask asks the old server what a client here asks.
func (b *Bridge) ask(ev core.Event) {
	cmd := core.Command{Verb: core.Call, Topic: ev.Topic, Payload: ev.Payload, OneWay: ev.OneWay}
	if ev.OneWay {
		if err := b.servers[0].client.Post(cmd, nil); err != nil {
			b.lost(err)
		}
		return
	}
	reply := core.Command{Verb: core.Reply, Call: ev.Call, Topic: ev.Topic}.Clone()
	var once sync.Once
	end := func(f core.Failure, p core.Payload) {
		once.Do(func() {
			reply.Failure, reply.Payload = f, p.Clone()
			b.loop.post(func() { b.peer.Do(reply) })
		})
	}
	var late *time.Timer
	timed := make(chan struct{}) // closed when late is set
	forget, err := b.servers[0].client.Begin(cmd, func(ev core.Event, err error) {
		<-timed
		late.Stop()
		end(failureOf(err), ev.Payload)
	})
	if err != nil {
		end(failureOf(err), core.Payload{})
		return
	}
	late = time.AfterFunc(b.o.CallTimeout, func() {
		forget()
		end(core.Failure{Code: core.Timeout}, core.Payload{})
	})
	close(timed)
}

// failureOf returns the failure of a call to the old server.
func failureOf(err error) core.Failure {
	if err == nil {
		return core.Failure{}
	}
	if f, ok := errors.AsType[core.Failure](err); ok {
		return f
	}
	code := core.Gone
	if _, big := errors.AsType[*core.TooBig](err); big {
		code = core.Invalid
	}
	return core.Failure{Code: code, Text: "the old server cannot be asked: " + err.Error()}
}
