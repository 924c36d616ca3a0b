// Tests that drive the broker with WebSocket clients that this project did not
// write. They are a module of their own so that the broker never depends on a
// client.
module github.com/polywire/polywire/clients

go 1.26.8

require (
	github.com/coder/websocket v1.8.15
	github.com/gorilla/websocket v1.5.3
)
