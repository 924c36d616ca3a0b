// Package nats joins the nodes of a cluster by NATS: an external one, or servers within the
// processes of the nodes, which are connected by routes.
//
// Subjects; pw is [Options.Prefix]:
//
//	pw.t.<tokens>    a message on a topic; each level is a token
//	pw.s.<tokens>    a call of a program that is no node; one of the nodes that offer the service answers
//	pw.nodes         what a node tells all others of itself, as JSON
//	pw.c.<id>.<n>    nobody hears it: the reply subject of a node's messages on topics
//	pw.node.<id>     what is said to one node: calls, answers, cancellations, its peers' services
//	$KV.pw_channels  a key-value bucket: the owners of channels, and the leases of nodes
//
// A level stands for itself, an empty one is %, and what a subject cannot have is written as in
// a URL: the topic "a//b c" is pw.t.a.%.b%20c. A payload travels as it is. Who reads it finds out
// what it is: JSON if it is JSON, text if it is UTF-8, or else bytes. Only if that would be wrong,
// the header Polywire-Kind says what it is. The header Polywire-Headers has the headers of a
// publish. What one node says to another one is a binary frame, without headers ([frame]).
// So `nats sub 'pw.t.>'` shows messages as they are, `nats pub` reaches all clients, and
// `nats request pw.s.<service>` is answered by one.
//
// Order and duplicates: a node hears its topics in a queue group that is its own, so that it gets
// one copy of a message however many of its subscriptions match; all of them feed one goroutine.
// A connection never comes back. When it is lost, life makes a new one with a new queue group and
// subscribes anew: then nothing can come twice. A message says by which connection of its node it
// goes (origins.go), and what comes by an older one than before is dropped: a server that stood still
// would pass it on behind newer messages.
//
// Channels: the bucket's stream is one log, which every node reads. A node writes a claim with
// the position up to which it has read, and the server refuses it if the log ends elsewhere
// (Nats-Expected-Last-Sequence). So a claim in the log is valid: it was judged by all that is
// before it, and no node has to judge it again. That matters because the log keeps only the last
// entries of each key: a node that reads it later would judge otherwise than one that has seen
// what was removed meanwhile. A channel belongs to its node while the node's lease is there,
// which is a key of the same bucket with a time to live. Its end is an entry of the log like any
// other, so all channels of a node are free at one position, for everybody.
//
// Goroutines:
//
//	life                connects, again and again (life.go, engine.go)
//	session             one connection: subscribes, says hello until it ends
//	intake.run, .take   messages of topics, and of everything else, each in their order
//	outbox.run          writes what was published, asked and answered
//	channels.run        opens the bucket; bucket.watch reads the log, bucket.work writes claims and
//	                    releases, bucket.keepLease renews the lease
//	channels.guard      gives the lease up in time when it cannot be renewed
//	watchNodes          ends nodes that are not heard any more
//
// The lock Roster.Tell orders what the engine is told of nodes, services and channels. Methods
// that the engine calls do not take it.
package nats
