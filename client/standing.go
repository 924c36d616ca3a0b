package client

import (
	"bytes"
	"slices"

	"github.com/polywire/polywire/core"
)

// remember keeps, or forgets, what has to be said again on a new connection. cmd is kept.
func (c *Client) remember(cmd core.Command) {
	if c.options.RestoresNothing {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch cmd.Verb {
	case core.Subscribe, core.Offer:
		c.drop(cmd)
		c.standing = append(c.standing, cmd)
	case core.Unsubscribe:
		cmd.Verb = core.Subscribe
		c.drop(cmd)
	case core.Withdraw:
		cmd.Verb = core.Offer
		c.drop(cmd)
	case core.UnsubscribeAll:
		c.standing = slices.DeleteFunc(c.standing, func(s core.Command) bool { return s.Verb == core.Subscribe })
	}
}

// drop forgets what is like cmd. The caller holds mu.
func (c *Client) drop(cmd core.Command) {
	c.standing = slices.DeleteFunc(c.standing, func(s core.Command) bool {
		return s.Verb == cmd.Verb && bytes.Equal(s.Topic, cmd.Topic) && s.As == cmd.As && bytes.Equal(s.Channel, cmd.Channel) &&
			slices.EqualFunc(s.Services, cmd.Services, bytes.Equal)
	})
}

// restored returns what is said first on a new connection.
func (c *Client) restored() []core.Command {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.standing)
}
