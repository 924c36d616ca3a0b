package record

import (
	"net/http"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// Censor writes single things that were said in the language of conversations, without credentials: it knows
// those again that it has seen. Ids and times are left as they are. One goroutine.
type Censor struct{ scribe }

// NewCensor returns a censor of what is said at the endpoint that conversations call by a name and that has
// a path of its own. A nil dissector knows that messages are JSON or text.
func NewCensor(d core.Dissector, endpoint, path string) *Censor {
	return &Censor{scribe{dissector: d, endpoint: endpoint, path: path, values: newValues()}}
}

// Message returns a message of the server, or of a client, without the name of its connection.
func (c *Censor) Message(server bool, op ws.OpCode, data []byte) string {
	f := core.Frame{Kind: core.TextFrame, Data: data}
	if op == ws.OpBinary {
		f.Kind = core.BinaryFrame
	}
	// As if a client had said it: what a server makes up is no variable.
	content := c.contentOf(false, data, c.dissect(server, f))
	content.server = server
	return content.message(op)
}

// Closing returns a close frame, without the name of its connection.
func (c *Censor) Closing(server bool, payload []byte) string { return c.closing(server, payload) }

// Upgrade returns what a client has asked for, after the name of its connection.
func (c *Censor) Upgrade(q *http.Request) string { return c.upgradeOptions(q) }

// Request returns a request that is no upgrade, in one line or several.
func (c *Censor) Request(q *http.Request, body []byte) string { return c.request(q, body) }

// Full reports whether no more credentials can be remembered: nothing further must be written.
func (c *Censor) Full() bool { return c.values.full() }
