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
// TestCluster has clients talk, call and own channels through three brokers, which are processes, once
// for each engine: NATS within the brokers; the same with a network namespace for each, where that is
// allowed; one NATS server; three; Redis; and a Redis that forgets everything when it ends. Every three
// to five seconds, while the faults before are not undone yet, a broker or a server is killed, ended or
// stopped, or the way between brokers is cut. The ledger knows what was said and what was done: of each
// way between two clients only what was said between a fault that cuts it and the first thing that comes
// through after that may be lost. All else arrives, nothing arrives twice or out of order, calls are
// answered, and end with their answerer, and a channel has one owner at any time. (One
// exception is declared: a Redis that is emptied. See ledger.declared.)
//
// -run TestCluster/redis chooses an engine, -clusterfaults=killed,isolated what is done, and
// -clusterseed=N repeats the choices of a run, which prints it; when they are made depends on the
// machine.
//
// `make soak` makes a million calls, has ten minutes of unrest and ten minutes of a cluster for each
// engine, `go test` some thousands and seconds; -calls, -unrest and -cluster set how many.
package soak
