package polywire

import "github.com/polywire/polywire/internal/admin"

type (
	// Connection is a connection in the answers of the admin server; docs/admin.md.
	Connection = admin.Connection
	// ConnectionList is a page of connections.
	ConnectionList = admin.ConnectionList
	// ClosedConnection is a connection that has ended, and why.
	ClosedConnection = admin.ClosedConnection
	// ClosedList are connections that have ended.
	ClosedList = admin.ClosedList
	// ConnectionDetail is a connection with what it hears, offers and owns.
	ConnectionDetail = admin.ConnectionDetail
)

type (
	// EndpointList are the endpoints in the answers of the admin server, of all nodes of a cluster.
	EndpointList = admin.EndpointList
	// Endpoint is an endpoint in the answers of the admin server.
	Endpoint = admin.Endpoint
	// List is what all lists have.
	List = admin.List
	// TopicList is a page of what somebody hears.
	TopicList = admin.TopicList
	// Topic is a topic or a pattern that somebody hears.
	Topic = admin.Topic
	// TopicDetail says by what a message on one topic would be heard.
	TopicDetail = admin.TopicDetail
	// ChannelList is a page of channels with their owners.
	ChannelList = admin.ChannelList
	// ServiceList is a page of services with who answers them.
	ServiceList = admin.ServiceList
	// SessionList is a page of sessions that have connections.
	SessionList = admin.SessionList
	// Session is a session that has connections.
	Session = admin.Session
	// NodeList are the nodes of a cluster as one of them sees them.
	NodeList = admin.NodeList
)
