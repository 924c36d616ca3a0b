package main

import (
	"bytes"
	"context"
	"io"
	"time"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/sockets"
)

// nextTimeout is the deadline for the next process to serve.
const nextTimeout = time.Minute

// next starts the process that takes over the broker's sockets, and returns when it serves.
func (s *settings) next(ctx context.Context, b *polywire.Broker, given *sockets.Given, m *manager) error {
	end := m.begin()
	ctx, cancel := context.WithTimeout(ctx, nextTimeout)
	defer cancel()
	var stdin io.Reader
	if s.file.path == standardInput {
		stdin = bytes.NewReader(s.file.text)
	}
	m.log.Info("starting the next process")
	if c := b.Config().Cluster; c.On() {
		m.log.Warn("the next process joins the cluster when this one has left it, unless its configuration has another cluster.node by now: until then its clients miss what other nodes say",
			"node", c.Node, "embedded", c.Embedded.Listen != "")
	}
	pid, err := given.Next(ctx, b.Sockets(), stdin)
	if err != nil {
		end()
		return err
	}
	m.log.Info("the next process serves; this one ends", "pid", pid)
	return nil
}
