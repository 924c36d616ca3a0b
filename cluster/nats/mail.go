package nats

import (
	natsgo "github.com/nats-io/nats.go"

	"github.com/polywire/polywire/cluster/roster"
	"github.com/polywire/polywire/core"
)

// mail carries what nodes say of themselves, on one connection.
type mail struct {
	nc       *natsgo.Conn
	subjects subjects
	id       core.NodeID
}

var _ roster.Mail = (*mail)(nil)

// All passes a notice on to all other nodes.
func (m *mail) All(notice []byte) { _ = send(m.nc, m.subjects.nodes(), nil, notice) }

// State passes a notice on to one node.
func (m *mail) State(to core.NodeID, notice []byte) {
	_ = send(m.nc, m.subjects.node(to), natsgo.Header{typeHeader: {typeState}}, notice)
}

// Describe asks a node for all its services.
func (m *mail) Describe(to core.NodeID) {
	_ = send(m.nc, m.subjects.node(to), natsgo.Header{typeHeader: {typeDescribe}, fromHeader: {string(m.id)}}, nil)
}

// Taken tells a node that its name is that of another one.
func (m *mail) Taken(to, by core.NodeID) {
	_ = send(m.nc, m.subjects.node(to), natsgo.Header{typeHeader: {typeTaken}, fromHeader: {string(by)}}, nil)
}
