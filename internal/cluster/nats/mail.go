package nats

import (
	natsgo "github.com/nats-io/nats.go"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/cluster/frame"
	"github.com/polywire/polywire/internal/cluster/roster"
)

// mail carries what nodes say of themselves, on one connection.
type mail struct {
	nc       *natsgo.Conn
	subjects subjects
	id       core.NodeID
}

var _ roster.Mail = (*mail)(nil)

// All passes a notice on to all other nodes.
func (m *mail) All(notice []byte) { _ = m.nc.Publish(m.subjects.nodes(), notice) }

// State passes a notice on to one node.
func (m *mail) State(to core.NodeID, notice []byte) {
	m.say(to, frame.Frame{Kind: frame.State, From: m.id, Notice: notice})
}

// Describe asks a node for all its services.
func (m *mail) Describe(to core.NodeID) {
	m.say(to, frame.Frame{Kind: frame.Describe, From: m.id})
}

// Taken tells a node that its name is that of another one.
func (m *mail) Taken(to, by core.NodeID) {
	m.say(to, frame.Frame{Kind: frame.Taken, From: m.id, Notice: []byte(by)})
}

func (m *mail) say(to core.NodeID, f frame.Frame) {
	_ = m.nc.Publish(m.subjects.node(to), f.Append(nil))
}
