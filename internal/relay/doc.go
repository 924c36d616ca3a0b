// Package relay passes the bytes of clients on to a server and those of the server back, and hands a copy of
// them to a watcher, who takes it apart with a [Dialog].
//
// A [Relay] passes bytes on and puts the copies into a bounded [Queue]; it knows neither HTTP nor WebSocket,
// and never waits for the watcher. When the queue is full the watcher loses, and is told so.
package relay
