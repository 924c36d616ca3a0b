package core

// Client is a connection as the application knows it. It is comparable, may be kept
// for as long as one likes, and its methods may be called from any goroutine; they do
// not block, and nothing happens if the connection is gone by then.
type Client struct {
	// Connection is the connection's number, unique in the process.
	Connection uint64
	// Endpoint and Protocol are the labels of its endpoint.
	Endpoint, Protocol string
	// Remote is the address of the client, "ip:port".
	Remote string
	// Identity is who the client is; nil if nobody asked.
	Identity *Identity

	link Link
}

// NewClient returns the client at the other end of l.
func NewClient(l Link) Client {
	ep := l.Endpoint()
	return Client{
		Connection: l.ID(), Endpoint: ep.Name, Protocol: ep.Protocol, Remote: l.Remote(), Identity: l.Identity(),
		link: l,
	}
}

// Send sends the client a message on topic, as the client knows topics, whether it
// hears the topic or not: a webwire client gets a signal of that name. p is copied.
// What the client's format cannot write is dropped and counted.
func (c Client) Send(topic string, p Payload) {
	c.link.Send(Event{Kind: Message, Topic: []byte(topic), Payload: p})
}

// Close ends the connection, after what was sent before, with the goodbye that the
// client's format has for r; ReasonNormal where nothing is wrong.
func (c Client) Close(r Reason) { c.link.Close(r) }
