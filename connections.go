package polywire

import "github.com/polywire/polywire/admin"

// What the admin server answers about connections; docs/admin.md.
type (
	Connection       = admin.Connection
	ConnectionList   = admin.ConnectionList
	ConnectionDetail = admin.ConnectionDetail
)
