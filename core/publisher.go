package core

// Publisher publishes for somebody who is not a connection (an HTTP request),
// in the name of an endpoint. It may be called from any goroutine; the returned
// failure says why nothing was published.
type Publisher interface {
	Publish(topic []byte, p Payload) Failure
}
