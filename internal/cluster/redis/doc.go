// Package redis joins the nodes of a cluster by Redis: one server, one that sentinels name, or a
// Cluster. It needs Redis 5, and 7 for a Cluster.
//
// Channels; pw: is [Options.Prefix]:
//
//	<topic>       a message on a topic, as wsify has it: the JSON of the payload
//	pw:nodes      what a node tells all others of itself, as JSON
//	pw:node:<id>  what is said to one node: calls, answers, cancellations, its peers' services
//	pw:channels   who owns which channel: each change, with its revision
//
// The number that PUBLISH answers says whether anybody got a call: to a node that is gone it fails at
// once. And keys {pw}:…, of which register.lua tells.
//
// Topics: old wsify nodes, and all programs that publish into their Redis, are heard by all
// clients, and hear them. What nobody has marked is JSON if it is JSON, else text if it is UTF-8,
// else bytes. Behind the JSON a node writes white space that says who it is and what the JSON was
// (mark.go): so no node hears itself, and nodes get payloads exactly as they were. Two things do not
// travel: the headers of a publish, and half surrogate pairs of UTF-16. A topic that begins with the
// prefix is not passed on. Topics have no prefix: all clusters at one Redis share them, in all
// databases.
//
// Order and duplicates: one connection publishes, and one hears everything, so what one node
// publishes arrives in its order. A message comes once for each subscription that matches;
// copies.go tells which one counts. A connection never comes back: when one of them fails, life
// makes all anew and subscribes again, and nothing can come twice.
//
// Cluster: all nodes of ours speak to the one process that has the keys, for everything, because
// two would not keep the order. It passes messages on to the other processes, where programs may
// hear them. What nodes say to each other is sharded there, on channels {pw}:… (target.own), and
// goes to no other process. Topics are not: sharded channels would not reach wsify, and have no
// patterns.
//
// Channels: the script decides, in one order; each change has a revision and is published with it.
// Who misses one reads everything. A channel belongs to its node as long as the node's lease
// lasts, a key with a time to live; whoever asks next after its end frees its channels. A server that
// begins anew, or takes over from another one, may have forgotten the last changes: for as long as
// a lease lasts it gives channels only to those who had them, and those claim them again. (After a
// FLUSHALL it does not notice that, and may give a channel of a node to another one first; then the
// first one loses it.) Whoever can publish on pw:channels, or write the keys, is believed.
//
// Limits: a message of more than 8 MiB is not passed on. The server ends a subscriber that
// has 32 MiB waiting, or 8 MiB for a minute; where clients hear everything (#) a node gets also what
// nodes say to each other.
//
// Tested are one server, a Cluster of three processes without replicas, and one sentinel with a
// master and a replica; a server that is killed, flushed, or out of memory. TLS is not.
//
// Goroutines:
//
//	life            connects, again and again (life.go, engine.go)
//	session         its connections: says hello until one ends
//	readFrom        reads the connection that subscribes
//	intake.run      handles what was read, in its order
//	outbox.run      publishes
//	channels.run    asks the register: lease, claims, releases
//	channels.guard  gives the lease up in time when it cannot be renewed
//	watchNodes      ends nodes that are not heard any more
//
// The lock roster.Roster.Tell orders what the engine is told of nodes, services and channels.
// Methods that the engine calls do not take it.
package redis
