package client

import (
	"encoding/binary"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// confirmation knows how much of what has no outcome the server has read: a ping goes behind it, and its pong says
// that the server has read so far. One ping is under way at a time, so they cost what one round trip allows.
type confirmation struct {
	// Guarded by the connection's mu.
	said, read uint64 // how many messages
	asking     bool   // a ping is under way
}

// confirmable reports whether a command is a message that may get lost without anybody being told.
func confirmable(cmd *core.Command) bool {
	return cmd.Verb == core.Publish || cmd.Verb == core.Reply || cmd.Verb == core.Call
}

// ask returns a ping to be sent behind what was said, nil if one is under way.
func (c *confirmation) ask() []byte {
	if c.asking {
		return nil
	}
	c.asking = true
	return appendRaw(nil, ws.OpPing, binary.BigEndian.AppendUint64(nil, c.said))
}

// confirm sends a ping behind n messages that were said.
func (k *connection) confirm(n int) bool {
	if k.client.options.Unconfirmed == nil {
		return true
	}
	k.mu.Lock()
	k.confirmed.said += uint64(n)
	ping := k.confirmed.ask()
	k.mu.Unlock()
	return k.send(ping)
}

// answered hears a pong, and asks again if something was said since its ping.
func (k *connection) answered(body []byte) {
	if len(body) != 8 {
		return // of a ping that keeps the connection alive
	}
	k.mu.Lock()
	k.confirmed.asking = false
	k.confirmed.read = max(k.confirmed.read, min(binary.BigEndian.Uint64(body), k.confirmed.said))
	var ping []byte
	if k.confirmed.read < k.confirmed.said {
		ping = k.confirmed.ask()
	}
	k.mu.Unlock()
	k.send(ping)
}

// allRead notes that the server has read everything.
func (k *connection) allRead() {
	k.mu.Lock()
	k.confirmed.read = k.confirmed.said
	k.mu.Unlock()
}

// unconfirmed returns how many messages the server may not have read.
func (c *confirmation) unconfirmed() int { return int(c.said - c.read) }
