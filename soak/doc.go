// Package soak has no code but its test: very many calls through a real broker, over
// real sockets, between clients of all formats that come and go as they like. However
// they leave each other, every call ends once, and when all have left nothing is left of
// them: no call, no connection, no goroutine, no memory.
//
// `make soak` makes a million calls, `go test` some thousands; -calls is their number.
package soak
