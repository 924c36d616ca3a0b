// Package engine is the middle of the broker: who hears what, who owns what, who
// answers what, and whose session it is. It knows neither sockets nor formats; it
// meets them through the ports of package core.
//
//	Peer.Do ─> authorise ─┬─> subscribe, unsubscribe    topics, tries
//	                      ├─> publish                   owners, topics, tries ─> Outlet.Deliver
//	                      ├─> offer, withdraw           owners, services
//	                      ├─> call, reply               handlers, services, calls ─> Link.Send
//	                      └─> sessions                  SessionStore, attachments
//
// Each way is one file, read from top to bottom: subscribe.go; publish.go for the checks and
// then fanout.go, which judges nobody; offer.go, with owner.go for whose a name is; call.go,
// with service.go for who answers, calltable.go for what waits and until when, and
// handler.go for Go handlers; session.go. What operators see is in listing.go.
//
// Publishes to $call, $reply and $error and subscriptions to $serve are calls, replies
// and offers of formats that have no words for them: topicborne.go turns them into
// commands, which are authorised and carried out as such.
//
// A call is answered by the first of: a Go handler of Handle, a connection that offers
// the service, a Go handler of Configure, that of Otherwise. Handlers are looked up by
// the service as the client calls it, offers by its whole address.
//
// Who owns a channel, offers a service, calls or answers is known by small interfaces
// (owner, caller and answerer), and compared: it is a connection of this process (peer), or
// another node of a cluster (node). cluster.go has what the other nodes say, announce.go and
// claim.go what they are told. An Offer is decided by a function (decider): at once, or, if it
// is of a channel and there is a cluster, when that has given it.
//
// # Goroutines
//
// A peer belongs to the event loop of its connection, and nothing on that loop
// blocks. Authorizers and session stores are asked on a goroutine of their own
// (peer.offLoop), at most one for each connection, which is held meanwhile; Go handlers run
// on the goroutines of workers, of which each has a bounded number, and may ask the
// session store there; those of Hear and the hooks Connected and SessionRestored run as
// authorizers do, Disconnected when the connection is gone; one goroutine ends the
// calls whose time is up. What such a goroutine found out is done on the loop
// (peer.onLoop), or never if the peer is gone.
//
// # Locks
//
// There are six, and none is taken while another is held (but for Engine.announcing, under
// which Announce takes Engine.mu):
//
//   - Engine.mu, for topics, patterns, owners and services. Publishing and finding an
//     answerer only read.
//   - callTable.mu, for the calls and their deadlines.
//   - attachments.mu, for the connections of sessions.
//   - registry.mu, for registering Go handlers; finding one takes no lock.
//   - workers.mu, for the tasks of Go handlers that wait for a worker.
//   - callContext.mu, for the context of one Go handler.
//
// No method of a Link, an Outlet, an Audience or an Access is called under a lock.
//
// # Prefixes
//
// An endpoint's TopicPrefix is put before every topic, channel and service before
// it is looked up, and taken off before a client is told of it. Patterns stay as
// the client wrote them and are kept in one trie for each prefix, which is matched
// against what follows the prefix: so a prefix is never read as a pattern, and the
// rule about topics that begin with $ holds for what the client sees. Patterns that match
// the same are one in the trie.
//
// # Bounds
//
// An address (topic, pattern, channel or service) has at most 65,535 bytes and 256
// levels. A connection has at most 131,072 subscriptions, of which 512 are patterns unless
// its endpoint says otherwise, 65,536 channels and offers together, 32 MiB of names in
// either (a level of a pattern weighs 512 bytes), its endpoint's Limits.Calls unanswered
// calls (1024 by default), and 65,536 requests that it has not answered. A service that
// connections offer has at most Options.MaxServiceCalls unanswered calls (65,536 by
// default), and a Go handler answers 256 calls at once, unless it was registered with a
// bound of its own: so who is slow takes no room from others. At most 256 of the hooks
// Connected and Disconnected run at once. The ref of a topic-borne call has at most 128
// bytes.
package engine
