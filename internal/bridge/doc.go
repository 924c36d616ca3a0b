// Package bridge joins the broker to an old server: to that server it is a client of its format, to the
// engine a connection like any other.
//
//	old server ──> client.Heard ──> batch ──> loop ──> Peer.Do ──> engine
//	old server <── client.Post  <── Outlet.Deliver, Link.Send <─── engine
//
// What the old server says is published here, and what is published here on certain topics is said
// there. Nothing goes back to where it came from: the engine does not deliver to the sender of a
// message, and what the old server says again to the bridge as to any of its subscribers is known by a
// window of what was said (echo.go). Brokers whose bridges lead to each other find that out (neighbours.go).
package bridge
