// Package bridge joins the broker to an old server: to that server it is a client of its format, to the
// engine a connection like any other.
//
//	old server ──> client.Heard ──> batch ──> loop ──> Peer.Do ──> engine
//	old server <── client.Post  <── Outlet.Deliver, Link.Send <─── engine
//
// A connection without TLS is served by an event loop of the broker ([client.Options].Host), so a message costs
// about what one of its own clients costs. What would have to wait there, for room or for a judgement, waits on a
// goroutine, and the connection is not read meanwhile.
//
// What the old server says is published here, and what is published here on certain topics is said
// there. Nothing goes back to where it came from: the engine does not deliver to the sender of a
// message, and what the old server says again to the bridge as to any of its subscribers is known by a
// window of what was said (echo.go). Brokers whose bridges lead to each other find that out (neighbours.go).
package bridge
