// Package engine is the middle of the broker: who hears what, who owns what, who
// answers what, and whose session it is. It knows neither sockets nor formats; it
// meets them through the ports of package core.
//
//	Peer.Do ─> authorise ─┬─> subscribe, unsubscribe    topics, tries
//	                      ├─> publish                   owners, topics, tries ─> Outlet.Deliver
//	                      ├─> offer, withdraw           owners, services
//	                      ├─> call, reply               services, calls ─> Link.Send
//	                      └─> sessions                  SessionStore, attachments
//
// # Goroutines
//
// A peer belongs to the event loop of its connection, and nothing on that loop
// blocks. Authorizers and session stores are asked on a goroutine of their own,
// at most one for each connection, which is held in the meantime; Go handlers run
// on goroutines of their own, of which there is a bounded number; one goroutine
// ends the calls whose time is up.
//
// # Locks
//
// There are three, and none is taken while another is held:
//
//   - Engine.mu, for topics, patterns, owners, services and Go handlers. Publishing
//     and finding an answerer only read.
//   - callTable.mu, for the calls and their deadlines.
//   - attachments.mu, for the numbers of connections of sessions.
//
// No method of a Link, an Outlet or an Audience is called under a lock, except
// Outlet.NewAudience under Engine.mu.
//
// # Prefixes
//
// An endpoint's TopicPrefix is put before every topic, channel and service before
// it is looked up, and taken off before a client is told of it. Patterns stay as
// the client wrote them and are kept in one trie for each prefix, which is matched
// against what follows the prefix: so a prefix is never read as a pattern, and the
// rule about topics that begin with $ holds for what the client sees.
//
// # Bounds
//
// An address (topic, pattern, channel or service) has at most 65,535 bytes and 256
// levels. A connection has at most 131,072 subscriptions, 65,536 channels and
// offers together, its endpoint's MaxCalls unanswered calls (1024 by default), and
// 65,536 requests that it has not answered. At most 256 Go handlers run at once.
package engine
