package core

// Publisher publishes in the name of an endpoint for a sender without a connection (an
// HTTP request). It may be called from any goroutine; the returned failure says why
// nothing was published.
type Publisher interface {
	Publish(topic []byte, p Payload) Failure
}
