package polywire

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
)

// This file is what an embedding program can do besides answering calls.

// Publish sends p to all subscribers of topic, on behalf of an endpoint: the endpoint's topic
// prefix is put before topic, and its counters count. p is copied; JSON must be valid JSON, text
// valid UTF-8. While the event loops are congested Publish waits, as publishing clients do; it
// returns after the Hear handler of the message has. The error says what is wrong with topic or p,
// or is a [core.Failure] if the topic is reserved by the broker, too long, or below a channel that
// a client owns, or if 256 messages published in this way are still being heard. After an error
// nothing was published.
func (b *Broker) Publish(endpoint, topic string, p core.Payload) error {
	ep, err := b.onBehalf(endpoint, topic, p)
	if err != nil {
		return fmt.Errorf("publishing to %q: %w", topic, err)
	}
	if err := b.parts.Network.WaitForRoom(context.Background()); err != nil {
		return fmt.Errorf("publishing to %q: %w", topic, err)
	}
	if f := b.parts.Engine.ProgramPublisher(ep).Publish([]byte(topic), p); f.Failed() {
		return fmt.Errorf("publishing to %q: %w", topic, f)
	}
	return nil
}

// Call asks whoever answers a service, a client of any format, a handler or an HTTP server, on behalf
// of an endpoint, whose clients name the service so and whose counters count. It waits until ctx ends, but at most as
// long as calls of the endpoint may take. p is copied, and the answer is the caller's own. The error is a
// [core.Failure], as a client of the endpoint would hear it, or says what is wrong with service or p.
func (b *Broker) Call(ctx context.Context, endpoint, service string, p core.Payload) (core.Payload, error) {
	ep, err := b.onBehalf(endpoint, service, p)
	if err != nil {
		return core.Payload{}, fmt.Errorf("calling %q: %w", service, err)
	}
	answer, f := b.parts.Engine.Call(ctx, ep, []byte(service), p)
	if f.Failed() {
		return core.Payload{}, fmt.Errorf("calling %q: %w", service, f)
	}
	return answer, nil
}

// onBehalf returns the endpoint of this name, on behalf of which the program says p on a topic or to a service; the
// error says why it cannot.
func (b *Broker) onBehalf(endpoint, topic string, p core.Payload) (*core.Endpoint, error) {
	ep := b.parts.Endpoint(endpoint)
	if ep == nil {
		return nil, fmt.Errorf("there is no endpoint %q", endpoint)
	}
	if err := checkTopic(topic); err != nil {
		return nil, err
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	return ep, b.life.running()
}

// checkTopic returns what is wrong with a topic that a program gives.
func checkTopic(topic string) error {
	switch {
	case topic == "":
		return errors.New("the topic is empty")
	case !utf8.ValidString(topic):
		return errors.New("the topic is not UTF-8")
	}
	return nil
}

// Hear makes h receive what is published on match, a topic or a pattern without topic prefixes,
// after it has been delivered; nil removes the handler. In the [core.Invocation], Service is the
// topic and OneWay is set; the result of h is ignored, except that an error is logged. One handler
// hears a message, chosen as with Handle.
//
// h hears what clients publish, by HTTP too, and what the program itself publishes. In the latter
// two cases Connection is 0, Caller.Client() is nobody, and the publisher waits until h has
// returned: a program that publishes what it hears must recognise its own messages by that.
//
// The client's next message waits until h has returned, so h hears the messages of one client one
// by one, in order; it hears those of different clients concurrently.
func (b *Broker) Hear(match string, h core.Handler) { b.parts.Engine.Hear(match, h) }

// AwaitCluster waits until the other nodes of the cluster know what clients here have subscribed,
// offered and published before the call: what they publish or ask from then on reaches those
// clients. The error says that ctx ended before, or that the cluster cannot be reached. It returns
// at once for a broker that is alone.
func (b *Broker) AwaitCluster(ctx context.Context) error {
	if err := b.life.running(); err != nil {
		return fmt.Errorf("waiting for the cluster: %w", err)
	}
	if err := b.parts.AwaitCluster(ctx); err != nil {
		return fmt.Errorf("waiting for the cluster: %w", err)
	}
	return nil
}

// CloseSession ends a session: its connections are told, at all nodes if the sessions are those of a
// cluster, and nobody can restore it. The error is a [core.Failure] with SessionUnknown if no
// endpoint has such a session, with Unreachable if the cluster cannot be asked, or the error of a
// session store; even then the connections of this broker have lost the session.
func (b *Broker) CloseSession(ctx context.Context, key string) error {
	var stores []core.SessionStore
	for _, ep := range b.parts.Endpoints() {
		if ep.Sessions != nil {
			stores = append(stores, ep.Sessions)
		}
	}
	return b.parts.Engine.CloseSession(ctx, key, stores...)
}

// SessionClients returns the connections of this broker that have a session, in no order: none if
// nobody is connected to it now, although it may be restored later. Those of other nodes of a cluster
// are not among them.
func (b *Broker) SessionClients(key string) []core.Client { return b.parts.Engine.SessionClients(key) }

// ActiveSessions returns how many sessions have a connection of this broker now.
func (b *Broker) ActiveSessions() int { return b.parts.Engine.ActiveSessions() }
