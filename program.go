package polywire

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
)

// This file is what a program that embeds a broker does on its own account, besides
// answering.

// Publish tells everyone who hears topic, in the name of an endpoint: topic stands under
// its topic prefix, and its counters count. p is copied; JSON must be valid JSON, text
// valid UTF-8. While event loops have too much to hand out it waits, as clients do that
// publish, and it returns when the handler of Hear that hears it has. The error says what is wrong with topic or p, or is a [core.Failure] if the topic is
// one of the broker's own, or too long, or below a channel that a client owns, or if 256
// messages that were published so are being heard. After an error nothing was published.
func (b *Broker) Publish(endpoint, topic string, p core.Payload) error {
	ep := b.parts.Endpoint(endpoint)
	if ep == nil {
		return fmt.Errorf("publishing to %q: there is no endpoint %q", topic, endpoint)
	}
	err := checkTopic(topic)
	if err == nil {
		err = p.Check()
	}
	if err == nil {
		err = b.life.running()
	}
	if err != nil {
		return fmt.Errorf("publishing to %q: %w", topic, err)
	}
	if err := b.parts.Network.WaitForRoom(context.Background()); err != nil {
		return fmt.Errorf("publishing to %q: %w", topic, err)
	}
	if f := b.parts.Engine.Publisher(ep).Publish([]byte(topic), p); f.Failed() {
		return fmt.Errorf("publishing to %q: %w", topic, f)
	}
	return nil
}

// checkTopic returns what is wrong with a topic that a program names.
func checkTopic(topic string) error {
	switch {
	case topic == "":
		return errors.New("the topic is empty")
	case !utf8.ValidString(topic):
		return errors.New("the topic is not UTF-8")
	}
	return nil
}

// Hear makes h hear what is published on match, a topic or a pattern without topic
// prefixes, after it has gone out; nil ends that. In the [core.Invocation] the topic is
// Service, and OneWay is set; what h returns is ignored, but for an error, which is
// logged. A message is heard by one handler, chosen as with Handle.
//
// What clients publish is heard, by HTTP too, and what the program publishes itself. In the
// latter two Connection is 0, Caller.Client() is nobody, and who publishes waits until h has
// returned: a program that publishes what it hears must tell its own messages by that.
//
// The client's next message waits until h has returned, so h hears the messages of one
// client one after the other, in their order; those of different clients it hears at the
// same time.
func (b *Broker) Hear(match string, h core.Handler) { b.parts.Engine.Hear(match, h) }

// CloseSession ends a session: its connections are told, and nobody can restore it. The
// error is a [core.Failure] with SessionUnknown if no endpoint has such a session, or
// that of a session store; its connections have lost the session then all the same.
func (b *Broker) CloseSession(ctx context.Context, key string) error {
	var stores []core.SessionStore
	for _, ep := range b.parts.Endpoints() {
		if ep.Sessions != nil {
			stores = append(stores, ep.Sessions)
		}
	}
	return b.parts.Engine.CloseSession(ctx, key, stores...)
}

// SessionClients returns the connections of a session, in no order: none if it has none
// now, although it may be restored later.
func (b *Broker) SessionClients(key string) []core.Client { return b.parts.Engine.SessionClients(key) }

// ActiveSessions returns how many sessions have a connection now.
func (b *Broker) ActiveSessions() int { return b.parts.Engine.ActiveSessions() }
