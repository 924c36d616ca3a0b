// Package soak has no code but its tests: real brokers, over real sockets, and clients of all
// formats. Each test checks that nothing is left when all clients have left: no call, no
// connection, no goroutine, no memory.
//
// TestCalls makes very many calls between clients that come and go as they like. However they leave
// each other, every call ends once.
//
// TestUnrest has steady clients publish and receive while others read slowly, come in storms and
// the configuration changes. The steady ones lose no message and no connection.
//
// TestCluster has clients talk, call and own channels through three brokers, processes that are
// killed, ended and stopped, one at a time. The ledger knows what was said and which nodes were
// touched meanwhile: all else arrives, once and in order, calls are answered, and a channel has one
// owner at any time. -clusterseed=N repeats a sequence of faults, whose number the test prints.
//
// `make soak` makes a million calls and has ten minutes each of unrest and of a cluster, `go test`
// some thousands and seconds; -calls, -unrest and -cluster set how many.
package soak
