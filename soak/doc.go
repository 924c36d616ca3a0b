// Package soak has no code but its tests: a real broker, over real sockets, and clients of all
// formats. Each test checks that nothing is left when all clients have left: no call, no
// connection, no goroutine, no memory.
//
// TestCalls makes very many calls between clients that come and go as they like. However they leave
// each other, every call ends once.
//
// TestUnrest has steady clients publish and receive while others read slowly, come in storms and
// the configuration changes. The steady ones lose no message and no connection.
//
// `make soak` makes a million calls and has ten minutes of unrest, `go test` some thousands and
// seconds; -calls and -unrest set how many.
package soak
