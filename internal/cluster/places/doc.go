// Package places counts, for all nodes of a cluster, the connections that have something in
// common: a session, or a user. It is the part of that which all engines of clusters share: they
// only have to keep records ([Store]) and to pass a word on to another node ([Options].Tell).
//
// There is one record for each session or user (record.go), which says how many places each node
// has in it. A node takes a place by reading the record and writing it again, if nobody has written
// it meanwhile. Nodes that cannot be reached do not count, so what a node had that has died is free
// as soon as it is missed. Who leaves them out of a record that it writes tells them; if they live
// they look at it and write their count again. So they do with all their records when their
// connection to the engine is back, and now and then.
//
// A node that finds a session gone in which it has places tells its engine
// (core.Cluster.SessionEnded): who deletes a record tells the nodes that have places in it.
//
//	table.go     what the connections of this node have, and how records are changed
//	worker.go    what is written later: places that were given back, and after a loss
//	sessions.go  core.SharedSessions
//	users.go     core.Places
//
// The name of a record is a hash of the session's key: who can read the engine's data cannot
// restore sessions.
package places
