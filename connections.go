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
