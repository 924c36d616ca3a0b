// The load generator and the peers that the broker is measured against. They
// live in a module of their own so that the broker never depends on a peer.
module github.com/polywire/polywire/bench

go 1.26.8

require (
	github.com/gorilla/websocket v1.5.3
	github.com/lxzan/gws v1.8.9
	golang.org/x/sys v0.30.0
)

require (
	github.com/dolthub/maphash v0.1.0 // indirect
	github.com/klauspost/compress v1.17.9 // indirect
)
